//! While an agent has it.

use serde::{Deserialize, Serialize};

use crate::id::Fence;
use crate::unit::name::Slug;

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

/// The lease was lost through no fault of the agent (the host rebooted or was restored); no attempt is used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseVoided {
    /// `new_boot` or `new_incarnation`.
    pub because: String,
}
