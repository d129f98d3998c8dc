//! Where the things of a run are as its program sees them: at level strict at fixed places, below it where they are.

use std::path::{Path, PathBuf};

use agentd_schemas::launch::{Access, Level, Mount};

/// Places that a run has inside at level strict.
pub(super) const OWN_TARGETS: [&str; 8] =
    ["/workspace", "/home/agent", "/opt/agent", "/run/task", "/run/door", "/run/base", "/run/result", "/run/home"];

/// The mounts of one step, as they come together.
pub(super) struct Places {
    level: Level,
    pub(super) mounts: Vec<Mount>,
    pub(super) folders: Vec<PathBuf>,
}

impl Places {
    pub(super) fn new(level: Level) -> Self {
        Self { level, mounts: Vec::new(), folders: Vec::new() }
    }

    /// Shows a folder of the daemon, and says where it is inside.
    pub(super) fn show(&mut self, source: PathBuf, target: &str, access: Access) -> PathBuf {
        let target = if self.level >= Level::Strict { PathBuf::from(target) } else { source.clone() };
        self.mounts.push(Mount { source, target: target.clone(), access });
        target
    }

    /// Shows a folder of the run's user, which the launcher makes where it is not there.
    pub(super) fn own(&mut self, source: PathBuf, target: &str, access: Access) -> PathBuf {
        self.folders.push(source.clone());
        self.show(source, target, access)
    }

    /// Shows a place of the host under its own name.
    pub(super) fn host(&mut self, path: &Path) {
        let path = path.to_owned();
        if !self.mounts.iter().any(|mount| mount.target == path) {
            self.mounts.push(Mount { source: path.clone(), target: path, access: Access::Read });
        }
    }
}
