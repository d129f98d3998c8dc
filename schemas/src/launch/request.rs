//! What the daemon asks `agentd-launch serve` for, where the launcher is a service of its own: one request on each
//! connection, one line of JSON each way. A descriptor may come with either.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Probe;
use crate::id::RunId;
use crate::unit::name::Slug;

/// Bytes of one request, and of one answer, at most.
pub const MAX_REQUEST_BYTES: usize = 256 << 10;

/// What is asked for. Names are those of files and folders directly in the run's folder: paths are none of the caller's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// What the host can do. Answered by [`Answer::Probed`].
    Probe,
    /// Start a step; a descriptor that comes along is its standard input. Answered by [`Answer::Started`] once its shim has
    /// begun.
    Start {
        /// The run.
        run: RunId,
        /// Whose it is: the slice that it is counted in.
        agent: Slug,
        /// The step. Its spec is `STEP.json`, its record `STEP`.
        step: String,
    },
    /// End a step that does not hear its shim: its unit is killed.
    Kill {
        /// The run.
        run: RunId,
        /// The step.
        step: String,
    },
    /// What became of the unit of a step. Answered by [`Answer::Unit`].
    Unit {
        /// The run.
        run: RunId,
        /// The step.
        step: String,
    },
    /// Remove the folder of a run and its units; a living shim in it is a refusal.
    Remove {
        /// The run.
        run: RunId,
        /// Keep the folder, and remove the units alone.
        units_only: bool,
    },
    /// Open a regular file of a run's folder to read, no link on the way. Answered by [`Answer::Opened`] with a descriptor,
    /// or by [`Answer::Absent`].
    Open {
        /// The run.
        run: RunId,
        /// Below the run's folder.
        path: PathBuf,
    },
    /// Count what folders of a run have in them, no further than beyond these. Answered by [`Answer::Measured`].
    Measure {
        /// The run.
        run: RunId,
        /// Names in the run's folder.
        folders: Vec<String>,
        /// Bytes.
        bytes: u64,
        /// Files and folders.
        files: u64,
    },
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// It is done.
    Done,
    /// What the host can do.
    Probed(Box<Probe>),
    /// The shim began, with this process id.
    Started(u32),
    /// The unit of a step; `None` where there is none.
    Unit(Option<UnitState>),
    /// The file is the descriptor that came along.
    Opened,
    /// There is no such file.
    Absent,
    /// What the folders have in them.
    Measured {
        /// Bytes.
        bytes: u64,
        /// Files and folders.
        files: u64,
    },
    /// It is not allowed, for this reason.
    Refused(String),
    /// The host did not let it, for this reason.
    Failed(String),
    /// Who would do it is not reached at the moment, for this reason: nothing was begun, and it may be asked for again.
    Unavailable(String),
}

/// A unit as the service manager knows it: the words are systemd's (`systemctl show`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitState {
    /// Its name.
    pub name: String,
    /// `active`, `failed`, `inactive`, …
    pub active: String,
    /// `success`, `oom-kill`, `signal`, `exit-code`, `timeout`, …
    pub result: String,
    /// The exit code of the shim, or the signal that ended it.
    pub status: i32,
    /// Nanoseconds of processor time, where systemd counts them.
    pub cpu_ns: Option<u64>,
    /// Most bytes of memory at once, where systemd tells.
    pub memory_peak: Option<u64>,
}
