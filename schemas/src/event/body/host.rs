//! The host, its ledger, and what it refused.

use serde::{Deserialize, Serialize};

use crate::document::request::Scope;

/// The first event of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogStarted {
    /// Origin of the checkpoints.
    pub origin: String,
    /// 1 at first.
    pub incarnation: u32,
    /// `h-<32 hex>.agentd.internal` unless configured.
    pub trust_domain: String,
    /// `ssh-ed25519 …`: signs the other keys of the host.
    pub authority_key: String,
    /// `ssh-ed25519 …`: will sign run credentials.
    pub issuer_key: String,
    /// Verifier key of the checkpoints in signed-note form.
    pub log_key: String,
    /// Signatures (base64) of the authority that bind issuer and log key to this host.
    pub key_certificates: Vec<String>,
    /// SHA-256 (hex) that binds the secret of request digests, and tells nothing of it.
    pub request_key: String,
    /// Version of agentd.
    pub agentd: String,
}

/// A restored backup goes on under a new origin, so that nothing signed before can be taken for its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncarnationStarted {
    /// The new origin.
    pub origin: String,
    /// One more than before.
    pub incarnation: u32,
    /// Origin of the backup.
    pub previous_origin: String,
    /// Its size.
    pub previous_size: u64,
    /// Its root, base64.
    pub previous_root: String,
    /// The authority of the new incarnation.
    pub authority_key: String,
    /// The issuer of the new incarnation.
    pub issuer_key: String,
    /// Verifier key of the new checkpoints.
    pub log_key: String,
    /// As in [`LogStarted`].
    pub key_certificates: Vec<String>,
    /// As in [`LogStarted`].
    pub request_key: String,
    /// Why it was restored.
    pub reason: String,
    /// Version of agentd.
    pub agentd: String,
}

/// The daemon serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DaemonStarted {
    /// Version of agentd.
    pub agentd: String,
    /// Whether the run before ended without `DaemonStopped`.
    pub recovered: bool,
    /// SHA-256 (hex) of the configuration in force: every option, as `name = value` on a line, sorted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
}

/// The daemon read its configuration again, and something in it was different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigurationReloaded {
    /// SHA-256 (hex) of the configuration in force from now on, as in `DaemonStarted`.
    pub configuration: String,
    /// The options that count from now on, cut to 64.
    pub changed: Vec<String>,
    /// Those that count from the next start, cut to 64.
    pub pending: Vec<String>,
}

/// The daemon read its host's policies, and they decide from now on, with those that are built in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoliciesLoaded {
    /// SHA-256 (hex) of the set in force, as in `decided` of the events that follow.
    pub set: String,
    /// How many policies are in it, the defaults with them.
    pub policies: u32,
    /// The host's files, each with its SHA-256 (hex).
    pub files: Vec<PolicyFile>,
}

/// A file of the host's policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// Its name in the folder.
    pub name: String,
    /// SHA-256 (hex) of its bytes.
    pub sha256: String,
}

/// The daemon read its host's policies, and did not take them: those before count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoliciesRejected {
    /// Where: `local.cedar:3:14`, or the file or folder alone.
    pub place: String,
    /// What is wrong, cut to 400 bytes.
    pub reason: String,
    /// SHA-256 (hex) of the set that is in force.
    pub set: String,
    /// Whether that is one without the host's policies, since none could be read at the start: what they could forbid is denied.
    pub shut: bool,
}

/// The daemon was asked to stop and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DaemonStopped {
    /// The signal or the command.
    pub reason: String,
}

/// A rule said no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessDenied {
    /// What was asked, `work.cancel`.
    pub action: String,
    /// On what.
    pub resource: String,
    /// The id of the rule that denied; `no_rule`; or `decision` where the state of the thing denied it.
    pub rule: String,
}

/// Somebody failed to prove who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthenticationFailed {
    /// Whom it claimed to be, cut to 64 bytes.
    pub claimed: String,
    /// A stable word: `bad_signature`, `unknown_agent`, `expired_nonce`, `replayed_nonce`, `wrong_uid`, `no_token`,
    /// `malformed_token`, `revoked_key`, `suspended`, `retired`. A token that is unknown or expired is no such failure:
    /// every restart leaves some behind.
    pub reason: String,
}

/// Denials beyond the rate that is recorded one by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenialsSummarised {
    /// Who.
    pub principal: String,
    /// How many were not recorded one by one.
    pub count: u64,
    /// Over how long.
    pub period_ms: u64,
}

/// Starts, schedules and running work stand still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frozen {
    /// What.
    pub scope: Scope,
    /// Why.
    pub reason: String,
}

/// A freeze is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thawed {
    /// What.
    pub scope: Scope,
}

/// The wall clock moved more than an hour against boot time; what wall time triggers is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockJumped {
    /// Forward when positive.
    pub by_ms: i64,
}

/// An operator looked at the clock and let wall-time triggers go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockAccepted {
    /// Why.
    pub reason: String,
}

/// Content and salt of one blob were erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentRedacted {
    /// Log index of the event that commits to it.
    pub event: u64,
    /// Which of its blobs.
    pub slot: u8,
    /// Why.
    pub reason: String,
}

/// The content of a work must be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldPlaced {
    /// Why.
    pub reason: String,
}

/// The content of a work need not be kept any longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldLifted {
    /// Why.
    pub reason: String,
}

/// An effect that an event demanded is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EffectFinished {
    /// Log index of the event that demanded it.
    pub effect: u64,
    /// What it was: `cascade`.
    pub kind: String,
}
