//! What was said of a result.

use serde::{Deserialize, Serialize};

use crate::unit::name::Slug;

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
