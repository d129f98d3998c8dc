//! The sockets of the doors: those that the service manager passed, else our own.

use std::os::unix::net::UnixListener;
use std::path::Path;

use super::config::{Config, Mode};
use super::paths::Paths;
use crate::sys::directory::{Directory, Visibility};
use crate::sys::passed::{self, Passed, PassedError};
use crate::sys::socket::{Access, listen};

/// Names of the sockets that a manager may pass.
const NAMES: &[&str] = &["control", "agents", "metrics"];

/// Connections of one socket that are turned away in a row: more than may wait at one.
const MAX_TURNED_AWAY: usize = 8192;

/// What the service manager passed, until each is taken by its door. What nobody takes stays open, and the manager's.
pub(super) struct FromManager(Vec<Passed>);

impl FromManager {
    /// Takes it over, before anything else is opened in this process.
    pub(super) fn take() -> Result<Self, PassedError> {
        passed::take(NAMES).map(Self)
    }

    /// Takes who waits at each of them, and lets them go: they hear at once that nobody serves, and the manager does not start
    /// this program again for them.
    pub(super) fn turn_away(self) {
        for passed in self.0 {
            let _ = (0..MAX_TURNED_AWAY).take_while(|_| passed.listener.accept().is_ok()).count();
        }
    }

    /// Where a passed socket listens.
    fn path(&self, name: &str) -> Option<&Path> {
        self.0.iter().find(|passed| passed.name == name).map(|passed| passed.path.as_path())
    }

    /// The doors are where the manager has put them. One that it opens the others for and not the metrics has them switched
    /// off: in its folder we could open no socket of our own.
    pub(super) fn correct(&self, config: &Config, paths: &mut Paths) {
        for (name, path) in [("control", &mut paths.control), ("agents", &mut paths.agents)] {
            if let Some(passed) = self.path(name) {
                passed.clone_into(path);
            }
        }
        paths.metrics = match self.path("metrics") {
            Some(passed) => Some(passed.to_owned()),
            None if self.0.is_empty() => paths.metrics.take(),
            None => config.sockets.metrics.clone(),
        };
    }

    /// Takes one of them.
    fn socket(&mut self, name: &str) -> Option<UnixListener> {
        let at = self.0.iter().position(|passed| passed.name == name)?;
        Some(self.0.swap_remove(at).listener)
    }
}

/// The listeners of the doors.
pub(super) struct Listeners {
    /// Operators' door.
    pub(super) control: UnixListener,
    /// Agents' door; none where a manager that opens the others has switched it off.
    pub(super) agents: Option<UnixListener>,
    /// Metrics, where they are asked for.
    pub(super) metrics: Option<UnixListener>,
    /// What is removed at the end.
    pub(super) own: Own,
}

/// Sockets that we opened, which are removed at the end. A manager's outlive us: who connects starts us again.
pub(super) struct Own(Vec<std::path::PathBuf>);

impl Own {
    /// Whoever comes now hears that nobody is there, and does not wait at a socket without a listener.
    pub(super) fn remove(&self) {
        for socket in &self.0 {
            let _ = std::fs::remove_file(socket);
        }
    }
}

impl Listeners {
    /// Opens what was not passed.
    pub(super) fn open(config: &Config, paths: &Paths, passed: &mut FromManager) -> anyhow::Result<Self> {
        let (access, visibility) = match config.mode {
            Mode::System => (Access::Everyone, Visibility::Traversable),
            Mode::Private | Mode::Session => (Access::Owner, Visibility::Private),
        };
        let managed = !passed.0.is_empty();
        let mut own = Own(Vec::new());
        let mut open = |name: &str, path: &Path| -> anyhow::Result<UnixListener> {
            if let Some(listener) = passed.socket(name) {
                return Ok(listener);
            }
            Directory::ensure(&paths.runtime, visibility)?;
            let listener = listen(path, access)?;
            own.0.push(path.to_owned());
            Ok(listener)
        };
        // First: who finds the doors open finds the metrics too.
        let metrics = paths.metrics.as_ref().map(|path| open("metrics", path)).transpose()?;
        let control = open("control", &paths.control)?;
        let agents = match open("agents", &paths.agents) {
            Ok(listener) => Some(listener),
            // As in `correct`: one that was masked, in a folder that is not ours.
            Err(error) if managed && config.sockets.agents.is_none() => {
                tracing::warn!(
                    "no agent that comes by itself is served: the service manager passes no socket for agents, and {error:#}"
                );
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Self { control, agents, metrics, own })
    }
}
