//! What was said of a result.

use serde::{Deserialize, Serialize};

use super::run::ArtefactRef;
use crate::unit::name::Slug;

/// What one criterion said of one result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Place in the work's list of criteria.
    pub criterion: u32,
    /// As [`Criterion::kind`](super::future::Criterion::kind).
    pub kind: String,
    /// Digest of the criterion, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Met or not; absent while nobody decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met: Option<bool>,
    /// What a command was run on, and what it said; absent for other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<CommandEvidence>,
}

/// What the judgement of a command rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CommandEvidence {
    /// The git tree (hex) that was judged, protected paths put back.
    pub tree: String,
    /// SHA-256 (hex) of the launch spec: command, environment, mounts, limits.
    pub spec_sha256: String,
    /// Its exit code; absent where it did not end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// SHA-256 (hex) of what it wrote, standard output before standard error, as far as it was kept.
    pub output_sha256: String,
    /// How long it took.
    pub wall_ms: u64,
    /// Protected paths that the run had changed and that were put back, 16 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protected_changed: Vec<String>,
}

/// The commit that a run made, signed with the key of its agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CommitRef {
    /// Its id (hex).
    pub id: String,
    /// The branch that it is on: `agentd/w-…/1`.
    pub branch: String,
}

/// There is a result (blob 0: the signed statement, blob 1: the result) and a person must decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultJudged {
    /// One per criterion.
    pub verdicts: Vec<Verdict>,
    /// What the run made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artefacts: Vec<ArtefactRef>,
    /// Its commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitRef>,
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
    /// What the run made, unless `ResultJudged` had it before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artefacts: Vec<ArtefactRef>,
    /// Its commit, unless `ResultJudged` had it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitRef>,
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
    /// Its workspace could not be made, or its program not be started.
    NotStarted,
    /// Its program failed: its exit code says so, a signal ended it, or it left no result.
    ProgramFailed,
    /// Its program was stopped because the disk was nearly full, of what it wrote or others did.
    DiskFull,
    /// Nobody saw how its program ended: it is not assumed that it did nothing.
    OutcomeUnknown,
}

/// An attempt ended without success. Blobs: 0 the signed statement and 1 the result of a rejected one; 2 what was said
/// about it.
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
    /// What the run made, where it was judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artefacts: Vec<ArtefactRef>,
    /// Its commit, where it was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitRef>,
}
