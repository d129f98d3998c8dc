//! The rules that the labels of a work pull in, put together: its stages in order, and every single demand.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::document::governance::{Constraint, GovernanceDocument, Rule, StageKind};
use crate::unit::name::{LabelKey, LabelValue, Skill, Slug};

/// All that rules demand of one work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duties {
    /// The rules that were pulled in.
    pub rules: Vec<Slug>,
    /// The stages, each after those that it waits for.
    pub stages: Vec<StageDuty>,
    /// What is demanded of them.
    pub demands: Vec<Demand>,
}

/// One stage of a work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageDuty {
    /// Its name.
    pub name: Slug,
    /// Rules that demand it.
    pub rules: Vec<Slug>,
    /// What it hands in.
    pub evidence: Vec<Slug>,
    /// Stages that are done before.
    pub after: Vec<Slug>,
}

/// One demand of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The rule.
    pub rule: Slug,
    /// What it demands.
    pub what: What,
}

/// What is demanded. Stages are named by their place in [`Duties::stages`] and by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A skill.
    Skill(At, Skill),
    /// An agent, or a person.
    Kind(At, StageKind),
    /// A clearance.
    Clearance(At, Slug),
    /// The class of an agent's model.
    ModelClass(At, Slug),
    /// Membership in a group.
    Group(At, Slug),
    /// Neither the owner of the work nor an agent of theirs.
    NotOwner(At),
    /// So many different principals.
    Count(At, u32),
    /// Nobody does two of them; with `true`, no owner stands behind two of them.
    Separate(Vec<At>, bool),
    /// The same principals do all of them.
    Same(Vec<At>),
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// Its place in [`Duties::stages`].
    pub index: usize,
    /// Its name.
    pub name: Slug,
}

impl What {
    /// The stages that it is about.
    pub fn stages(&self) -> &[At] {
        match self {
            Self::Skill(at, _)
            | Self::Kind(at, _)
            | Self::Clearance(at, _)
            | Self::ModelClass(at, _)
            | Self::Group(at, _)
            | Self::NotOwner(at)
            | Self::Count(at, _) => std::slice::from_ref(at),
            Self::Separate(stages, _) | Self::Same(stages) => stages,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skill(at, skill) => write!(f, "{} needs the skill {skill}", at.name),
            Self::Kind(at, StageKind::Person) => write!(f, "{} is for a person", at.name),
            Self::Kind(at, _) => write!(f, "{} is for an agent", at.name),
            Self::Clearance(at, clearance) => write!(f, "{} needs the clearance {clearance}", at.name),
            Self::ModelClass(at, class) => write!(f, "{} needs the model class {class}", at.name),
            Self::Group(at, group) => write!(f, "{} is for the group {group} alone", at.name),
            Self::NotOwner(at) => write!(f, "{} is not for the owner of the work, nor for an agent of theirs", at.name),
            Self::Count(at, count) => write!(f, "{} takes {count} different principals", at.name),
            Self::Separate(stages, false) => write!(f, "nobody does two of {}", names(stages)),
            Self::Separate(stages, true) => write!(f, "no owner stands behind two of {}", names(stages)),
            Self::Same(stages) => write!(f, "the same principals do {}", names(stages)),
        }
    }
}

fn names(stages: &[At]) -> String {
    let names: Vec<&str> = stages.iter().map(|at| at.name.as_str()).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.join(""),
    }
}

/// Rules that no work can follow, whoever there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// Stages that wait for each other.
    #[error("rule {rule}: the stages {} wait for each other", .stages.iter().map(Slug::as_str).collect::<Vec<_>>().join(", "))]
    Cycle {
        /// The stages.
        stages: Vec<Slug>,
        /// A rule that has one of them.
        rule: Slug,
    },
    /// A stage for an agent and for a person.
    #[error("the rule {agent} has the stage {stage} done by an agent, and the rule {person} by a person")]
    Kinds {
        /// The stage.
        stage: Slug,
        /// The rule that asks for an agent.
        agent: Slug,
        /// The rule that asks for a person.
        person: Slug,
    },
    /// The same principals do two stages, and nobody does both.
    #[error("the rule {rule} separates {one} from {other}, and the rule {same} has the same principals do them")]
    Duties {
        /// One stage.
        one: Slug,
        /// The other.
        other: Slug,
        /// The rule that separates them.
        rule: Slug,
        /// A rule that binds one of them.
        same: Slug,
    },
}

