//! What runs that agentd starts made, wrote and used.

use serde::{Deserialize, Serialize};

use crate::event::ArtefactRef;
use crate::id::RunId;
use crate::launch::{Ending, StopCause, Usage};
use crate::unit::money::Usd;

/// The answer to an upload: what the daemon has now, for who handed it in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UploadedView {
    /// SHA-256 (hex) of the bytes.
    pub sha256: String,
    /// How many they are.
    pub bytes: u64,
}

/// One artefact of a work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ArtefactView {
    /// The run that made it.
    pub run: RunId,
    /// Name, digest, size.
    #[serde(flatten)]
    pub artefact: ArtefactRef,
    /// Whether the bytes are still here.
    pub kept: bool,
}

/// How the program of a run ended, and what the run used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EndedView {
    /// How.
    pub ending: Ending,
    /// Why it was made to end, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StopCause>,
    /// What all steps used.
    pub usage: Usage,
    /// Bytes that it wrote to standard output.
    pub stdout_bytes: u64,
    /// Bytes that it wrote to standard error.
    pub stderr_bytes: u64,
}

/// A stretch of what the program of a run wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OutputView {
    /// The run.
    pub run: RunId,
    /// The bytes as text; what is no UTF-8 is replaced.
    pub text: String,
    /// Where the next stretch begins, in bytes.
    pub next: u64,
    /// Whether nothing more will come.
    pub ended: bool,
    /// What it is doing now, where that is known: `preparing`, `running`, `judging`.
    pub step: String,
}

/// Which spending to sum up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CostFilter {
    /// `work` (default), `agent`, `owner`, `model`, or `label:KEY`.
    pub by: String,
    /// Runs claimed from this time on, Unix milliseconds.
    pub since_ms: i64,
}

/// What one class of runs used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CostRow {
    /// The work, agent, uid, model or label value; empty for those that have none.
    pub of: String,
    /// Runs.
    pub runs: u64,
    /// Those that completed their work.
    pub completed: u64,
    /// Money.
    pub spent: Usd,
    /// Whether some of it has no price.
    pub unpriced: bool,
    /// Tokens.
    pub tokens: u64,
    /// Runs whose compute was measured.
    pub measured: u64,
    /// What those used; `peak_bytes` is the largest.
    pub usage: Usage,
}

/// What a collection of garbage removed, or would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GarbageView {
    /// Whether nothing was removed.
    pub dry_run: bool,
    /// What it is: `workspace of run w-….1`, `artefact …`, `upload …`, and how many bytes.
    pub removed: Vec<GarbageRow>,
    /// Bytes in all.
    pub bytes: u64,
    /// What could not be removed, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
}

/// One thing that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GarbageRow {
    /// What.
    pub what: String,
    /// Its bytes.
    pub bytes: u64,
}
