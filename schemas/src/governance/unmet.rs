//! No path: the demands that together cannot be met, and the smallest changes that would meet them.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};

use super::MAX_SEARCH_STEPS;
use super::duties::{Demand, What};
use super::problem::{Supposed, TooHard, World};
use crate::document::governance::StageKind;
use crate::unit::name::{Skill, Slug};

/// Changes that are tried at most, before it is said that none was found.
const MAX_CHANGES_TRIED: usize = 512;

/// Why there is no lawful path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// Demands that together cannot be met. None where nobody is there at all.
    pub demands: Vec<Demand>,
    /// Without any one of them the rest of them could be met. Not so where the search for that took too long.
    pub minimal: bool,
    /// What would make a path, each by itself, with as few steps as there can be of its kind.
    pub changes: Vec<Vec<Change>>,
}

/// One step of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Somebody gets what they lack.
    Give(Slug, Thing),
    /// There is somebody new.
    Newcomer {
        /// A person, an agent, or either.
        kind: StageKind,
        /// What they have.
        with: Vec<Thing>,
        /// The class of their model, if they are an agent.
        model_class: Option<Slug>,
        /// What they would do.
        stages: Vec<Slug>,
    },
    /// A rule goes.
    Drop(Slug),
}

/// What can be given to somebody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// A skill.
    Skill(Skill),
    /// A clearance.
    Clearance(Slug),
    /// Membership in a group.
    Group(Slug),
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skill(name) => write!(f, "the skill {name}"),
            Self::Clearance(name) => write!(f, "the clearance {name}"),
            Self::Group(name) => write!(f, "the group {name}"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Give(name, thing) => write!(f, "give {name} {thing}"),
            Self::Drop(rule) => write!(f, "drop the rule {rule}"),
            Self::Newcomer { kind, with, model_class, stages } => {
                f.write_str(match kind {
                    StageKind::Agent => "one more agent",
                    StageKind::Person => "one more person",
                    StageKind::Either => "one more agent or person",
                })?;
                let mut with: Vec<String> = with.iter().map(ToString::to_string).collect();
                with.extend(model_class.iter().map(|class| format!("the model class {class}")));
                if !with.is_empty() {
                    write!(f, " with {}", with.join(", "))?;
                }
                let stages: Vec<&str> = stages.iter().map(Slug::as_str).collect();
                write!(f, " for {}", stages.join(" and "))
            }
        }
    }
}

impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A change of the supposed world, with the words for it.
type Step = (Change, Supposed);

pub(super) fn explain(world: &World<'_>) -> Unmet {
    let mut steps = MAX_SEARCH_STEPS;
    let (kept, minimal) = core(world, &mut steps);
    let changes =
        if world.principals.is_empty() && kept.is_empty() { Vec::new() } else { changes(world, &kept, &mut steps) };
    Unmet { demands: kept.iter().map(|at| world.duties.demands[*at].clone()).collect(), minimal, changes }
}

/// A minimal set of demands without a path, by leaving out as many as can go at a time.
fn core(world: &World<'_>, steps: &mut u64) -> (Vec<usize>, bool) {
    let total = world.duties.demands.len();
    let mut kept: Vec<usize> = (0..total).collect();
    let mut size = total.div_ceil(2).max(1);
    let mut minimal = true;
    loop {
        let mut at = 0;
        while at < kept.len() {
            let end = (at + size).min(kept.len());
            let mut holds = vec![false; total];
            kept[..at].iter().chain(&kept[end..]).for_each(|demand| holds[*demand] = true);
            match world.has_path(&holds, &Supposed::default(), steps) {
                Ok(false) => {
                    kept.drain(at..end);
                }
                Ok(true) => at = end,
                Err(TooHard) => (minimal, at) = (false, end),
            }
        }
        if size == 1 {
            return (kept, minimal);
        }
        size = size.div_ceil(2);
    }
}

fn changes(world: &World<'_>, core: &[usize], steps: &mut u64) -> Vec<Vec<Change>> {
    let mut trial = Trial { world, steps, left: MAX_CHANGES_TRIED };
    let all = vec![true; world.duties.demands.len()];
    let (gifts, newcomers) = (gifts(world, core), newcomers(world));
    let mut found: Vec<Vec<Change>> = Vec::new();
    found.extend(trial.first(&all, gifts.iter().map(|step| vec![step])));
    found.extend(trial.first(&all, newcomers.iter().map(|step| vec![step])));
    let rules: Vec<&Slug> = core.iter().map(|at| &world.duties.demands[*at].rule).collect();
    let rules: BTreeSet<&Slug> = rules.into_iter().collect();
    if found.is_empty() {
        let people = newcomers.iter().enumerate();
        let two = people.clone().flat_map(|(nth, one)| newcomers[nth..].iter().map(move |other| vec![one, other]));
        let mixed = gifts.iter().flat_map(|gift| newcomers.iter().map(move |step| vec![gift, step]));
        found.extend(trial.first(&all, two.chain(mixed)));
    }
    let dropped = rules.into_iter().find(|rule| {
        let holds: Vec<bool> = world.duties.demands.iter().map(|demand| demand.rule != **rule).collect();
        trial.works(&holds, &Supposed::default())
    });
    found.extend(dropped.map(|rule| vec![Change::Drop(rule.clone())]));
    found
}