impl Contradiction {
    /// A rule that is part of it.
    pub fn rule(&self) -> &Slug {
        match self {
            Self::Cycle { rule, .. } | Self::Duties { rule, .. } => rule,
            Self::Kinds { person, .. } => person,
        }
    }

    /// What ends it.
    pub const fn way_out(&self) -> &'static str {
        match self {
            Self::Cycle { .. } => "remove one of their \"after\"",
            Self::Kinds { .. } => "keep one of the two, or give them different stages",
            Self::Duties { .. } => "remove \"separate\" or \"same\" for these stages",
        }
    }
}

impl Duties {
    /// What the rules of a document demand of a work with these labels.
    pub fn of(document: &GovernanceDocument, labels: &BTreeMap<LabelKey, LabelValue>) -> Result<Self, Contradiction> {
        Self::together(document.rules.iter().filter(|rule| rule.when.label.meets(labels)))
    }

    /// What these rules demand together.
    pub fn together<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Result<Self, Contradiction> {
        let rules: Vec<&Rule> = rules.into_iter().collect();
        let stages = ordered(merged(&rules))?;
        let at = |name: &Slug| {
            stages.iter().position(|stage| stage.name == *name).map(|index| At { index, name: name.clone() })
        };
        let mut demands = Vec::new();
        for rule in &rules {
            demands.extend(rule_demands(rule, &at).into_iter().map(|what| Demand { rule: rule.id.clone(), what }));
        }
        let duties = Self { rules: rules.iter().map(|rule| rule.id.clone()).collect(), stages, demands };
        duties.kinds_agree()?;
        duties.duties_agree()?;
        Ok(duties)
    }

    fn kinds_agree(&self) -> Result<(), Contradiction> {
        let of = |stage: usize, wanted: StageKind| {
            self.demands
                .iter()
                .find(|demand| matches!(&demand.what, What::Kind(at, kind) if at.index == stage && *kind == wanted))
        };
        for (index, stage) in self.stages.iter().enumerate() {
            if let (Some(agent), Some(person)) = (of(index, StageKind::Agent), of(index, StageKind::Person)) {
                let (agent, person) = (agent.rule.clone(), person.rule.clone());
                return Err(Contradiction::Kinds { stage: stage.name.clone(), agent, person });
            }
        }
        Ok(())
    }

    fn duties_agree(&self) -> Result<(), Contradiction> {
        let classes = classes(self.stages.len(), self.demands.iter().map(|demand| &demand.what));
        for demand in &self.demands {
            let What::Separate(stages, _) = &demand.what else { continue };
            for (nth, one) in stages.iter().enumerate() {
                let Some(other) = stages[nth + 1..].iter().find(|other| classes[other.index] == classes[one.index])
                else {
                    continue;
                };
                let binds = |demand: &&Demand| matches!(&demand.what, What::Same(bound) if bound.iter().any(|at| at.index == one.index));
                let same = self.demands.iter().find(binds).map_or(&demand.rule, |demand| &demand.rule).clone();
                let (one, other) = (one.name.clone(), other.name.clone());
                return Err(Contradiction::Duties { one, other, rule: demand.rule.clone(), same });
            }
        }
        Ok(())
    }
}

/// For each stage the first one that the same principals do.
pub(super) fn classes<'a>(stages: usize, demands: impl IntoIterator<Item = &'a What>) -> Vec<usize> {
    let mut classes: Vec<usize> = (0..stages).collect();
    for what in demands {
        let What::Same(bound) = what else { continue };
        let joined: Vec<usize> = bound.iter().map(|at| classes[at.index]).collect();
        let Some(least) = joined.iter().min().copied() else { continue };
        for class in &mut classes {
            if joined.contains(class) {
                *class = least;
            }
        }
    }
    classes
}

