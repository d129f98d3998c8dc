//! Small documents that accompany a command at the operators' door.

use serde::{Deserialize, Serialize};

use crate::id::WorkId;
use crate::unit::money::Usd;
use crate::unit::name::{LabelKey, LabelValue, Slug};

/// Rows of one page, at most.
pub const MAX_PAGE: u32 = 1000;

/// Which works to list, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkFilter {
    /// One state, or `future`, `current`, `past`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Worked on by this agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Slug>,
    /// Of this owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    /// Carrying this label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<(LabelKey, LabelValue)>,
    /// Children of this work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<WorkId>,
    /// Rows, 50 by default, 1000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only works older than this cursor, taken from the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

/// New limits of a work; absent ones stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Raise {
    /// Money over all attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Usd>,
    /// Tokens over all attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Attempts in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
}

/// Enrolment of an agent: its document, its key and the proof that the caller has the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// Who it is.
    pub agent: super::AgentDocument,
    /// `ssh-ed25519 AAAA…`.
    pub public_key: String,
    /// The nonce that the daemon gave out for this name.
    pub nonce: String,
    /// Raw Ed25519 signature in base64, or an armored SSH signature, over the possession message.
    pub signature: String,
    /// The file that declares it, where one does: `agents.d/fixer.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
}

/// Enrolment of an agent that agentd starts: its document, and the files that come with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramEnrolment {
    /// Who it is. `~/` in paths is written out, and files are named as below.
    pub agent: super::AgentDocument,
    /// The files that `command` and `files` name with `./`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contents: Vec<FileContent>,
    /// Of an agent in the owner's custody: the owner's public key, whose certificates let the host's key sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_key: Option<String>,
    /// With `owner_key`: the nonce that the daemon gave out for this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// With `owner_key`: made with it, over the possession message of kind `authority`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// The file that declares it, where one does: `agents.d/fixer.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
}

/// One file that comes with an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileContent {
    /// Its path below `{{ program_dir }}`: relative, plain, without `..`.
    pub name: String,
    /// Whether it is a program.
    #[serde(default)]
    pub executable: bool,
    /// Its bytes in base64 (RFC 4648, padded).
    pub base64: String,
}

/// A new key for an agent, proved by the new key. Where agentd holds the key, it makes the next one, and `public_key`, `nonce`
/// and `signature` are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRotation {
    /// The agent.
    pub name: Slug,
    /// `ssh-ed25519 AAAA…`, the new key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub public_key: String,
    /// The nonce that the daemon gave out for this name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub nonce: String,
    /// Made with the new key, over the possession message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub signature: String,
    /// Why.
    pub reason: String,
}

/// What a freeze covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Scope {
    /// The whole host.
    All,
    /// One work.
    Work(WorkId),
    /// One agent.
    Agent(Slug),
}

/// Limits of an account; absent ones stay, 0 allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountLimit {
    /// `host`, `owner:UID` or `agent:NAME`.
    pub account: String,
    /// `day` or `month`.
    pub period: Period,
    /// Money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Usd>,
    /// Tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Removes the limit of money that was set: the configured one holds again, where there is one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_max_cost: bool,
    /// Removes the limit of tokens.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_max_tokens: bool,
    /// The file that declares it, where one does: `agents.d/fixer.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
}

/// The period of an account, in the host's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A calendar day.
    Day,
    /// A calendar month.
    Month,
}

/// Which events to read, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventFilter {
    /// From this log index on.
    pub since: u64,
    /// Of this kind of subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Of this subject: an id or a name. Needs `subject`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Of this type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// By this actor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Rows, 100 by default, 1000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The newest rows first, reading backwards from `since` (0 stands for the end).
    pub newest_first: bool,
}
