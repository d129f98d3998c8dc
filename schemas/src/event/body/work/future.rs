//! Before an agent has it: submitted, and what it waits for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::state::WorkState;
use crate::document::PersonAcceptance;
use crate::document::work::{OnDeadline, OnDependencyFailure};
use crate::document::workspace::ContentKind;
use crate::id::{ScheduleId, WorkId};
use crate::unit::name::{LabelKey, LabelValue, Skill, Slug};
use crate::unit::time::WallMs;

/// One criterion as the ledger keeps it: its digest, and who decides. The schema itself is content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Criterion {
    /// SHA-256 (hex) of the schema's compact JSON.
    JsonSchema {
        /// The digest.
        sha256: String,
    },
    /// A person decides.
    Person(PersonAcceptance),
    /// A command decides; SHA-256 (hex) of the criterion's compact JSON, as for the three below.
    Command {
        /// The digest.
        sha256: String,
    },
    /// Rules for what was changed decide.
    Changes {
        /// The digest.
        sha256: String,
    },
    /// Files that are there decide, or that are not.
    Files {
        /// The digest.
        sha256: String,
    },
    /// An artefact decides.
    Artefact {
        /// The digest.
        sha256: String,
    },
}

impl Criterion {
    /// Its kind, as verdicts name it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::JsonSchema { .. } => "json_schema",
            Self::Person(_) => "person",
            Self::Command { .. } => "command",
            Self::Changes { .. } => "changes",
            Self::Files { .. } => "files",
            Self::Artefact { .. } => "artefact",
        }
    }

    /// Its digest, where it has one.
    pub fn sha256(&self) -> Option<&str> {
        match self {
            Self::Person(_) => None,
            Self::JsonSchema { sha256 }
            | Self::Command { sha256 }
            | Self::Changes { sha256 }
            | Self::Files { sha256 }
            | Self::Artefact { sha256 } => Some(sha256),
        }
    }

    /// Whether only a run that agentd starts can be judged by it: it looks at a workspace, or at what was handed in there.
    pub const fn needs_workspace(&self) -> bool {
        !matches!(self, Self::JsonSchema { .. } | Self::Person(_))
    }
}

/// What the runs of a work find in their workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WorkspaceBase {
    /// What it is made from; absent for an empty one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentKind>,
    /// SHA-256 (hex) of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The commit (hex) that is checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
}

/// Where a work came from, when a schedule submitted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FromSchedule {
    /// The schedule.
    pub schedule: ScheduleId,
    /// The tick.
    pub tick: WallMs,
}

/// A new work. Title, instructions, inputs and schemas are content: blob 0, a [`WorkContent`](crate::content::WorkContent).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkSubmitted {
    /// The uid that it belongs to.
    pub owner: u32,
    /// Its state at once: `scheduled`, `blocked` or `ready`.
    pub state: WorkState,
    /// Sorted, without duplicates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_skills: Vec<Skill>,
    /// Only this agent may take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Slug>,
    /// Classes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// Higher goes first.
    pub priority: i16,
    /// Works that must be completed first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<WorkId>,
    /// What their failure does.
    pub on_dependency_failure: OnDependencyFailure,
    /// The work that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<WorkId>,
    /// Not handed out before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<WallMs>,
    /// See the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<WallMs>,
    /// See the document.
    pub on_deadline: OnDeadline,
    /// Submit (or not-before) plus `start_within`; orders claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_start: Option<WallMs>,
    /// Submit (or not-before) plus `finish_within`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_by: Option<WallMs>,
    /// Running time of one attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Attempts in all.
    pub max_attempts: u32,
    /// Money in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_micro_usd: Option<u64>,
    /// Tokens in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Every one must be met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acceptance: Vec<Criterion>,
    /// What its runs find in their workspace; absent where no workspace is asked for. Setup and names are content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceBase>,
    /// The schedule that submitted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_schedule: Option<FromSchedule>,
}

/// It may be handed out from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkReadied {
    /// `time_came`, `dependencies_completed`, `dependency_failed`, `backoff_over`, `lease_voided`.
    pub because: String,
}

/// What it waited for is done, but its time has not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkScheduled {
    /// When it is handed out.
    pub not_before: WallMs,
}

/// It waits for other works again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkBlocked {
    /// The dependency that failed and must be retried or given up.
    pub by: WorkId,
}
