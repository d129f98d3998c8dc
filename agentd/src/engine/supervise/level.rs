//! What this host can do to confine a run, tried before the first one begins; and whether its launcher is there.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use agentd_schemas::launch::{Answer, Level, LevelProbe, Probe, Request};

use super::{Supervisor, reach};
use crate::engine::message_ids;
use crate::runner::{Host, Launcher};

/// Why no run can be started on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unable {
    pub(crate) reason: String,
    /// Whose state shows more of it.
    blame: Blame,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blame {
    /// The host has not what runs need.
    Host,
    /// The launcher does not do it.
    Launcher,
    /// Nobody is at the launcher's socket.
    Socket,
}

impl Unable {
    fn new(blame: Blame, reason: &impl ToString) -> Self {
        Self { reason: reason.to_string(), blame }
    }

    /// The command that helps on.
    pub(crate) fn command(&self) -> &'static str {
        match self.blame {
            Blame::Host => "agentctl doctor",
            Blame::Launcher => "systemctl status agentd-launch.service",
            Blame::Socket => "systemctl status agentd-launch.socket",
        }
    }
}

impl Supervisor {
    fn launcher(&self) -> Option<&Launcher> {
        self.runs.host.launcher.as_ref()
    }

    /// Without the launcher's socket no run begins: works wait. The socket is looked at, and nobody wakes by that.
    pub(super) fn look_for_launcher(&self) {
        if let Some(Err(error)) = self.launcher().map(Launcher::has_socket) {
            self.launcher_is_away(&error);
        }
    }

    /// The same for who has work for it, which may wake it.
    pub(super) fn wake_launcher(&self) {
        let can = matches!(self.level(), Some(Ok(_)));
        if let Some(Err(error)) = self.launcher().filter(|_| can).map(Launcher::is_there) {
            self.launcher_is_away(&error);
        }
    }

    /// The launcher was asked and does not answer: until it does, no run begins.
    pub(super) fn launcher_is_away(&self, error: &impl ToString) {
        self.is_able(Err(Unable::new(Blame::Socket, error)));
    }

    /// Whether the launcher may be back: its socket is, and nobody looked since.
    pub(super) fn is_launcher_back(&self) -> bool {
        let was_away = matches!(self.level(), Some(Err(unable)) if unable.blame == Blame::Socket);
        was_away && self.launcher().is_some_and(|launcher| launcher.has_socket().is_ok())
    }

    fn is_able(&self, found: Result<Level, Unable>) {
        match &found {
            _ if self.level().as_ref() == Some(&found) => return,
            Ok(level) => tracing::info!("runs are confined at level {}", level.as_str()),
            Err(unable) => {
                let (reason, command) = (&unable.reason, unable.command());
                let message_id = message_ids::RUNS_IMPOSSIBLE;
                tracing::warn!(MESSAGE_ID = message_id, "no run can be started: {reason}; see {command}");
            }
        }
        self.level.send_replace(Some(found));
    }
}

/// Has the launcher try each level with a trivial program. Without a level that was tried no run begins. One who tries is
/// enough.
pub(super) async fn find_level(supervisor: &Arc<Supervisor>) {
    if supervisor.trying.swap(true, Ordering::Relaxed) {
        return;
    }
    let host = supervisor.runs.host.clone();
    let finder = supervisor.clone();
    let found = tokio::task::spawn_blocking(move || {
        if let Some(reason) = reach::closed(&host) {
            return Err(Unable { reason, blame: Blame::Host });
        }
        let probe = host.launcher.as_ref().map_or_else(|| try_out(&host), ask)?;
        let best = best(&probe);
        finder.keep(probe);
        best
    });
    let found = found.await.unwrap_or_else(|error| Err(Unable::new(Blame::Host, &error)));
    supervisor.trying.store(false, Ordering::Relaxed);
    supervisor.is_able(found);
    supervisor.look_round();
}

fn ask(launcher: &Launcher) -> Result<Probe, Unable> {
    match launcher.ask(&Request::Probe, None) {
        Ok((Answer::Probed(probe), _)) => Ok(*probe),
        Ok((answer, _)) => Err(Unable::new(Blame::Launcher, &launcher.unexpected(answer))),
        Err(error) => Err(Unable::new(Blame::Socket, &error)),
    }
}

fn try_out(host: &Host) -> Result<Probe, Unable> {
    let unable = |reason: String| Unable { reason, blame: Blame::Host };
    let mut command = Command::new(&host.launch);
    command.arg("probe").arg("--shim").arg(&host.shim).env_clear().stdin(Stdio::null());
    let answer = command.output();
    let answer = answer.map_err(|error| unable(format!("{} cannot be run: {error}", host.launch.display())))?;
    serde_json::from_slice(&answer.stdout).map_err(|error| {
        let said = String::from_utf8_lossy(&answer.stderr);
        unable(format!("{} gave no usable answer ({error}): {}", host.launch.display(), said.trim()))
    })
}

fn best(probe: &Probe) -> Result<Level, Unable> {
    probe.strongest().ok_or_else(|| {
        let why = |tried: &LevelProbe| {
            format!("level {}: {}", tried.level.as_str(), tried.reason.as_deref().unwrap_or("unknown"))
        };
        Unable::new(Blame::Host, &probe.levels.iter().map(why).collect::<Vec<_>>().join("; "))
    })
}
