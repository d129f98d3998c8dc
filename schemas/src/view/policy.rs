//! The policies in force, and what they decide.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::event::PolicyFile;

/// `agentctl policy show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PoliciesView {
    /// SHA-256 (hex) of the set in force, as in `decided` of events.
    pub set: String,
    /// Whether the host's policies are missing in it, since none could be read at the start: what they could forbid is denied.
    pub shut: bool,
    /// Where the host's policies are looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// The host's files that are in force.
    pub files: Vec<PolicyFile>,
    /// Every rule and policy: those that are built in, the defaults, the host's.
    pub policies: Vec<PolicyRow>,
    /// What is wrong with them, until it is mended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<String>,
    /// Every action that a policy may speak of.
    pub actions: Vec<String>,
}

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PolicyRow {
    /// Its id, as in `decided` of events.
    pub id: String,
    /// `permit` or `forbid`.
    pub effect: String,
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// Where it is: `local.cedar:3`; `built in` for what no file changes.
    pub place: String,
}

/// `agentctl policy explain`: what is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyQuestion {
    /// `work.manage`.
    pub action: String,
    /// `user:1000` or `agent:fixer`; the caller without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// `work:ID`, `agent:NAME`, `schedule:NAME`, `host` or `own`; without it the host, or a thing of one's own, as the action has
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
}

/// `agentctl policy explain`: the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PolicyAnswer {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The rule that stands in the event: of several the first in the order of the set.
    pub rule: String,
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// Who asks, as events have it.
    pub principal: String,
    /// What for.
    pub action: String,
    /// On what.
    pub on: String,
    /// Every policy that said so; empty where what is built in decided, or nothing did.
    pub policies: Vec<PolicyRow>,
    /// What could not be evaluated, for which it is denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// Whether an operator proves to polkit to be there besides, where there is polkit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proves: Option<String>,
    /// SHA-256 (hex) of the set that decided.
    pub set: String,
}
