//! The agents' door: HTTP/1.1 with JSON on a unix socket. Paths and documents; `docs/http.md` shows them with curl and
//! `docs/openapi.json` is generated from these types. What runs that agentd starts say at their own sockets is in [`run`].

pub mod run;

use serde::{Deserialize, Serialize};

use crate::document::{Acceptance, WorkDocument};
use crate::event::{AmountSource, Verdict};
use crate::id::{Fence, RunId, WorkId};
use crate::key::dsse::Envelope;
use crate::unit::name::{Skill, Slug};
use crate::unit::time::WallMs;

/// Bytes of one request, at most.
pub const MAX_REQUEST_BYTES: usize = 8 << 20;
/// Seconds that a claim waits for work, at most.
pub const MAX_POLL_S: u32 = 60;
/// Bytes of a progress line, at most.
pub const MAX_PROGRESS_BYTES: usize = 1024;
/// Bytes of a note or of a failure message, at most.
pub const MAX_NOTE_BYTES: usize = 64 << 10;
/// Bytes of a result, at most.
pub const MAX_RESULT_BYTES: usize = 4 << 20;

/// `GET /v1/health`: who is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Health {
    /// Version of the daemon.
    pub version: String,
    /// Origin of the ledger; part of every statement.
    pub origin: String,
    /// Trust domain of the host; part of every possession proof.
    pub trust_domain: String,
}

/// `POST /v1/challenge`: asks for a nonce.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// Who wants to prove itself.
    pub agent: Slug,
}

/// The nonce, and the exact text to sign.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChallengeResponse {
    /// Good once, for five minutes.
    pub nonce: String,
    /// The possession message: sign these bytes with the agent's key, raw or with
    /// `ssh-keygen -Y sign -n agentd-authenticate`.
    pub message: String,
}

/// `POST /v1/token`: proves possession.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Who.
    pub agent: Slug,
    /// From the challenge.
    pub nonce: String,
    /// Raw Ed25519 signature in base64, or an armored SSH signature.
    pub signature: String,
}

/// A bearer token, bound to the uid of the caller.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenResponse {
    /// Send it as `authorization: Bearer …`.
    pub token: String,
    /// How long it lives.
    pub expires_in_s: u32,
    /// `spiffe://…`.
    pub agent_id: String,
    /// Origin of the ledger; part of every statement.
    pub origin: String,
}

/// `POST /v1/claim`: asks for work and waits for it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ClaimRequest {
    /// Seconds to wait when there is nothing, 0 to 60.
    pub wait_s: u32,
    /// How long the lease lives without a heartbeat, in seconds; 60 by default, 5 to 3600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_s: Option<u32>,
    /// Idempotency key: with it, who repeats the request because the answer was lost gets the same work under the same
    /// fence. A request that got nothing may be repeated under its key too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A claimed work. No work within the wait: status 204 and no body.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Claim {
    /// The work.
    pub work: WorkId,
    /// The run.
    pub run: RunId,
    /// Send it with everything about this run.
    pub fence: Fence,
    /// How long the lease lives without a heartbeat.
    pub lease_s: u32,
    /// Model epoch under which it was claimed.
    pub epoch: u32,
    /// 1 for the first.
    pub attempt: u32,
    /// Attempts in all.
    pub max_attempts: u32,
    /// One line.
    pub title: String,
    /// What to do, always: the title where the work says no more.
    pub instructions: String,
    /// Data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<serde_json::Value>,
    /// Skills it asked for.
    pub required_skills: Vec<Skill>,
    /// The JSON Schemas that will judge the result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schemas: Vec<serde_json::Value>,
    /// The other criteria that machines will judge: commands, rules for changes, files, artefacts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Acceptance>,
    /// Whether a person will judge it too.
    pub judged_by_person: bool,
    /// SHA-256 (hex) over the criteria; part of the statement.
    pub acceptance: String,
    /// What became of the attempt before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousAttempt>,
    /// Results of the works it depends on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<DependencyResult>,
    /// Running time left for this attempt, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    /// Money left, in micro-USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_left_micro_usd: Option<u64>,
    /// Tokens left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_left: Option<u64>,
    /// When it should be over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_by: Option<WallMs>,
}

