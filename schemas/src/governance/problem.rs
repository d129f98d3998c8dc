//! Duties and principals as the solver sees them: numbers, and a bit for each principal.

use std::collections::HashMap;

use super::duties::{Duties, What, classes};
use super::{Case, MAX_SEARCH_STEPS, solve};
use crate::document::governance::{Principal, PrincipalKind, StageKind};
use crate::unit::owner::Owner;

/// The search was not over within its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooHard;

/// A bit for each principal.
type Bits = Vec<u64>;

/// A work, its duties and who is there, with what each demand says of each principal.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) duties: &'a Duties,
    /// By name: their place here is their rank where all else is equal.
    pub(super) principals: Vec<&'a Principal>,
    /// The number of each principal's owner.
    owners: Vec<u32>,
    /// For each demand who meets it; everybody, where it is not about one principal.
    meets: Vec<Bits>,
    /// For each demand of a skill who demonstrated it.
    shown: Vec<Bits>,
}

/// What would be otherwise, for a question of what would help.
#[derive(Debug, Clone, Default)]
pub(super) struct Supposed {
    /// This principal meets this demand.
    pub(super) met: Vec<(usize, usize)>,
    /// One more principal, who can do all that the same principals do at this stage.
    pub(super) newcomers: Vec<usize>,
}

/// One place on a path that somebody has to take.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// The stages that whoever takes it does.
    pub(super) stages: Vec<usize>,
    /// Who may, best first.
    pub(super) domain: Vec<Candidate>,
}

/// Somebody who may take a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    /// Micro-USD.
    pub(super) cost: u64,
    /// Stages for which a needed skill is only claimed.
    pub(super) claimed: u32,
    /// Place in [`World::principals`].
    pub(super) who: u16,
}

/// How two places are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Apart {
    /// Not at all.
    No,
    /// Different principals.
    Principals,
    /// Different owners.
    Owners,
}

/// Places, who may take each, and which are kept apart.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) slots: Vec<Slot>,
    pub(super) apart: Vec<Vec<Apart>>,
    /// The number of each principal's owner.
    pub(super) owners: Vec<u32>,
}

impl<'a> World<'a> {
    pub(super) fn new(duties: &'a Duties, case: &Case<'a>) -> Self {
        let mut principals = case.principals.clone();
        principals.sort_by(|a, b| a.name.cmp(&b.name));
        let mut numbers: HashMap<Owner, u32> = HashMap::new();
        let mut number = |principal: &&Principal| {
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            *numbers.entry(principal.owner()).or_insert(next)
        };
        let owners = principals.iter().map(&mut number).collect();
        let bits = |is: &dyn Fn(&Principal) -> bool| {
            let mut bits = vec![0; principals.len().div_ceil(64)];
            for (at, _) in principals.iter().enumerate().filter(|(_, principal)| is(principal)) {
                set(&mut bits, at);
            }
            bits
        };
        let meets = duties.demands.iter().map(|demand| bits(&|principal| meets(&demand.what, principal, case.owner)));
        let shown = duties.demands.iter().map(|demand| match &demand.what {
            What::Skill(_, skill) => bits(&|principal| principal.demonstrated.contains(skill)),
            _ => Vec::new(),
        });
        let (meets, shown) = (meets.collect(), shown.collect());
        Self { duties, principals, owners, meets, shown }
    }

    /// The best path under all demands.
    pub(super) fn solve(&self) -> Result<Option<solve::Best>, TooHard> {
        let all = vec![true; self.duties.demands.len()];
        solve::best(&self.problem(&all, &Supposed::default()), &mut MAX_SEARCH_STEPS.clone(), false)
    }

    /// Whether there is a path under some of the demands, if things were as supposed. Takes its steps from `steps`.
    pub(super) fn has_path(&self, demands: &[bool], supposed: &Supposed, steps: &mut u64) -> Result<bool, TooHard> {
        Ok(solve::best(&self.problem(demands, supposed), steps, true)?.is_some())
    }

    /// Whether the principal meets the demand, as far as it is about one principal.
    pub(super) fn is_met(&self, demand: usize, who: usize) -> bool {
        is_set(&self.meets[demand], who)
    }

    /// Whether the principal demonstrated the skill of this demand.
    pub(super) fn is_shown(&self, demand: usize, who: usize) -> bool {
        is_set(&self.shown[demand], who)
    }

    /// For each stage the first one that the same principals do, under all demands.
    pub(super) fn classes(&self) -> Vec<usize> {
        classes(self.duties.stages.len(), self.duties.demands.iter().map(|demand| &demand.what))
    }

