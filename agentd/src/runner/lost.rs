//! A step whose shim is gone and wrote no end: what the service manager knows of its unit.

use agentd_schemas::launch::{Started, UnitState, Usage};
use agentd_schemas::unit::time::WallMs;

use super::folder::{Folder, Step};
use super::host::Host;
use super::look::started;
use super::start::{how_it_failed, unit};

/// What is known of a step that is lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lost {
    /// What systemd says of its unit, or why nobody says anything; `None` where there is no unit.
    pub why: Option<String>,
    /// What its unit used, where that is counted.
    pub usage: Option<Usage>,
    /// The kernel killed the shim because the unit's memory was used up.
    pub oom_killed: bool,
}

/// Asks for the unit of a step that is lost. How long it ran is taken from when it began to `now`.
pub fn lost(host: &Host, folder: &Folder, step: Step, now: WallMs) -> Lost {
    match unit(host, folder, step) {
        Ok(Some(unit)) => of_unit(&unit, started(folder, step).as_ref(), now),
        Ok(None) => Lost::default(),
        Err(error) => Lost { why: Some(error.to_string()), ..Lost::default() },
    }
}

fn of_unit(unit: &UnitState, started: Option<&Started>, now: WallMs) -> Lost {
    let counted = unit.cpu_ns.is_some() || unit.memory_peak.is_some();
    let usage = counted.then(|| Usage {
        wall_ms: started.map_or(0, |started| u64::try_from(now.as_ms() - started.at.as_ms()).unwrap_or(0)),
        // Whose part of it was the kernel's is not told.
        user_us: unit.cpu_ns.unwrap_or(0) / 1000,
        peak_bytes: unit.memory_peak.unwrap_or(0),
        ..Usage::default()
    });
    Lost { why: how_it_failed(unit), usage, oom_killed: unit.result == "oom-kill" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_unit_used_counts_where_systemd_counts_it() {
        let unit = |result: &str, cpu_ns, memory_peak| UnitState {
            name: "agentd-run-x.service".to_owned(),
            active: "failed".to_owned(),
            result: result.to_owned(),
            status: 9,
            cpu_ns,
            memory_peak,
        };
        let now = WallMs::saturating(0);
        let killed = of_unit(&unit("signal", Some(7_000_000), Some(4096)), None, now);
        let usage = Usage { user_us: 7_000, peak_bytes: 4096, ..Usage::default() };
        assert_eq!(killed.usage, Some(usage));
        assert_eq!(
            (killed.why.as_deref(), killed.oom_killed),
            (Some("systemd says of agentd-run-x.service: signal 9"), false)
        );
        assert_eq!(of_unit(&unit("signal", None, None), None, now).usage, None, "it counts nothing");
        assert!(of_unit(&unit("oom-kill", None, None), None, now).oom_killed);
    }
}