/// What became of the attempt before.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PreviousAttempt {
    /// Why it failed.
    pub reason: crate::event::FailureReason,
    /// What the criteria said.
    pub verdicts: Vec<Verdict>,
    /// What was said about it: schema errors, a person's reason, the agent's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its result, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

/// The result of a dependency.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DependencyResult {
    /// The work.
    pub work: WorkId,
    /// Its title.
    pub title: String,
    /// Its result, as text; absent where it failed or was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

/// `POST /v1/runs/{run}/heartbeat`: the lease begins anew. Progress is held in memory only.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The fence of the claim.
    pub fence: Fence,
    /// What it is doing now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// It stands still, as the directive `freeze` asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub frozen: bool,
}

/// What the run must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Directive {
    /// Go on.
    Continue,
    /// Stand still until `continue`; keep sending heartbeats.
    Freeze,
    /// Spend nothing until `continue`; a person must raise a limit or answer.
    Wait,
}

/// The answer to everything about a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunStatus {
    /// What the run must do.
    pub directive: Directive,
    /// Why, when it is not `continue`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long the lease lives from now.
    pub lease_s: u32,
    /// Notes and answers of persons since the claim, oldest first, at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Log index of the reservation that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<u64>,
}

/// `POST /v1/runs/{run}/start`, and other requests that say nothing but the fence.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Fenced {
    /// The fence of the claim.
    pub fence: Fence,
}

/// `POST /v1/runs/{run}/reserve`: sets money and tokens aside before they are spent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reserve {
    /// The fence of the claim.
    pub fence: Fence,
    /// Money.
    #[serde(default)]
    pub micro_usd: u64,
    /// Tokens.
    #[serde(default)]
    pub tokens: u64,
    /// Idempotency key: with it, a repeated request counts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// `POST /v1/runs/{run}/cost`: what was spent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// The fence of the claim.
    pub fence: Fence,
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
    #[serde(default, deserialize_with = "said_source", skip_serializing_if = "Option::is_none")]
    pub source: Option<AmountSource>,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_model: Option<String>,
    /// Idempotency key: with it, a repeated request counts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// `POST /v1/runs/{run}/note`, and `/ask`, which also waits for a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// The fence of the claim.
    pub fence: Fence,
    /// The words.
    pub text: String,
    /// Idempotency key: with it, a repeated request counts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// `POST /v1/runs/{run}/children`: submits works as parts of this one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Children {
    /// The fence of the claim.
    pub fence: Fence,
    /// The works; their `parent` is set by the daemon.
    pub works: Vec<WorkDocument>,
    /// Idempotency key: with it, a repeated request makes them once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// `POST /v1/runs/{run}/complete`: hands in the result with the agent's signature over it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Complete {
    /// The fence of the claim.
    pub fence: Fence,
    /// The exact result as text; its UTF-8 bytes are what the statement's digest is over. JSON where a schema judges it.
    pub result: String,
    /// DSSE envelope over an in-toto statement whose subject is the result.
    pub statement: Envelope,
}

/// The answer to a completion.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Completed {
    /// The state of the work now: `completed`, `verifying`, `scheduled` (rejected, another attempt follows), `failed`.
    pub state: crate::event::WorkState,
    /// What the criteria said.
    pub verdicts: Vec<Verdict>,
    /// Schema errors, when a criterion was not met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// `POST /v1/runs/{run}/fail`: gives up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Fail {
    /// The fence of the claim.
    pub fence: Fence,
    /// Why, in words.
    pub message: String,
    /// Idempotency key: with it, a repeated request counts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Reads a source, and does not advertise the one that an agent may not name.
pub(crate) fn said_source<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<AmountSource>, D::Error> {
    let Some(word) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    match word.as_str() {
        "reported" => Ok(Some(AmountSource::Reported)),
        "estimated" => Ok(Some(AmountSource::Estimated)),
        "metered" => Ok(Some(AmountSource::Metered)),
        _ => Err(serde::de::Error::custom("a source is reported or estimated")),
    }
}
