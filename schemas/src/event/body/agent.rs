//! Agents: who they are, their keys, their state, their model.

use serde::{Deserialize, Serialize};

use crate::document::agent::ModelBinding;
use crate::document::program::Runtime;
use crate::key::certificate::Certificate;
use crate::unit::name::{Skill, Slug};
use crate::unit::time::WallMs;

/// Where an agent's private key is; what a signature proves depends on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Custody {
    /// The agent holds it.
    #[default]
    Resident,
    /// The daemon holds it.
    Host,
    /// The owner holds it and certifies a delegate key for a while.
    Owner,
}

/// A new agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentEnrolled {
    /// `spiffe://<trust-domain>/agent/<name>-<ulid>`.
    pub agent_id: String,
    /// The uid that answers for it.
    pub owner: u32,
    /// `ssh-ed25519 …`.
    pub public_key: String,
    /// Where the private key is.
    pub custody: Custody,
    /// Nonce of the proof of possession.
    pub nonce: String,
    /// Proof of possession.
    pub signature: String,
    /// What it says it can do.
    pub skills: Vec<Skill>,
    /// Takes works of every owner.
    pub shared: bool,
    /// Works at a time, once out of probation.
    pub max_concurrency: u32,
    /// Model of the first epoch.
    pub model: Option<ModelBinding>,
    /// The program that agentd starts for it; blobs 1 and up are the files that come with it, in their order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// In the owner's custody: whose certificates let the key sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<Authority>,
    /// The file that declares it, where one does: `agents.d/fixer.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
}

/// The owner's key, which certifies that of the agent, and the proof that its owner held it at the enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// `ssh-ed25519 …`.
    pub public_key: String,
    /// Nonce of the proof of possession.
    pub nonce: String,
    /// Proof of possession, of kind `authority`.
    pub signature: String,
}

/// Another program. Blobs 1 and up are the files that come with it, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramBound {
    /// What agentd starts from now on.
    pub runtime: Runtime,
    /// Why.
    pub reason: String,
}

/// Probation is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentActivated {
    /// What ended it: `judged_work` or a person's reason.
    pub reason: String,
}

/// It is on probation again, in an epoch of its own: what it shows counts from nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbationStarted {
    /// The epoch that begins.
    pub epoch: u32,
    /// The model that it goes on with.
    pub model: Option<ModelBinding>,
    /// Why.
    pub reason: String,
}

/// It gets no more work until resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentPaused {
    /// Why: a person's words, `3 failures in a row`, or which model was reported in place of the bound one.
    pub reason: String,
}

/// It gets work again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentResumed {
    /// Why.
    pub reason: String,
    /// The state it goes back to.
    pub to: AgentState,
}

/// Its tokens are void and its leases end; only an operator resumes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSuspended {
    /// Why.
    pub reason: String,
}

/// It is gone for good; its name is never reused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentRetired {
    /// Why.
    pub reason: String,
}

/// The skills it claims changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkillsDeclared {
    /// All of them now.
    pub skills: Vec<Skill>,
}

/// A new key; the old one is not valid from this event's index on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRotated {
    /// Old key.
    pub from: String,
    /// New key.
    pub to: String,
    /// Nonce of the proof of possession of the new key.
    pub nonce: String,
    /// Proof of possession of the new key.
    pub signature: String,
    /// Why.
    pub reason: String,
}

/// The owner lets the agent's key sign for a while. It takes the place of the certificate before; a rotation ends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyCertified {
    /// The line of the OpenSSH certificate, without its comment.
    pub certificate: String,
    /// Its number; 0 where none was given.
    pub serial: u64,
    /// The agent's key, which it certifies.
    pub public_key: String,
    /// The owner's key, which signed it.
    pub authority: String,
    /// When it begins to hold.
    pub valid_after: WallMs,
    /// From when on it does not hold.
    pub valid_before: WallMs,
}

impl KeyCertified {
    /// What a certificate says, all of it: the event of one that was checked.
    pub fn of(certificate: &Certificate) -> Self {
        Self {
            certificate: certificate.to_string(),
            serial: certificate.serial(),
            public_key: certificate.key().to_string(),
            authority: certificate.authority().to_string(),
            valid_after: certificate.valid_after(),
            valid_before: certificate.valid_before(),
        }
    }
}

/// The key is not valid from this event's index on; the agent needs a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRevoked {
    /// The key.
    pub public_key: String,
    /// Why.
    pub reason: String,
}

/// The model changed: a new epoch begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelBound {
    /// One more than before.
    pub epoch: u32,
    /// The binding before.
    pub from: Option<ModelBinding>,
    /// The binding from now on.
    pub to: Option<ModelBinding>,
    /// Why.
    pub reason: String,
}

/// The agent reported a model that its binding does not cover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelMismatched {
    /// What answered.
    pub effective: String,
    /// What was done: `record`, `pause`, `deny`.
    pub action: crate::document::agent::OnMismatch,
    /// Which agent.
    pub agent: Slug,
}

/// The state of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// New, or with a new model: one work at a time.
    Probation,
    /// At work.
    Active,
    /// Gets no work until resumed.
    Paused,
    /// Shut out until an operator resumes it.
    Suspended,
    /// Gone for good.
    Retired,
}

impl AgentState {
    /// As written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probation => "probation",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Suspended => "suspended",
            Self::Retired => "retired",
        }
    }

    /// Reads the wire form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Probation, Self::Active, Self::Paused, Self::Suspended, Self::Retired]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}
