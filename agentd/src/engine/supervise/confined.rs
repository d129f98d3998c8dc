//! What this host can do to confine a run: tried once, before the first one begins.

use std::process::{Command, Stdio};
use std::sync::Arc;

use agentd_schemas::launch::{Level, LevelProbe, Probe};

use super::Supervisor;

/// Has the launcher try each level with a trivial program. Without a level that was tried no run begins.
pub(super) async fn find_level(supervisor: &Arc<Supervisor>) {
    let host = supervisor.runs.host.clone();
    let found = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(&host.launch);
        command.arg("probe").arg("--shim").arg(&host.shim).env_clear().stdin(Stdio::null());
        let answer = command.output().map_err(|error| format!("{} cannot be run: {error}", host.launch.display()))?;
        let probe: Probe = serde_json::from_slice(&answer.stdout).map_err(|error| {
            let said = String::from_utf8_lossy(&answer.stderr);
            format!("{} gave no usable answer ({error}): {}", host.launch.display(), said.trim())
        })?;
        best(&probe)
    });
    let found = found.await.unwrap_or_else(|error| Err(error.to_string()));
    match &found {
        Ok(level) => tracing::info!("runs are confined at level {}", level.as_str()),
        Err(reason) => tracing::warn!("no run can be started: {reason}; see agentctl doctor"),
    }
    let _ = supervisor.level.set(found);
}

fn best(probe: &Probe) -> Result<Level, String> {
    probe.strongest().ok_or_else(|| {
        let why = |tried: &LevelProbe| format!("level {}: {}", tried.level.as_str(), tried.reason.as_deref().unwrap_or("unknown"));
        probe.levels.iter().map(why).collect::<Vec<_>>().join("; ")
    })
}
