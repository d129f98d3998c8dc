//! What this host can do for agents that a daemon of one's own starts: `agentd-launch probe` tries it as the caller, and each lack
//! has its way out.

use agentd_schemas::launch::{Level, Probe};

use super::{Check, install};
use crate::daemon_program;

/// Bounds that control groups give a run.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// Tries what this host can do.
pub(super) fn checks() -> Vec<Check> {
    let program = daemon_program::helper("agentd-launch");
    let ran = std::process::Command::new(&program).arg("probe").output();
    let shown = program.display();
    let Ok(output) = ran else {
        let detail = format!("{shown} cannot be started: agentd starts no agents without it");
        return vec![Check::warn("runs", detail, "install agentd-launch and agentd-shim beside agentd")];
    };
    match serde_json::from_slice::<Probe>(&output.stdout) {
        Ok(probe) => told(&probe),
        Err(error) => {
            let detail = format!("the answer of {shown} is not understood: {error}");
            vec![Check::warn("runs", detail, "install agentd, agentd-launch and agentctl from the same release")]
        }
    }
}

/// The findings of a probe, as checks.
fn told(probe: &Probe) -> Vec<Check> {
    vec![level(probe), users(probe), landlock(probe), groups(probe), git(probe)]
}

pub(super) fn level(probe: &Probe) -> Check {
    let strict = probe.levels.iter().find(|found| found.level == Level::Strict);
    let reason = strict.and_then(|found| found.reason.clone()).unwrap_or_else(|| "it was not tried".to_owned());
    let fix = if probe.strongest().is_none() && reason.contains("Permission denied") {
        "let every user reach the programs: chmod o+x the folders above agentd-shim, or install them in /usr/local/bin"
            .to_owned()
    } else if probe.bubblewrap.is_none() {
        install("bubblewrap")
    } else if !probe.user_namespaces {
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 user.max_user_namespaces=15000, or run agentd as root"
            .to_owned()
    } else {
        "agentd-launch probe says more; what a container forbids, its runtime must allow".to_owned()
    };
    match probe.strongest() {
        Some(Level::Unit) => {
            Check::ok("confinement", "level unit works: a unit of systemd, namespaces by bubblewrap, Landlock, seccomp")
        }
        Some(Level::Strict) => {
            Check::ok("confinement", "level strict works: namespaces by bubblewrap, Landlock, seccomp")
        }
        Some(Level::Landlock) => {
            Check::warn("confinement", format!("level landlock works, strict does not: {reason}"), fix)
        }
        None => Check::fail("confinement", format!("no level works, and no agent is started: {reason}"), fix),
    }
}

fn users(probe: &Probe) -> Check {
    if probe.root {
        return Check::ok("users of runs", format!("each run can have a user of its own (tried as uid {})", probe.uid));
    }
    let detail = format!("runs have the uid of agentd, {}", probe.uid);
    Check::warn("users of runs", detail, "run agentd as a system service: it starts runs under users of their own")
}

pub(super) fn landlock(probe: &Probe) -> Check {
    match probe.landlock_abi {
        0 => Check::fail(
            "landlock",
            "the kernel has none, or it is switched off",
            "boot with lsm=landlock,… on the command line of a kernel from 6.12 on",
        ),
        abi @ 1..6 => Check::warn(
            "landlock",
            format!("version {abi}; 6 holds signals and sockets too"),
            "use a kernel from 6.12 on",
        ),
        abi => Check::ok("landlock", format!("version {abi}")),
    }
}

pub(super) fn groups(probe: &Probe) -> Check {
    let has =
        |controller: &str| probe.control_groups.iter().any(|group| group.controllers.iter().any(|it| it == controller));
    let missing: Vec<&str> = CONTROLLERS.into_iter().filter(|controller| !has(controller)).collect();
    let fix =
        "let agentd have a group of its own: Delegate=yes in its unit, or systemd-run --user --scope -p Delegate=yes";
    if probe.control_groups.is_empty() {
        let detail = "runs get none: memory and tasks are bounded for each process, not for the whole";
        return Check::warn("control groups", detail, fix);
    }
    if missing.is_empty() {
        return Check::ok("control groups", "memory, tasks and processor time of runs are bounded");
    }
    Check::warn("control groups", format!("runs are not bounded by {}", missing.join(", ")), fix)
}

pub(super) fn git(probe: &Probe) -> Check {
    match &probe.git {
        Some(path) => Check::ok("git of runs", path.display().to_string()),
        None => Check::warn("git of runs", "not found; works on repositories and folders need it", install("git")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn probe(change: impl Fn(&mut serde_json::Value)) -> Probe {
        let mut probe = serde_json::json!({
            "version": 1, "root": true, "uid": 1000, "landlock_abi": 6, "user_namespaces": true,
            "bubblewrap": "/usr/bin/bwrap", "git": "/usr/bin/git",
            "levels": [
                { "level": "landlock", "works": true, "reason": null, "lacking": [] },
                { "level": "strict", "works": true, "reason": null, "lacking": [] },
            ],
            "control_groups": [
                { "unified": true, "parent": "/sys/fs/cgroup/a", "controllers": ["memory", "pids", "cpu"], "freezes": true },
            ],
        });
        change(&mut probe);
        serde_json::from_value(probe).unwrap()
    }

    #[test]
    fn every_lack_has_its_way_out() {
        type Lack = (&'static str, Verdict, fn(&mut serde_json::Value));
        assert!(told(&probe(|_| {})).iter().all(|check| check.verdict == Verdict::Ok));
        let table: &[Lack] = &[
            ("confinement", Verdict::Warn, |probe| {
                probe["levels"][1] =
                    serde_json::json!({ "level": "strict", "works": false, "reason": "x", "lacking": [] });
                probe["bubblewrap"] = serde_json::Value::Null;
            }),
            ("confinement", Verdict::Fail, |probe| probe["levels"] = serde_json::json!([])),
            ("users of runs", Verdict::Warn, |probe| probe["root"] = false.into()),
            ("landlock", Verdict::Fail, |probe| probe["landlock_abi"] = 0.into()),
            ("landlock", Verdict::Warn, |probe| probe["landlock_abi"] = 4.into()),
            ("control groups", Verdict::Warn, |probe| probe["control_groups"] = serde_json::json!([])),
            ("control groups", Verdict::Warn, |probe| {
                probe["control_groups"][0]["controllers"] = serde_json::json!(["memory"]);
            }),
            ("git of runs", Verdict::Warn, |probe| probe["git"] = serde_json::Value::Null),
        ];
        for (name, verdict, change) in table {
            let checks = told(&probe(change));
            let found: Vec<&Check> = checks.iter().filter(|check| check.verdict != Verdict::Ok).collect();
            assert!(found.len() == 1 && found[0].name == *name && found[0].verdict == *verdict, "{name}: {found:?}");
            assert!(found[0].fix.is_some(), "{name}");
        }
    }
}
