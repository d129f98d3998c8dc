//! `work.toml`: what is wanted, under which limits, and how it will be judged.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::acceptance::Acceptance;
use super::workspace::WorkspaceDocument;
use crate::unit::duration::Span;
use crate::unit::money::Usd;
use crate::unit::name::{LabelKey, LabelValue, Skill, Slug};
use crate::unit::time::{TOML_DATETIME_KEY, WallMs};

/// Bytes of a title, at most.
pub const MAX_TITLE_BYTES: usize = 200;
/// Bytes of instructions, at most.
pub const MAX_INSTRUCTIONS_BYTES: usize = 1 << 20;
/// Bytes of the inputs of one work as JSON, at most.
pub const MAX_INPUTS_BYTES: usize = 1 << 20;
/// Skills of one work, at most.
pub const MAX_SKILLS: usize = 32;
/// Labels of one work, at most.
pub const MAX_LABELS: usize = 32;
/// Dependencies of one work, at most.
pub const MAX_DEPENDENCIES: usize = 256;
/// Direct dependants of one work, at most: they are handed off in one commit.
pub const MAX_DEPENDANTS: usize = 4096;
/// Children of one work, at most.
pub const MAX_CHILDREN: usize = 1024;
/// Acceptance criteria of one work, at most.
pub const MAX_CRITERIA: usize = 16;
/// Bytes of one JSON Schema, at most.
pub const MAX_SCHEMA_BYTES: usize = 128 << 10;
/// Attempts, at most.
pub const MAX_ATTEMPTS: u32 = 100;
/// Works of one bulk submit, at most.
pub const MAX_BULK_ITEMS: usize = 4096;
/// Bytes of one submit, at most.
pub const MAX_BULK_BYTES: usize = 8 << 20;
/// Priorities run from the negative of this to this; higher goes first.
pub const MAX_PRIORITY: i16 = 100;

/// One work as a person writes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct WorkDocument {
    /// One line for lists. Taken from the first line of the instructions when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What the agent is asked to do. A title or instructions are needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Data for the agent, any JSON. A date or time of a TOML file becomes text.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "plain_json")]
    pub inputs: Option<serde_json::Value>,
    /// An agent needs all of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required_skills: Vec<Skill>,
    /// Only this agent may take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Slug>,
    /// Classes for objectives, reports and lists.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// From -100 to 100, 0 by default; higher goes first.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i16,
    /// A name for this work within one bulk submit; others refer to it as `ref:NAME`.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<Slug>,
    /// Ids of works, or `ref:NAME` within one bulk submit, that must be completed first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// What happens when a dependency fails or is cancelled: `cancel` (default), `block` or `run`.
    #[serde(skip_serializing_if = "is_default")]
    pub on_dependency_failure: OnDependencyFailure,
    /// The work that this one is a part of: an id, or `ref:NAME` within one bulk submit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Not handed out before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<WallMs>,
    /// Not started by then: expired. Running then: see `on_deadline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<WallMs>,
    /// What a deadline does to a running work: `breach` (default, noted and counted) or `stop`.
    #[serde(skip_serializing_if = "is_default")]
    pub on_deadline: OnDeadline,
    /// Money, tokens, time and attempts.
    #[serde(skip_serializing_if = "is_default")]
    pub limits: Limits,
    /// Service levels; a breach notifies and counts, it never ends the work.
    #[serde(skip_serializing_if = "is_default")]
    pub slo: ServiceLevel,
    /// What its runs find in their workspace; nothing by default. Only agents that agentd starts have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceDocument>,
    /// Every criterion must be met.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub acceptance: Vec<Acceptance>,
}

/// Any JSON, in which the dates and times of a TOML file are text: JSON has none of its own.
fn plain_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<serde_json::Value>, D::Error> {
    let mut value = Option::<serde_json::Value>::deserialize(deserializer)?;
    let mut open: Vec<&mut serde_json::Value> = value.iter_mut().collect();
    while let Some(value) = open.pop() {
        if let Some(written) = value.get_mut(TOML_DATETIME_KEY) {
            *value = written.take();
            continue;
        }
        match value {
            serde_json::Value::Array(values) => open.extend(values),
            serde_json::Value::Object(fields) => open.extend(fields.values_mut()),
            _ => {}
        }
    }
    // In one order, however they were written: digests are over them.
    value.iter_mut().for_each(serde_json::Value::sort_all_objects);
    Ok(value)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(n: &i16) -> bool {
    *n == 0
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What a failed or cancelled dependency does to its dependants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnDependencyFailure {
    /// The dependant is cancelled.
    #[default]
    Cancel,
    /// The dependant stays blocked until a person retries the dependency or cancels.
    Block,
    /// The dependant runs all the same.
    Run,
}

/// What a deadline does to a work that is running.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnDeadline {
    /// It counts as a breach and goes on.
    #[default]
    Breach,
    /// It is stopped; what was made is kept.
    Stop,
}

/// Limits of one work. At a money or token limit the run waits for a raise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Money over all attempts: `2.00 USD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Usd>,
    /// Tokens over all attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Running time of one attempt: `1h`. Waiting does not count, nor do setup and criteria of a program that agentd starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Attempts until the work fails; 2 by default, 100 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
}

/// Service levels of one work, measured from its submit (or its `not_before`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ServiceLevel {
    /// A first agent has it within this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_within: Option<Span>,
    /// It is over within this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_within: Option<Span>,
}