/// Every stage once, with what all rules say of it.
fn merged(rules: &[&Rule]) -> Vec<StageDuty> {
    let mut stages: Vec<StageDuty> = Vec::new();
    for rule in rules {
        for stage in &rule.stages {
            let at = stages.iter().position(|known| known.name == stage.name).unwrap_or_else(|| {
                let (name, rules, evidence, after) = (stage.name.clone(), Vec::new(), Vec::new(), Vec::new());
                stages.push(StageDuty { name, rules, evidence, after });
                stages.len() - 1
            });
            add(&mut stages[at].rules, std::slice::from_ref(&rule.id));
            add(&mut stages[at].evidence, &stage.evidence);
            add(&mut stages[at].after, &stage.after);
        }
    }
    stages
}

fn add(list: &mut Vec<Slug>, more: &[Slug]) {
    for name in more {
        if !list.contains(name) {
            list.push(name.clone());
        }
    }
}

/// Each stage after those that it waits for; else in the order of the file.
fn ordered(mut open: Vec<StageDuty>) -> Result<Vec<StageDuty>, Contradiction> {
    let mut done: Vec<StageDuty> = Vec::new();
    while !open.is_empty() {
        let may = |stage: &StageDuty| stage.after.iter().all(|name| done.iter().any(|before| before.name == *name));
        match open.iter().position(may) {
            Some(at) => done.push(open.remove(at)),
            None => return Err(cycle(&open)),
        }
    }
    Ok(done)
}

/// Stages that wait for each other, found by going back from one to what it waits for until one comes again.
fn cycle(open: &[StageDuty]) -> Contradiction {
    let mut way: Vec<&StageDuty> = Vec::new();
    let mut at = open.first();
    while let Some(stage) = at {
        if let Some(first) = way.iter().position(|seen| seen.name == stage.name) {
            way.drain(..first);
            break;
        }
        way.push(stage);
        at = open.iter().find(|before| stage.after.contains(&before.name));
    }
    let rule = way
        .iter()
        .flat_map(|stage| &stage.rules)
        .next_back()
        .or_else(|| open.iter().flat_map(|stage| &stage.rules).next());
    // Every stage was demanded by a rule.
    let rule = rule.cloned().unwrap_or_else(|| open[0].name.clone());
    Contradiction::Cycle { stages: way.into_iter().map(|stage| stage.name.clone()).collect(), rule }
}

fn rule_demands(rule: &Rule, at: &impl Fn(&Slug) -> Option<At>) -> Vec<What> {
    let mut demands = Vec::new();
    for stage in &rule.stages {
        let Some(here) = at(&stage.name) else { continue };
        demands.extend(stage.needs.iter().map(|skill| What::Skill(here.clone(), skill.clone())));
        let kind = stage.kind.filter(|kind| *kind != StageKind::Either);
        demands.extend(kind.map(|kind| What::Kind(here.clone(), kind)));
        demands.extend(stage.clearance.iter().map(|clearance| What::Clearance(here.clone(), clearance.clone())));
        demands.extend(stage.model_class.iter().map(|class| What::ModelClass(here.clone(), class.clone())));
        demands.extend(stage.count.filter(|count| *count > 1).map(|count| What::Count(here, count)));
    }
    demands.extend(rule.constraints.iter().filter_map(|constraint| constraint_demand(constraint, at)));
    demands
}

fn constraint_demand(constraint: &Constraint, at: &impl Fn(&Slug) -> Option<At>) -> Option<What> {
    let all = |names: &[Slug]| names.iter().filter_map(at).collect::<Vec<_>>();
    match constraint {
        Constraint { separate: Some(stages), owners, .. } => Some(What::Separate(all(stages), *owners)),
        Constraint { same: Some(stages), .. } => Some(What::Same(all(stages))),
        Constraint { not_owner_of_work: Some(stage), .. } => at(stage).map(What::NotOwner),
        Constraint { only: Some(only), .. } => at(&only.stage).map(|at| What::Group(at, only.group.clone())),
        _ => None,
    }
}