struct Trial<'a, 'b> {
    world: &'a World<'b>,
    steps: &'a mut u64,
    left: usize,
}

impl Trial<'_, '_> {
    fn works(&mut self, holds: &[bool], supposed: &Supposed) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.world.has_path(holds, supposed, self.steps) == Ok(true)
    }

    /// The first of these that makes a path.
    fn first<'s>(&mut self, holds: &[bool], tries: impl Iterator<Item = Vec<&'s Step>>) -> Option<Vec<Change>> {
        for steps in tries {
            let mut supposed = Supposed::default();
            for (_, step) in &steps {
                supposed.met.extend(&step.met);
                supposed.newcomers.extend(&step.newcomers);
            }
            if self.works(holds, &supposed) {
                return Some(steps.into_iter().map(|(change, _)| change.clone()).collect());
            }
        }
        None
    }
}

fn thing(what: &What) -> Option<Thing> {
    match what {
        What::Skill(_, skill) => Some(Thing::Skill(skill.clone())),
        What::Clearance(_, clearance) => Some(Thing::Clearance(clearance.clone())),
        What::Group(_, group) => Some(Thing::Group(group.clone())),
        _ => None,
    }
}

/// Demands of single principals that concern a stage, and what is bound to it.
fn single<'a>(world: &'a World<'_>, class: usize, classes: &'a [usize]) -> impl Iterator<Item = (usize, &'a What)> {
    let demands = world.duties.demands.iter().map(|demand| &demand.what).enumerate();
    demands.filter(move |(_, what)| what.stages().len() == 1 && classes[what.stages()[0].index] == class)
}

/// Each one thing that makes somebody able to do a stage of the core, the cheapest first. Of those who then can do the
/// same stages only as many as a path can need.
fn gifts(world: &World<'_>, core: &[usize]) -> Vec<Step> {
    let classes = world.classes();
    let stages = core.iter().flat_map(|at| world.duties.demands[*at].what.stages());
    let concerned: BTreeSet<usize> = stages.map(|at| classes[at.index]).collect();
    let mut people: Vec<usize> = (0..world.principals.len()).collect();
    people.sort_by_key(|who| (world.principals[*who].cost, *who));
    let mut gifts = Vec::new();
    let mut alike: BTreeSet<(Vec<bool>, Thing)> = BTreeSet::new();
    for who in people {
        for class in &concerned {
            let lacks: Vec<&What> = single(world, *class, &classes)
                .filter(|(at, _)| !world.is_met(*at, who))
                .map(|(_, what)| what)
                .collect();
            let things: BTreeSet<Option<Thing>> = lacks.iter().map(|what| thing(what)).collect();
            let mut things = things.into_iter();
            let (Some(Some(given)), None) = (things.next(), things.next()) else { continue };
            let demands = world.duties.demands.iter().enumerate();
            let met = demands.filter(|(_, demand)| thing(&demand.what).as_ref() == Some(&given));
            let met: Vec<(usize, usize)> = met.map(|(at, _)| (at, who)).collect();
            let can = (0..world.duties.demands.len()).map(|at| world.is_met(at, who)).collect();
            if alike.insert((can, given.clone())) {
                let change = Change::Give(world.principals[who].name.clone(), given);
                gifts.push((change, Supposed { met, newcomers: Vec::new() }));
            }
        }
    }
    gifts
}

/// For each stage somebody new who can do it, and what is bound to it.
fn newcomers(world: &World<'_>) -> Vec<Step> {
    let classes = world.classes();
    let mut newcomers = Vec::new();
    for class in (0..classes.len()).filter(|at| classes[*at] == *at) {
        let demands: Vec<&What> = single(world, class, &classes).map(|(_, what)| what).collect();
        let kinds: Vec<StageKind> =
            demands.iter().filter_map(|what| if let What::Kind(_, kind) = what { Some(*kind) } else { None }).collect();
        let models: BTreeSet<&Slug> = demands
            .iter()
            .filter_map(|what| if let What::ModelClass(_, class) = what { Some(class) } else { None })
            .collect();
        let mut kind = kinds.first().copied().unwrap_or(StageKind::Either);
        if kinds.iter().any(|other| *other != kind) || (models.len() > 1 && kind == StageKind::Agent) {
            continue;
        }
        if models.len() > 1 {
            kind = StageKind::Person;
        }
        let model_class = models.first().filter(|_| kind != StageKind::Person).map(|class| (*class).clone());
        let with: BTreeSet<Thing> = demands.iter().filter_map(|what| thing(what)).collect();
        let stages = (0..classes.len()).filter(|stage| classes[*stage] == class);
        let stages = stages.map(|stage| world.duties.stages[stage].name.clone()).collect();
        let change = Change::Newcomer { kind, with: with.into_iter().collect(), model_class, stages };
        newcomers.push((change, Supposed { met: Vec::new(), newcomers: vec![class] }));
    }
    newcomers
}
