//! What became of a run, as its shim saw it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Level;
use crate::id::RunId;
use crate::unit::time::WallMs;

/// Written when the program's first instruction is about to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Started {
    /// [`super::LAUNCH_VERSION`].
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// Process id of the shim.
    pub shim: u32,
    /// When.
    pub at: WallMs,
    /// What holds the program.
    pub confinement: Confinement,
}

/// What holds a program, as it was asked of the kernel from within, after it was set and before the program began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confinement {
    /// The level reached.
    pub level: Level,
    /// User id that the program has.
    pub uid: u32,
    /// Version of the Landlock interface that is enforced.
    pub landlock_abi: u32,
    /// What is not held, one line each: what the host did not let the shim set, and what the level leaves open. Nothing that
    /// the level demands.
    pub lacking: Vec<String>,
    /// The control groups of the run, one path for each hierarchy that has one of its own; none where the host lets none
    /// be made.
    pub control_groups: Vec<PathBuf>,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// [`super::LAUNCH_VERSION`].
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// How the program ended.
    pub ending: Ending,
    /// Why it was made to end, if it was.
    pub stopped: Option<StopCause>,
    /// When.
    pub at: WallMs,
    /// What it used.
    pub usage: Usage,
    /// Its standard output.
    pub stdout: Stream,
    /// Its standard error.
    pub stderr: Stream,
    /// Whether the kernel killed a process of it because the run's control group had no memory left. Without a control
    /// group of memory nobody can tell, and it is false.
    #[serde(default)]
    pub oom_killed: bool,
}

/// How a program ended. An exit code proves nothing about the work: acceptance decides.
///
/// At [`Level::Strict`] bubblewrap tells of the program as a shell does: a program that a signal ended is
/// [`Ending::Exited`] with 128 and the signal's number, and [`Ending::Signalled`] is bubblewrap itself, as when the shim kills
/// the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// It never began, for this reason.
    NotStarted(String),
    /// The shim failed for this reason, and all of the run was killed. How the program would have ended nobody knows.
    Lost(String),
}

/// Why a program was made to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    /// Its running time was over.
    Timeout,
    /// The work was cancelled.
    Cancelled,
    /// The lease was lost: whatever the run brings is refused.
    LeaseLost,
    /// The host stops.
    Shutdown,
    /// What it wrote has more bytes or files than it may have.
    OverSize,
    /// The disk that it writes to is nearly full.
    DiskFull,
    /// What it was to find out nobody needs any more.
    NotNeeded,
}

impl StopCause {
    /// Its name on the control socket.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::LeaseLost => "lease_lost",
            Self::Shutdown => "shutdown",
            Self::OverSize => "over_size",
            Self::DiskFull => "disk_full",
            Self::NotNeeded => "not_needed",
        }
    }

    /// Reads its name.
    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::Timeout,
            Self::Cancelled,
            Self::LeaseLost,
            Self::Shutdown,
            Self::OverSize,
            Self::DiskFull,
            Self::NotNeeded,
        ]
        .into_iter()
        .find(|cause| cause.as_str() == name)
    }
}

/// What a run used, from the kernel's accounts: those of its control groups where it has them, otherwise those of all its
/// processes that were waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Milliseconds from start to end on a clock that counts sleep.
    pub wall_ms: u64,
    /// Microseconds of processor time in user mode.
    pub user_us: u64,
    /// Microseconds of processor time in the kernel.
    pub system_us: u64,
    /// With a control group of memory the most that all processes had together, in bytes, with the files that they brought
    /// into memory (`memory.peak`, `memory.max_usage_in_bytes`); without one, or where the kernel keeps no peak, the largest
    /// resident size of one process.
    pub peak_bytes: u64,
    /// Bytes read from storage.
    pub read_bytes: u64,
    /// Bytes written to storage.
    pub written_bytes: u64,
}

/// One output stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Bytes that the program wrote.
    pub bytes: u64,
    /// Bytes of them that are kept.
    pub kept: u64,
    /// SHA-256 (hex) over the kept bytes.
    pub sha256: String,
    /// The last bytes, where not all are kept, as UTF-8 with what is not replaced.
    pub tail: Option<String>,
}
