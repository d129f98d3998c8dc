//! What this host can do to confine a run, tried before the first one begins; and works that wait because it is too little.

use std::process::{Command, Stdio};
use std::sync::{Arc, PoisonError};

use agentd_schemas::launch::{Answer, Level, LevelProbe, Probe, Request};
use agentd_schemas::unit::name::Slug;

use super::Supervisor;
use super::job::Obstacle;
use crate::engine::message_ids;
use crate::runner::Launcher;

/// While the host is too weak for a run that waits, it is tried again: so long after the first try, then at twice the
/// distance, and at most so far apart. What was installed is noticed without a restart.
const AGAIN_MS: (u64, u64) = (1_000, 60_000);

/// When the host is tried again.
pub(super) struct Tries {
    next: u64,
    pause: u64,
}

impl Tries {
    /// It was tried just now.
    pub(super) fn new(now: u64) -> Self {
        Self { next: now + AGAIN_MS.0, pause: AGAIN_MS.0 }
    }

    /// Whether it is time for one more, where one is needed.
    pub(super) fn is_due(&mut self, needed: bool, now: u64) -> bool {
        if !needed {
            *self = Self::new(now);
            return false;
        }
        if now < self.next {
            return false;
        }
        self.pause = (self.pause * 2).min(AGAIN_MS.1);
        self.next = now + self.pause;
        true
    }

    /// How long until then.
    pub(super) fn in_ms(&self, now: u64) -> u64 {
        self.next.saturating_sub(now)
    }
}

impl Supervisor {
    /// Remembers that works of an agent wait for the host, or that they do not any more.
    pub(super) fn hold_back(&self, agent: &Slug, obstacle: Option<Obstacle>) {
        let mut held = self.held_back.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match obstacle {
            Some(obstacle) => {
                let words = obstacle.problem.to_string();
                let before = held.insert(agent.clone(), obstacle);
                if before.as_ref().is_none_or(|before| before.problem.to_string() != words) {
                    let message_id = message_ids::RUN_REFUSED;
                    tracing::warn!(MESSAGE_ID = message_id, AGENT_ID = %agent, "works of agent {agent} wait: {words}");
                }
                return;
            }
            None => held.remove(agent),
        };
        if before.is_some() {
            tracing::info!("works of agent {agent} wait for the host no more");
        }
    }

    /// Forgets agents that get no work for other reasons.
    pub(super) fn forget_others(&self, names: &[&Slug]) {
        self.held_back.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| names.contains(&name));
    }

    /// Whether a try could let something begin that waits.
    pub(super) fn is_too_weak(&self) -> bool {
        let held = self.held_back.lock().unwrap_or_else(PoisonError::into_inner);
        held.values().any(|obstacle| obstacle.is_level)
    }

    /// That works wait for the host, in words for everybody: no agent is named.
    pub(super) fn why_held_back(&self) -> Option<String> {
        let held = self.held_back.lock().unwrap_or_else(PoisonError::into_inner);
        let weak = held.values().find(|obstacle| obstacle.is_level);
        match (weak, held.len()) {
            (Some(weak), _) => Some(format!("works wait: {} (agentctl doctor)", weak.problem.message)),
            (None, 0) => None,
            (None, 1) => Some("works wait: this host cannot start the program of one agent (agentctl why WORK)".into()),
            (None, n) => {
                Some(format!("works wait: this host cannot start the programs of {n} agents (agentctl why WORK)"))
            }
        }
    }
}

/// Without the launcher no run begins: works wait, and it is tried again.
pub(super) fn look_for_launcher(supervisor: &Supervisor) {
    let Some(Err(error)) = supervisor.runs.host.launcher.as_ref().map(Launcher::is_there) else { return };
    let found = Err(error.to_string());
    if supervisor.level().as_ref() != Some(&found) {
        tracing::warn!(MESSAGE_ID = message_ids::RUNS_IMPOSSIBLE, "no run can be started: {error}");
        supervisor.level.send_replace(Some(found));
    }
}

/// Has the launcher try each level with a trivial program. Without a level that was tried no run begins.
pub(super) async fn find_level(supervisor: &Arc<Supervisor>) {
    let (host, finder) = (supervisor.runs.host.clone(), supervisor.clone());
    let found = tokio::task::spawn_blocking(move || {
        if let Some(launcher) = &host.launcher {
            return match launcher.ask(&Request::Probe, None) {
                Ok((Answer::Probed(probe), _)) => finder.found(*probe),
                Ok((answer, _)) => Err(launcher.unexpected(answer).to_string()),
                Err(error) => Err(error.to_string()),
            };
        }
        let mut command = Command::new(&host.launch);
        command.arg("probe").arg("--shim").arg(&host.shim).env_clear().stdin(Stdio::null());
        let answer = command.output().map_err(|error| format!("{} cannot be run: {error}", host.launch.display()))?;
        let probe: Probe = serde_json::from_slice(&answer.stdout).map_err(|error| {
            let said = String::from_utf8_lossy(&answer.stderr);
            format!("{} gave no usable answer ({error}): {}", host.launch.display(), said.trim())
        })?;
        finder.found(probe)
    });
    let found = found.await.unwrap_or_else(|error| Err(error.to_string()));
    let before = supervisor.level();
    match &found {
        _ if before.as_ref() == Some(&found) => {}
        Ok(level) => tracing::info!("runs are confined at level {}", level.as_str()),
        Err(reason) => {
            let message_id = message_ids::RUNS_IMPOSSIBLE;
            tracing::warn!(MESSAGE_ID = message_id, "no run can be started: {reason}; see agentctl doctor");
        }
    }
    supervisor.level.send_replace(Some(found));
}

impl Supervisor {
    /// Keeps what a trial found, and says what is best of it.
    fn found(&self, probe: Probe) -> Result<Level, String> {
        let best = best(&probe);
        self.keep(probe);
        best
    }
}

fn best(probe: &Probe) -> Result<Level, String> {
    probe.strongest().ok_or_else(|| {
        let why = |tried: &LevelProbe| {
            format!("level {}: {}", tried.level.as_str(), tried.reason.as_deref().unwrap_or("unknown"))
        };
        probe.levels.iter().map(why).collect::<Vec<_>>().join("; ")
    })
}
