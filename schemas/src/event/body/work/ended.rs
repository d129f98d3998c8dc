//! How it ends without a result, and begins anew; and what it missed on the way.

use serde::{Deserialize, Serialize};

use super::judged::FailureReason;
use super::state::WorkState;
use crate::unit::time::WallMs;

/// No attempt is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkFailed {
    /// Why the last one failed.
    pub reason: FailureReason,
}

/// Called off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkCancelled {
    /// A person's words, or which dependency, parent or later tick ended it.
    pub reason: String,
}

/// Not started by its deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkExpired {}

/// A person wants another attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkRetried {
    /// Its state at once: `scheduled`, `blocked` or `ready`.
    pub state: WorkState,
    /// Attempts in all from now on.
    pub max_attempts: u32,
    /// When it is handed out, where it is `scheduled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<WallMs>,
    /// Its deadline, in force again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<WallMs>,
    /// Its latest start, in force again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_start: Option<WallMs>,
    /// When it should be over, in force again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_by: Option<WallMs>,
    /// Why.
    pub reason: String,
}

/// Which service level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ServiceLevelKind {
    /// `start_within`.
    Start,
    /// `finish_within`.
    Finish,
    /// `deadline` of a running work.
    Deadline,
}

/// A service level was missed; the work goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceLevelBreached {
    /// Which.
    pub level: ServiceLevelKind,
    /// When it would have been due.
    pub due: WallMs,
}
