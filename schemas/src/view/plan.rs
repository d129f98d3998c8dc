//! Schedules and objectives.

use serde::{Deserialize, Serialize};

use crate::document::objective::{Indicator, ObjectiveDocument};
use crate::document::schedule::{Missed, Overlap};
use crate::id::{ScheduleId, WorkId};
use crate::unit::name::Slug;
use crate::unit::time::WallMs;

/// One schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScheduleView {
    /// Its id.
    pub id: ScheduleId,
    /// Its name.
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
    /// `active` or `paused`.
    pub state: String,
    /// The next tick.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<WallMs>,
    /// The last tick.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<TickView>,
    /// Ticks that submitted a work.
    pub submitted: u64,
    /// Ticks that did not.
    pub skipped: u64,
    /// The file that declares it, where one does: `agents.d/fixer.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
}

/// One tick that came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TickView {
    /// When it was due.
    pub tick: WallMs,
    /// The work it submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<WorkId>,
    /// Why it submitted none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// One objective and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ObjectiveView {
    /// Whose works count.
    pub owner: u32,
    /// The objective.
    pub objective: ObjectiveDocument,
    /// What makes a work good.
    pub indicator: Indicator,
    /// Good works in the window.
    pub good: u64,
    /// Bad works in the window.
    pub bad: u64,
    /// Share of good works, in thousandths of a percent; absent while nothing counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attainment_milli_percent: Option<u32>,
    /// Bad works that the window allows, rounded down.
    pub budget: u64,
    /// What is left of them; negative when overspent.
    pub budget_left: i64,
    /// How fast the budget was used, relative to the use that the target allows, in percent:
    /// 100 uses it up exactly. Over the last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burn_rate_day_percent: Option<u64>,
    /// The same over the last seven days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burn_rate_week_percent: Option<u64>,
}
