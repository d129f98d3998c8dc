//! Agents.

use serde::{Deserialize, Serialize};

use crate::document::agent::ModelBinding;
use crate::document::program::Runtime;
use crate::event::{AgentState, Custody};
use crate::id::{RunId, WorkId};
use crate::unit::money::Usd;
use crate::unit::name::{Skill, Slug};
use crate::unit::time::WallMs;

/// One agent in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AgentRow {
    /// Its name.
    pub name: Slug,
    /// Its state.
    pub state: AgentState,
    /// The uid that answers for it.
    pub owner: u32,
    /// What it says it can do.
    pub skills: Vec<Skill>,
    /// Works it holds now.
    pub live: u32,
    /// Works it completed.
    pub completed: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// `provider/name` of its model, or absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its model epoch, from 1.
    pub epoch: u32,
    /// When it was enrolled.
    pub enrolled_at: WallMs,
    /// Whether it takes works of every owner.
    pub shared: bool,
    /// The file that declares it, where one does: `agents.d/fixer.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
}

/// One agent in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AgentView {
    /// As in lists.
    #[serde(flatten)]
    pub row: AgentRow,
    /// `spiffe://…`.
    pub agent_id: String,
    /// One line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where its private key is.
    pub custody: Custody,
    /// `ssh-ed25519 …`.
    pub public_key: String,
    /// `SHA256:…`.
    pub fingerprint: String,
    /// Whether the key is revoked.
    pub key_revoked: bool,
    /// In the owner's custody: the fingerprint of the owner's key, which must certify the agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Until when the last certificate of the agent's key holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certified_until: Option<WallMs>,
    /// Works at a time.
    pub max_concurrency: u32,
    /// Its binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<ModelBinding>,
    /// The program that agentd starts for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// What it showed in this epoch, per skill.
    pub demonstrated: Vec<SkillEvidence>,
    /// Failures since the last success.
    pub failures_in_a_row: u32,
    /// Money today.
    pub spent_today: Usd,
    /// Why it is paused, suspended or retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Version of its history.
    pub version: u64,
}

/// Judged works with one skill, in one epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SkillEvidence {
    /// The skill.
    pub skill: Skill,
    /// Model epoch.
    pub epoch: u32,
    /// Judged works.
    pub judged: u64,
    /// Accepted ones.
    pub accepted: u64,
    /// Lower bound of the 95 % Wilson interval, in percent, rounded down.
    pub lower_bound_percent: u32,
    /// `claimed`, `demonstrated` or `not demonstrated`.
    pub standing: String,
}

/// One run in an agent's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HistoryRow {
    /// The run.
    pub run: RunId,
    /// The work.
    pub work: WorkId,
    /// Its short id.
    pub short: String,
    /// One line.
    pub title: String,
    /// As `RunView::outcome`.
    pub outcome: String,
    /// Model epoch.
    pub epoch: u32,
    /// When it was claimed.
    pub claimed_at: WallMs,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<WallMs>,
    /// Money.
    pub spent: Usd,
    /// Cursor for the next page.
    pub cursor: u64,
}

/// One model epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EpochView {
    /// From 1.
    pub epoch: u32,
    /// When it began.
    pub since: WallMs,
    /// Who changed it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The binding before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ModelBinding>,
    /// The binding from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<ModelBinding>,
    /// Log index of the event.
    pub event: u64,
    /// Works completed in it.
    pub completed: u64,
    /// Attempts that failed in it.
    pub failed: u64,
    /// Money spent in it.
    pub spent: Usd,
}
