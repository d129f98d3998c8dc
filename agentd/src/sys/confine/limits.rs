//! Resource limits of a process and of all that it starts.

use rustix::process::{Resource, Rlimit};

use super::{ConfineError, refused};

/// How much one process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Bytes of data: heap, anonymous and private mappings.
    pub memory_bytes: u64,
    /// Bytes of the largest file.
    pub file_bytes: u64,
    /// Processes and threads of the user in this user namespace.
    pub tasks: u64,
    /// Open files.
    pub open_files: u64,
}

impl ProcessLimits {
    /// Lowers the limits of this process, soft and hard; one that is lower already stays. Core dumps are off.
    pub(super) fn apply(&self) -> Result<(), ConfineError> {
        let limits = [
            (Resource::Core, 0),
            (Resource::Data, self.memory_bytes),
            (Resource::Fsize, self.file_bytes),
            (Resource::Nproc, self.tasks),
            (Resource::Nofile, self.open_files),
        ];
        for (resource, wanted) in limits {
            let hard = rustix::process::getrlimit(resource).maximum;
            let limit = Some(hard.map_or(wanted, |hard| hard.min(wanted)));
            rustix::process::setrlimit(resource, Rlimit { current: limit, maximum: limit })
                .map_err(refused("set resource limits"))?;
        }
        Ok(())
    }
}
