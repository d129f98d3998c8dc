//! Works.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::run::EndedView;
use crate::document::request::Scope;
use crate::event::{
    AmountSource, ArtefactRef, CommitRef, Criterion, FailureReason, RunConfinement, Verdict, WaitReason, WorkspaceBase,
};
use crate::id::{Fence, RunId, WorkId};
use crate::unit::money::Usd;
use crate::unit::name::{LabelKey, LabelValue, Skill, Slug};
use crate::unit::time::WallMs;

/// The answer to a submit: one per work, in the order of the documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SubmittedView {
    /// The works.
    pub works: Vec<SubmittedWork>,
    /// Whether an earlier submit with the same key had made them.
    pub repeated: bool,
    /// Whether nothing was submitted: the ids stand for works that are not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// What a person would want to know: `note: no enrolled agent has the skill fortran`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One submitted work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SubmittedWork {
    /// Its id.
    pub id: WorkId,
    /// Shortest prefix that is unique now.
    pub short: String,
    /// Its state: as `WorkRow::state`.
    pub state: String,
}

/// One work in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkRow {
    /// Its id.
    pub id: WorkId,
    /// Shortest prefix that is unique now.
    pub short: String,
    /// One line; `(redacted)` where the content was erased.
    pub title: String,
    /// `scheduled`, `blocked`, `ready`, `parked`, `claimed`, `running`, `waiting`, `verifying`, `completed`, `failed`,
    /// `cancelled`, `expired`.
    pub state: String,
    /// The uid that it belongs to.
    pub owner: u32,
    /// Who has it, or had it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Slug>,
    /// Attempts so far.
    pub attempts: u32,
    /// Priority.
    pub priority: i16,
    /// When it was submitted.
    pub submitted_at: WallMs,
    /// When it last changed.
    pub changed_at: WallMs,
    /// Money spent.
    pub spent: Usd,
    /// Whether some of its spending has no price.
    pub unpriced: bool,
    /// One clause: why it is where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether a freeze holds it: of the host, of itself, or of the agent that has it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub frozen: bool,
    /// Cursor for the next page.
    pub cursor: u64,
}

/// One page of works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkPage {
    /// Newest first.
    pub works: Vec<WorkRow>,
    /// Whether older ones exist.
    pub more: bool,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunView {
    /// `w-….1`.
    pub id: RunId,
    /// The agent.
    pub agent: Slug,
    /// Model epoch of the agent.
    pub epoch: u32,
    /// Its fence.
    pub fence: Fence,
    /// When it was claimed.
    pub claimed_at: WallMs,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<WallMs>,
    /// `live`, `completed`, `failed`, `verifying`, `cancelled`, `voided`.
    pub outcome: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureReason>,
    /// What the criteria said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<Verdict>,
    /// The result as JSON, or as text where it is no JSON; absent where there is none or it was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
    /// SHA-256 (hex) of the exact bytes of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_sha256: Option<String>,
    /// What was said about the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Money.
    pub spent: Usd,
    /// Tokens.
    pub tokens: u64,
    /// Where its amounts come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<AmountSource>,
    /// Last reported progress of a live run, held in memory only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// When the last heartbeat of a live run came, held in memory only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_at: Option<WallMs>,
    /// What holds its program, where agentd started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confinement: Option<RunConfinement>,
    /// How its program ended, and what it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<EndedView>,
    /// What it made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artefacts: Vec<ArtefactRef>,
    /// Its commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitRef>,
}

/// One work in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkView {
    /// As in lists.
    #[serde(flatten)]
    pub row: WorkRow,
    /// Version of its history.
    pub version: u64,
    /// What is asked; absent where erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Data for the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<serde_json::Value>,
    /// Needed skills.
    pub required_skills: Vec<Skill>,
    /// The only agent that may take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_agent: Option<Slug>,
    /// Classes.
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// Works that must be completed first, with their states.
    pub depends_on: Vec<Linked>,
    /// Works that wait for this one.
    pub dependants: Vec<Linked>,
    /// The work that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Linked>,
    /// Its parts.
    pub children: Vec<Linked>,
    /// Not handed out before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<WallMs>,
    /// Its deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<WallMs>,
    /// When a first agent should have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_start: Option<WallMs>,
    /// When it should be over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_by: Option<WallMs>,
    /// Running time of one attempt, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Attempts in all.
    pub max_attempts: u32,
    /// Money in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Usd>,
    /// Tokens in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Tokens spent.
    pub tokens: u64,
    /// Money set aside.
    pub reserved: Usd,
    /// Money spent with all its parts and theirs, which its limits bind too; absent without parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_with_parts: Option<Usd>,
    /// Tokens spent with all its parts and theirs; absent without parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_with_parts: Option<u64>,
    /// Freezes that hold it, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freezes: Vec<FreezeView>,
    /// What a live run waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<WaitReason>,
    /// Criteria with their digests.
    pub acceptance: Vec<Criterion>,
    /// What its runs find in their workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceView>,
    /// What the criteria said of what its runs begin with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub base_verdicts: Vec<Verdict>,
    /// Attempts, oldest first.
    pub runs: Vec<RunView>,
    /// Service levels that it missed.
    pub breaches: Vec<String>,
    /// Whether its content is under hold.
    pub held: bool,
    /// Notes, oldest first.
    pub notes: Vec<NoteView>,
}

/// A freeze that holds a work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FreezeView {
    /// What is frozen.
    pub scope: Scope,
    /// Since when.
    pub since: WallMs,
    /// Who froze it.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// What the runs of a work find in their workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkspaceView {
    /// As the ledger has it.
    #[serde(flatten)]
    pub base: WorkspaceBase,
    /// Where it was taken from, on the machine of who submitted; absent where erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The branch that was checked out there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
}

/// A note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NoteView {
    /// Who.
    pub actor: String,
    /// When.
    pub at: WallMs,
    /// What; `(redacted)` where erased.
    pub text: String,
}

/// Another work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Linked {
    /// Its id.
    pub id: WorkId,
    /// Its state.
    pub state: String,
}

/// Why a work is where it is, read from the rules that decide it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WhyView {
    /// The work.
    pub id: WorkId,
    /// Its state.
    pub state: String,
    /// One sentence.
    pub summary: String,
    /// What stands between it and an agent, or why it went where it went.
    pub reasons: Vec<String>,
    /// Every agent of its owner and every shared one, and what the rules say.
    pub agents: Vec<AgentVerdict>,
    /// What would help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What the rules say of one agent for one work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AgentVerdict {
    /// The agent.
    pub agent: Slug,
    /// May take it now.
    pub eligible: bool,
    /// Why, or why not: `matched by claim, not yet demonstrated`, `lacks the skill fortran`, `is paused`.
    pub because: String,
}
