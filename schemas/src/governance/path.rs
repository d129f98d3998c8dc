//! A lawful path in words: who does each stage, and why nobody else does.

use serde::Serialize;

use super::duties::What;
use super::problem::World;
use super::solve::Best;
use crate::document::governance::PrincipalKind;
use crate::unit::name::Slug;
use crate::unit::owner::Owner;

/// The cheapest lawful path of a work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Path {
    /// What all of it costs.
    pub cost_micro_usd: u64,
    /// The stages in their order.
    pub stages: Vec<Step>,
}

/// One stage of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The stage.
    pub stage: Slug,
    /// Rules that demand it.
    pub rules: Vec<Slug>,
    /// Stages that are done before.
    pub after: Vec<Slug>,
    /// What it hands in.
    pub evidence: Vec<Slug>,
    /// Who does it, by name.
    pub who: Vec<Pick>,
    /// Who does not do it, by name, and why.
    pub others: Vec<Other>,
}

/// Somebody who does a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pick {
    /// Their name.
    pub name: Slug,
    /// A person or an agent.
    pub kind: PrincipalKind,
    /// Who answers for them.
    pub owner: Owner,
    /// What it costs.
    pub cost_micro_usd: u64,
    /// What the choice rests on.
    pub matched: MatchedBy,
}

/// What a choice rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchedBy {
    /// Every needed skill was demonstrated.
    Demonstrated,
    /// At least one is only claimed.
    Claimed,
    /// No skill is needed.
    NoSkillNeeded,
}

/// Somebody who does not do a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Other {
    /// Their name.
    pub name: Slug,
    /// Whether a rule is against it; else others come before.
    pub barred: bool,
    /// Why.
    pub why: String,
}

pub(super) fn told(world: &World<'_>, best: &Best) -> Path {
    let stages = world.duties.stages.iter().enumerate().map(|(stage, duty)| {
        let who = best.who[stage].iter().map(|who| pick(world, stage, *who)).collect();
        let others = (0..world.principals.len()).filter(|other| !best.who[stage].contains(other));
        let others = others.map(|other| {
            let barred = barred(world, best, stage, other);
            let name = world.principals[other].name.clone();
            let why = barred.clone().unwrap_or_else(|| later(world, best, stage, other));
            Other { name, barred: barred.is_some(), why }
        });
        Step {
            stage: duty.name.clone(),
            rules: duty.rules.clone(),
            after: duty.after.clone(),
            evidence: duty.evidence.clone(),
            who,
            others: others.collect(),
        }
    });
    Path { cost_micro_usd: best.cost, stages: stages.collect() }
}

fn pick(world: &World<'_>, stage: usize, who: usize) -> Pick {
    let principal = world.principals[who];
    Pick {
        name: principal.name.clone(),
        kind: principal.kind,
        owner: principal.owner(),
        cost_micro_usd: principal.cost.0.as_micro(),
        matched: matched(world, stage, who),
    }
}

fn matched(world: &World<'_>, stage: usize, who: usize) -> MatchedBy {
    let mut by = MatchedBy::NoSkillNeeded;
    for (at, demand) in world.duties.demands.iter().enumerate() {
        if matches!(&demand.what, What::Skill(here, _) if here.index == stage) {
            if !world.is_shown(at, who) {
                return MatchedBy::Claimed;
            }
            by = MatchedBy::Demonstrated;
        }
    }
    by
}

/// The first demand that keeps somebody from a stage, the others of the path being as they are.
fn barred(world: &World<'_>, best: &Best, stage: usize, other: usize) -> Option<String> {
    let classes = world.classes();
    let bound: Vec<usize> = (0..classes.len()).filter(|at| classes[*at] == classes[stage]).collect();
    for (at, demand) in world.duties.demands.iter().enumerate() {
        let concerned = demand.what.stages().iter().any(|at| bound.contains(&at.index));
        if concerned && !world.is_met(at, other) {
            return Some(format!("{} (rule {})", demand.what, demand.rule));
        }
    }
    world.duties.demands.iter().find_map(|demand| {
        let What::Separate(stages, owners) = &demand.what else { return None };
        stages.iter().find(|at| bound.contains(&at.index))?;
        let away = stages.iter().filter(|at| !bound.contains(&at.index));
        let mut takers = away.flat_map(|at| best.who[at.index].iter().map(move |who| (at, *who)));
        let (at, who) = takers.find(|(_, who)| {
            *who == other || (*owners && world.principals[*who].owner() == world.principals[other].owner())
        })?;
        let (name, rule) = (&world.principals[who].name, &demand.rule);
        let does = if who == other {
            format!("does {}", at.name)
        } else {
            format!("has the owner of {name}, who does {}", at.name)
        };
        Some(format!("{does}, which is separate (rule {rule})"))
    })
}

/// Why somebody who may do a stage is not taken: others come before.
fn later(world: &World<'_>, best: &Best, stage: usize, other: usize) -> String {
    let order = |who: usize| {
        let is_claimed = matched(world, stage, who) == MatchedBy::Claimed;
        (world.principals[who].cost, is_claimed, who)
    };
    let Some(last) = best.who[stage].iter().copied().max_by_key(|who| order(*who)) else { return String::new() };
    let (taken, mine) = (order(last), order(other));
    let name = &world.principals[last].name;
    if mine.0 > taken.0 {
        let more = mine.0.0.saturating_sub(taken.0.0);
        format!("costs {} more than {name}", crate::unit::money::Usd(more))
    } else if mine.0 == taken.0 && mine.1 && !taken.1 {
        format!("only claims what {name} demonstrated")
    } else if mine.0 == taken.0 && mine.1 == taken.1 && mine.2 > taken.2 {
        format!("costs as much as {name}, whose name comes first")
    } else {
        "all stages together would not be better".to_owned()
    }
}