    /// The problem under the demands that hold.
    pub(super) fn problem(&self, holds: &[bool], supposed: &Supposed) -> Problem {
        let demands = self.duties.demands.iter().enumerate().filter(|(at, _)| holds[*at]);
        let demands: Vec<(usize, &What)> = demands.map(|(at, demand)| (at, &demand.what)).collect();
        let classes = classes(self.duties.stages.len(), demands.iter().map(|(_, what)| *what));
        let mut owners = self.owners.clone();
        owners.extend((0..).map(|nth| u32::MAX - nth).take(supposed.newcomers.len()));
        let mut slots = Vec::new();
        let mut of_class: Vec<Vec<usize>> = vec![Vec::new(); classes.len()];
        for class in (0..classes.len()).filter(|at| classes[*at] == *at) {
            let stages: Vec<usize> = (0..classes.len()).filter(|stage| classes[*stage] == class).collect();
            let count = demands.iter().filter_map(|(_, what)| match what {
                What::Count(at, count) if classes[at.index] == class => Some(*count),
                _ => None,
            });
            let domain = self.domain(&stages, &demands, supposed);
            for _ in 0..count.max().unwrap_or(1) {
                of_class[class].push(slots.len());
                slots.push(Slot { stages: stages.clone(), domain: domain.clone() });
            }
        }
        let mut apart = vec![vec![Apart::No; slots.len()]; slots.len()];
        let mut keep = |one: usize, other: usize, how: Apart| {
            apart[one][other] = apart[one][other].max(how);
            apart[other][one] = apart[one][other];
        };
        for same in &of_class {
            pairs(same, same, |one, other| keep(one, other, Apart::Principals));
        }
        for (_, what) in &demands {
            let What::Separate(stages, with_owners) = what else { continue };
            let how = if *with_owners { Apart::Owners } else { Apart::Principals };
            for (nth, one) in stages.iter().enumerate() {
                for other in &stages[nth + 1..] {
                    let (one, other) = (&of_class[classes[one.index]], &of_class[classes[other.index]]);
                    pairs(one, other, |one, other| keep(one, other, how));
                }
            }
        }
        Problem { slots, apart, owners }
    }

    /// Who may do all of these stages, best first.
    fn domain(&self, stages: &[usize], demands: &[(usize, &What)], supposed: &Supposed) -> Vec<Candidate> {
        let mut able = vec![u64::MAX; self.principals.len().div_ceil(64)];
        let mut shown = vec![vec![u64::MAX; able.len()]; stages.len()];
        for (at, what) in demands {
            let Some(nth) =
                stages.iter().position(|stage| what.stages().len() == 1 && what.stages()[0].index == *stage)
            else {
                continue;
            };
            let mut meets = self.meets[*at].clone();
            for (_, who) in supposed.met.iter().filter(|(demand, _)| demand == at) {
                set(&mut meets, *who);
            }
            able.iter_mut().zip(&meets).for_each(|(able, meets)| *able &= meets);
            shown[nth].iter_mut().zip(&self.shown[*at]).for_each(|(all, shown)| *all &= shown);
        }
        let times = u64::try_from(stages.len()).unwrap_or(u64::MAX);
        let mut domain: Vec<Candidate> = Vec::new();
        for who in (0..self.principals.len()).filter(|who| is_set(&able, *who)) {
            let cost = self.principals[who].cost.0.as_micro().saturating_mul(times);
            let claimed = shown.iter().filter(|shown| !is_set(shown, who)).count();
            domain.push(candidate(cost, claimed, who));
        }
        for (nth, stage) in supposed.newcomers.iter().enumerate() {
            if stages.contains(stage) {
                domain.push(candidate(0, 0, self.principals.len() + nth));
            }
        }
        domain.sort_unstable();
        domain
    }
}

fn candidate(cost: u64, claimed: usize, who: usize) -> Candidate {
    // There are at most 4,096 principals and 32 stages.
    Candidate { cost, claimed: u32::try_from(claimed).unwrap_or(u32::MAX), who: u16::try_from(who).unwrap_or(u16::MAX) }
}

fn pairs(ones: &[usize], others: &[usize], mut each: impl FnMut(usize, usize)) {
    for one in ones {
        for other in others.iter().filter(|other| *other != one) {
            each(*one, *other);
        }
    }
}

fn set(bits: &mut [u64], at: usize) {
    if let Some(word) = bits.get_mut(at / 64) {
        *word |= 1 << (at % 64);
    }
}

fn is_set(bits: &[u64], at: usize) -> bool {
    bits.get(at / 64).is_some_and(|word| word & (1 << (at % 64)) != 0)
}

/// Whether a principal meets a demand, as far as it is about one principal.
fn meets(what: &What, principal: &Principal, owner: &Owner) -> bool {
    match what {
        What::Skill(_, skill) => principal.skills.contains(skill),
        What::Kind(_, kind) => match principal.kind {
            PrincipalKind::Agent => *kind == StageKind::Agent,
            PrincipalKind::Person => *kind == StageKind::Person,
        },
        What::Clearance(_, clearance) => principal.clearances.contains(clearance),
        What::ModelClass(_, class) => {
            principal.kind == PrincipalKind::Person || principal.model_class.as_ref() == Some(class)
        }
        What::Group(_, group) => principal.groups.contains(group),
        What::NotOwner(_) => principal.owner() != *owner,
        What::Count(..) | What::Separate(..) | What::Same(_) => true,
    }
}
