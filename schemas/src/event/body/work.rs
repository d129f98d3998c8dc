//! Works and their runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::document::work::{OnDeadline, OnDependencyFailure, PersonAcceptance};
use crate::id::{Fence, ScheduleId, WorkId};
use crate::unit::name::{LabelKey, LabelValue, Skill, Slug};
use crate::unit::time::WallMs;

/// The state of a work. `parked` is not stored: it is `ready` while nobody is eligible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WorkState {
    /// Waits for a time: not-before, or a backoff.
    Scheduled,
    /// Waits for other works.
    Blocked,
    /// Waits for an agent.
    Ready,
    /// An agent has it.
    Claimed,
    /// The agent said that it began.
    Running,
    /// The run waits for a person, a budget, an approval.
    Waiting,
    /// There is a result; a person has not decided.
    Verifying,
    /// Done and accepted.
    Completed,
    /// Attempts ran out.
    Failed,
    /// Somebody, or the failure of another work, called it off.
    Cancelled,
    /// Not started by its deadline.
    Expired,
}

impl WorkState {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 11] = [
        Self::Scheduled,
        Self::Blocked,
        Self::Ready,
        Self::Claimed,
        Self::Running,
        Self::Waiting,
        Self::Verifying,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
    ];

    /// As written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Blocked => "blocked",
            Self::Ready => "ready",
            Self::Claimed => "claimed",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Verifying => "verifying",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// Reads the wire form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Nothing happens to it any more, unless a person retries it.
    pub const fn is_past(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// An agent holds a lease on it.
    pub const fn is_leased(self) -> bool {
        matches!(self, Self::Claimed | Self::Running | Self::Waiting)
    }

    /// No agent has it yet.
    pub const fn is_future(self) -> bool {
        matches!(self, Self::Scheduled | Self::Blocked | Self::Ready)
    }
}

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

/// An agent has it, under a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkClaimed {
    /// The agent.
    pub agent: Slug,
    /// 1 for the first.
    pub attempt: u32,
    /// The fencing token.
    pub fence: Fence,
    /// How long the lease lives without a heartbeat.
    pub lease_ms: u64,
    /// What the match rests on: `demonstrated`, `claimed` or `no_skill_needed`.
    pub matched_by: String,
}

/// The agent began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunStarted {}

/// What a run waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum WaitReason {
    /// An account has too little left.
    Budget {
        /// The account: `work`, `work:w-…` of a work that it is part of, `owner:1000/day`, `host/day`,
        /// `agent:NAME/month`.
        account: String,
        /// Money that was asked for and did not fit; 0 where what was spent reached the limit.
        micro_usd: u64,
        /// Tokens that were asked for and did not fit.
        tokens: u64,
    },
    /// A person must answer.
    Person,
}

/// The run waits; waiting costs no running time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunWaiting {
    /// For what.
    pub reason: WaitReason,
}

/// The run goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunResumed {
    /// `raised`, `answered`, `account_has_room`.
    pub because: String,
}

/// Somebody said something; the text is blob 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoteAdded {}

/// Where an amount comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AmountSource {
    /// agentd's own gateway measured it.
    Metered,
    /// The agent said so.
    Reported,
    /// Computed from what is known.
    Estimated,
}

/// Set aside before spending, in the work's account and every account above it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostReserved {
    /// Money.
    pub micro_usd: u64,
    /// Tokens.
    pub tokens: u64,
    /// Charged besides the work itself: `work:w-…` for each work that it is part of, and periods:
    /// `owner:1000/day/2026-11-22`.
    pub accounts: Vec<String>,
}

/// A reservation, or an amount never reserved, became spending. What a run left open, the host settles as estimated
/// before the event that ends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostSettled {
    /// Log index of the reservation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<u64>,
    /// Money; absent when unpriced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_usd: Option<u64>,
    /// Tokens.
    pub tokens: u64,
    /// Where the amount comes from.
    pub source: AmountSource,
    /// The model that answered, as reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_model: Option<String>,
    /// What the reservation had set aside.
    pub released_micro_usd: u64,
    /// What the reservation had set aside.
    pub released_tokens: u64,
    /// Charged besides the work itself; those of the reservation where there was one.
    pub accounts: Vec<String>,
}

/// A person raised limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsRaised {
    /// Money in all from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_micro_usd: Option<u64>,
    /// Tokens in all from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Attempts in all from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
}

/// What one criterion said of one result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Place in the work's list of criteria.
    pub criterion: u32,
    /// `json_schema` or `person`.
    pub kind: String,
    /// Digest of the criterion, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Met or not; absent while nobody decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met: Option<bool>,
}

/// There is a result (blob 0: the signed statement, blob 1: the result) and a person must decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultJudged {
    /// One per criterion.
    pub verdicts: Vec<Verdict>,
}

/// Done and accepted. Blob 0 is the signed statement and blob 1 the result, unless `ResultJudged` had them before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkCompleted {
    /// The agent that did it.
    pub agent: Slug,
    /// One per criterion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<Verdict>,
}

/// Why an attempt ended without a completed work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The agent said so.
    Reported,
    /// A criterion was not met.
    Rejected,
    /// No heartbeat for a whole lease.
    LeaseExpired,
    /// It ran longer than its timeout.
    TimedOut,
    /// Its deadline came and the work says `stop`.
    Deadline,
    /// The agent was suspended or retired.
    AgentShutOut,
    /// The model that answered is outside the binding.
    ModelMismatch,
}

/// An attempt ended without success. Blobs: 0 the signed statement and 1 the result of a rejected one; 2 what was said about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptFailed {
    /// The agent that tried.
    pub agent: Slug,
    /// Why.
    pub reason: FailureReason,
    /// One per criterion, when a result was judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<Verdict>,
    /// Backoff before the next attempt; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

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

/// The lease was lost through no fault of the agent (the host rebooted or was restored); no attempt is used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseVoided {
    /// `new_boot` or `new_incarnation`.
    pub because: String,
}
