//! A schedule: a cron expression and the work that each tick submits.

use serde::{Deserialize, Serialize};

use crate::document::work::WorkDocument;
use crate::unit::name::Slug;
use crate::unit::owner::Owner;

/// Ticks that `missed = "all"` catches up with, at most.
pub const MAX_CATCH_UP: u32 = 100;
/// Works of one schedule that may wait with `overlap = "queue"`, at most.
pub const MAX_QUEUED: u32 = 100;

/// One schedule as a person writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ScheduleDocument {
    /// `[a-z0-9._-]`, unique per owner among schedules that exist.
    pub name: Slug,
    /// Whose works it submits: a user by name or uid; who hands it in by default. Only an operator may name another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Five fields as in cron(5), `@daily` and such, or `@every 15min`.
    pub cron: String,
    /// IANA name of the zone; the host's by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Ticks that passed while nobody was there.
    #[serde(default)]
    pub missed: Missed,
    /// A tick whose predecessor's work is not over.
    #[serde(default)]
    pub overlap: Overlap,
    /// What each tick submits.
    pub work: WorkDocument,
}

/// What happens to ticks that passed while the daemon was away or the schedule was held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// They are gone.
    Skip,
    /// One work stands for all of them.
    #[default]
    Once,
    /// One work each, up to 100.
    All,
}

/// What happens to a tick while the work of the tick before is not over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The tick is skipped, and that is recorded.
    #[default]
    Skip,
    /// The work waits in the ledger like any other, up to 100 of them.
    Queue,
    /// The older work is cancelled.
    Replace,
}
