//! The socket of a run that agentd started: whoever speaks there is the run, so no document has a token or a fence.

use serde::{Deserialize, Serialize};

use super::{Claim, RunStatus};
use crate::document::WorkDocument;
use crate::event::{AmountSource, ArtefactRef};

/// Bytes of one artefact, at most.
pub const MAX_ARTEFACT_BYTES: u64 = 64 << 20;
/// Bytes of all that a run hands in as artefacts, at most; what was replaced counts too.
pub const MAX_ARTEFACTS_BYTES: u64 = 256 << 20;
/// Artefacts that a run hands in, at most; what was replaced counts too.
pub const MAX_ARTEFACTS: usize = 64;
/// Bytes of the name of an artefact, at most.
pub const MAX_ARTEFACT_NAME_BYTES: usize = 200;
/// What names of artefacts that agentd makes itself begin with.
pub const OWN_ARTEFACTS: &str = "agentd/";
/// Bytes of an idempotency key of a run, at most: the daemon writes the run before it.
pub const MAX_RUN_KEY_BYTES: usize = 96;

/// `GET /v1/run`: what is to be done, and how it stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunDocument {
    /// The work, the attempt before, and the limits that are left now.
    pub claim: Claim,
    /// What the run must do, with the notes and answers of persons since it began.
    pub status: RunStatus,
    /// Whether a result was handed in.
    pub finished: bool,
}

/// `POST /v1/run/progress`: what it is doing now. Held in memory only, and renews nothing: agentd keeps the lease.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RunProgress {
    /// One short line.
    pub text: String,
}

/// `POST /v1/run/reserve`: sets money and tokens aside before they are spent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RunReserve {
    /// Money.
    #[serde(default)]
    pub micro_usd: u64,
    /// Tokens.
    #[serde(default)]
    pub tokens: u64,
    /// Idempotency key of this run: with it, a repeated request counts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// `POST /v1/run/cost`: what was spent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RunCost {
    /// The reservation that it settles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<u64>,
    /// Money; absent when there is no price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_usd: Option<u64>,
    /// Tokens.
    #[serde(default)]
    pub tokens: u64,
    /// `reported` (default) or `estimated`; `metered` is the gateway's alone and refused here.
    #[serde(default, deserialize_with = "super::said_source", skip_serializing_if = "Option::is_none")]
    pub source: Option<AmountSource>,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_model: Option<String>,
    /// Idempotency key of this run: with it, a repeated request counts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// `POST /v1/run/note`, and `/ask`, which also waits for a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RunNote {
    /// The words.
    pub text: String,
    /// Idempotency key of this run: with it, a repeated request counts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// `POST /v1/run/children`: submits works as parts of this one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RunChildren {
    /// The works; their `parent` is set by the daemon.
    pub works: Vec<WorkDocument>,
    /// Idempotency key of this work: with it, a repeated request makes them once, by the next attempt too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// `GET /v1/run/artefacts`: what was handed in so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunArtefacts {
    /// By name.
    pub artefacts: Vec<ArtefactRef>,
}

/// `POST /v1/run/finish`: hands in the result. It is judged once the program has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RunFinish {
    /// The exact result as text; JSON where a schema judges it.
    pub result: String,
}

/// The answer: it is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunFinished {
    /// SHA-256 (hex) of the result.
    pub sha256: String,
    /// Its bytes.
    pub bytes: u64,
}

/// `POST /v1/run/fail`: gives up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RunFail {
    /// Why, in words.
    pub message: String,
    /// Idempotency key of this run: with it, a repeated request counts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
