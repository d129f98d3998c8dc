//! `governance.toml`: what labels demand of a work beyond its being done: stages, who may do each, and who may not do two.
//!
//! What the demands mean together is in [`crate::governance`].

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::unit::money::Usd;
use crate::unit::name::{LabelKey, LabelValue, NameError, Skill, Slug};
use crate::unit::owner::Owner;

/// Bytes of the file, at most.
pub const MAX_GOVERNANCE_BYTES: usize = 256 << 10;
/// Rules of the file, at most.
pub const MAX_RULES: usize = 64;
/// Different stages of the file, at most.
pub const MAX_STAGES: usize = 32;
/// Constraints of the file, at most.
pub const MAX_CONSTRAINTS: usize = 256;
/// Principals of the file, at most.
pub const MAX_PRINCIPALS: usize = 4096;
/// Examples of the file, at most.
pub const MAX_EXAMPLES: usize = 256;
/// Principals that one stage takes, at most.
pub const MAX_COUNT: u32 = 8;
/// Skills, clearances, groups or pieces of evidence in one list, at most.
pub const MAX_LISTED: usize = 32;
/// Bytes of what a rule says, at most.
pub const MAX_SAYS_BYTES: usize = 1024;

/// The rules, and the examples that are their tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GovernanceDocument {
    /// What labels demand.
    #[serde(rename = "rule", default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// People and agents of the examples.
    #[serde(rename = "principal", default, skip_serializing_if = "Vec::is_empty")]
    pub principals: Vec<Principal>,
    /// Works with the answer that the rules should give: the tests of the rules.
    #[serde(rename = "example", default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
}

/// What one label demands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, unique in the file.
    pub id: Slug,
    /// Which works it is for.
    pub when: When,
    /// What it is for, in a sentence for people.
    pub says: String,
    /// Stages that the work has, in their order. A stage that several rules name is one stage with all of their demands.
    #[serde(rename = "stage", default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// Who may not do two of them, or has to.
    #[serde(rename = "constraint", default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
}

/// Which works a rule is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct When {
    /// Works with this label: `prod` whatever its value, or `team=payments`.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub label: LabelMatch,
}

/// A label as a rule names it: its key, or its key and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabelMatch {
    /// The key.
    pub key: LabelKey,
    /// The value; any when absent.
    pub value: Option<LabelValue>,
}

impl LabelMatch {
    /// Whether a work with these labels is meant.
    pub fn meets(&self, labels: &BTreeMap<LabelKey, LabelValue>) -> bool {
        labels.get(&self.key).is_some_and(|found| self.value.as_ref().is_none_or(|value| value == found))
    }

    /// Whether a work can be meant by both: a label has one value.
    pub fn meets_with(&self, other: &Self) -> bool {
        self.key != other.key || self.value.is_none() || other.value.is_none() || self.value == other.value
    }
}

impl TryFrom<String> for LabelMatch {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.parse()?)),
            None => (text.as_str(), None),
        };
        Ok(Self { key: key.parse()?, value })
    }
}

impl fmt::Display for LabelMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.key),
            None => self.key.fmt(f),
        }
    }
}

impl From<LabelMatch> for String {
    fn from(label: LabelMatch) -> Self {
        label.to_string()
    }
}

/// What a rule demands of one stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Its name: `prepare`, `implement`, `review`, `sign_off`, or another.
    pub name: Slug,
    /// Skills that who does it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Skill>,
    /// Who does it; either by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<StageKind>,
    /// A clearance that who does it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clearance: Option<Slug>,
    /// The class of the model that an agent thinks with here. A person needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_class: Option<Slug>,
    /// So many different principals do it, 1 to 8; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// What it hands in, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Slug>,
    /// Stages of this rule that are done before it begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Slug>,
}

/// Who may do a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// An agent.
    Agent,
    /// A person.
    Person,
    /// An agent or a person.
    Either,
}

/// What holds between stages of a rule, or between a stage and the work. Exactly one of `separate`, `same`,
/// `not_owner_of_work` and `only`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Constraint {
    /// Four eyes: nobody does two of these stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separate: Option<Vec<Slug>>,
    /// With `separate`: who does them also has different owners. The owner of a person is the person.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub owners: bool,
    /// Binding of duty: whoever does one of these stages does all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same: Option<Vec<Slug>>,
    /// A stage that neither the owner of the work nor an agent of theirs does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_owner_of_work: Option<Slug>,
    /// A stage for the members of one group alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Only>,
}

/// A stage for the members of one group alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Only {
    /// The stage.
    pub stage: Slug,
    /// The group.
    pub group: Slug,
}

/// A person or an agent of the examples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// Its name, unique in the file.
    pub name: Slug,
    /// What it is.
    pub kind: PrincipalKind,
    /// Who answers for an agent. A person is their own owner, under their name or what stands here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// What it says it can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<Skill>,
    /// Which of them judged works have shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub demonstrated: Vec<Skill>,
    /// Clearances that it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clearances: Vec<Slug>,
    /// Groups that it is a member of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Slug>,
    /// The class of the model that an agent thinks with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_class: Option<Slug>,
    /// What one stage costs when it does it: `0.20 USD`; nothing by default.
    #[serde(default, skip_serializing_if = "is_free")]
    pub cost: Usd,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_free(cost: &Usd) -> bool {
    *cost == Usd::default()
}

impl Principal {
    /// Who answers for it.
    pub fn owner(&self) -> Owner {
        self.owner.clone().unwrap_or_else(|| Owner::Name(self.name.to_string()))
    }
}

/// What a principal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A program that thinks with a model.
    Agent,
    /// A human being.
    Person,
}

impl PrincipalKind {
    /// As written in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Person => "person",
        }
    }
}

/// A work, and the answer that the rules should give. Exactly one of `path` and `unmet`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Its name, unique in the file.
    pub name: Slug,
    /// The labels of the work.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// Who the work belongs to.
    pub owner: Owner,
    /// Only these principals are there; all of the file when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principals: Option<Vec<Slug>>,
    /// The cheapest lawful path: who does each stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<BTreeMap<Slug, Vec<Slug>>>,
    /// There is no path, and this rule is among those that together cannot be met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmet: Option<Slug>,
}
