//! A service-level objective for a class of work.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::unit::duration::Span;
use crate::unit::name::{LabelKey, LabelValue, Slug};

/// One objective as a person writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ObjectiveDocument {
    /// `[a-z0-9._-]`, unique per owner.
    pub name: Slug,
    /// Works that carry all of these labels count; all works of the owner when empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// What makes a work good.
    #[serde(default)]
    pub indicator: Indicator,
    /// Share of good works, in percent with up to three decimals: `99.5`.
    pub target_percent: String,
    /// Days that count, 1 to 366: `28d`.
    pub window: Span,
}

/// What makes a work good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Indicator {
    /// It was completed.
    #[default]
    Success,
    /// It was started within its `start_within`.
    StartWithin,
    /// It was over within its `finish_within`.
    FinishWithin,
}
