//! Schedules, objectives and accounts.

use serde::{Deserialize, Serialize};

use crate::document::objective::ObjectiveDocument;
use crate::document::request::Period;
use crate::document::schedule::{Missed, Overlap};
use crate::id::WorkId;
use crate::unit::name::Slug;
use crate::unit::time::WallMs;

/// A new schedule. Blob 0 is the work document of its ticks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleAdded {
    /// Name, unique per owner.
    pub name: Slug,
    /// Owner of the works.
    pub owner: u32,
    /// The expression.
    pub cron: String,
    /// IANA name.
    pub time_zone: String,
    /// See the document.
    pub missed: Missed,
    /// See the document.
    pub overlap: Overlap,
    /// The first tick.
    pub next: Option<WallMs>,
    /// The file that declares it, where one does: `agents.d/fixer.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
}

/// Ticks are skipped until resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchedulePaused {
    /// Why.
    pub reason: String,
}

/// Ticks go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleResumed {
    /// The next tick.
    pub next: Option<WallMs>,
}

/// Gone; its works stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleRemoved {}

/// What came of one tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TickOutcome {
    /// A work was submitted.
    Submitted {
        /// The work.
        work: WorkId,
    },
    /// The work of an older tick is not over, or too many wait.
    Skipped {
        /// `overlap`, `missed`, `queue_full`, `rejected`.
        because: String,
    },
}

/// A tick came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleTicked {
    /// When it was due.
    pub tick: WallMs,
    /// Ticks that passed before it without a work, since the one dealt with before; counted up to 1,000.
    pub missed: u64,
    /// What came of it.
    pub outcome: TickOutcome,
    /// The next tick.
    pub next: Option<WallMs>,
}

/// An objective is new or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveSet {
    /// Whose works count.
    pub owner: u32,
    /// The objective.
    pub objective: ObjectiveDocument,
}

/// An objective is gone; what it counted stays in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveRemoved {}

/// Limits of an account changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountLimitSet {
    /// Day or month.
    pub period: Period,
    /// Money; absent when it stays as it was.
    pub max_cost_micro_usd: Option<u64>,
    /// Tokens; absent when they stay as they were.
    pub max_tokens: Option<u64>,
    /// The limit of money that was set is gone: the configured one holds again, where there is one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_max_cost: bool,
    /// The limit of tokens is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_max_tokens: bool,
    /// The file that declares it, where one does: `agents.d/fixer.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
}
