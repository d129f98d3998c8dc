//! Content that is kept in blobs, beside the log.

use serde::{Deserialize, Serialize};

use crate::document::{Acceptance, WorkspaceDocument};

/// Media type of [`WorkContent`].
pub const WORK_CONTENT: &str = "application/vnd.agentd.work+json";
/// Media type of a signed statement (DSSE).
pub const DSSE_ENVELOPE: &str = "application/vnd.dsse.envelope+json";
/// Media type of what the commands that judged wrote: a JSON list of [`JudgeReport`].
pub const JUDGE_REPORT: &str = "application/vnd.agentd.judge-report+json";
/// Media type of notes, errors and other text.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// Media type of the work document of a schedule.
pub const WORK_DOCUMENT: &str = "application/vnd.agentd.work-document+json";

/// What a work says in words, and the schemas that judge it. Blob 0 of `WorkSubmitted`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkContent {
    /// One line.
    pub title: String,
    /// What is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Data for the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<serde_json::Value>,
    /// The JSON Schemas of the criteria, in the order of the criteria; `null` for other kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schemas: Vec<Option<serde_json::Value>>,
    /// The criteria that are no JSON Schema and no person, in the order of the criteria; `null` for those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Option<Acceptance>>,
    /// What its runs find in their workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceDocument>,
}

/// What one command that judged wrote. Blob 3 of an event with a result is a list of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgeReport {
    /// Place in the work's list of criteria.
    pub criterion: u32,
    /// The end of what it wrote to standard output and standard error, as text.
    pub output: String,
}
