//! The search: exact, deterministic, and bounded by steps.
//!
//! Places that nothing keeps apart, not even through others, are independent: each group of places is solved by itself.
//! In a group of `d` places around one, somebody who is not among its `d + 1` best is never needed: one of those better is
//! taken by none of the `d`, and could step in. That makes thousands of principals a few. A group of few places
//! is then solved by [`super::table`]; a larger one by trying who takes the place that is kept apart from most others.

use super::problem::{Apart, Candidate, Problem, TooHard};
use super::table::{self, Group, WIDEST};

/// The best path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Best {
    /// Micro-USD.
    pub(super) cost: u64,
    /// For each stage who does it, by place in the names.
    pub(super) who: Vec<Vec<usize>>,
}

/// Who takes places, and what that is worth. The order is that in which paths are chosen; the places of two that are
/// compared are the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Value {
    cost: u64,
    claimed: u32,
    /// Places in their order, with who takes each.
    picks: Vec<(usize, u16)>,
}

impl Value {
    fn of(picks: impl IntoIterator<Item = (usize, Candidate)>) -> Self {
        let mut value = Self { cost: 0, claimed: 0, picks: Vec::new() };
        for (slot, candidate) in picks {
            value.cost += candidate.cost;
            value.claimed += candidate.claimed;
            value.picks.push((slot, candidate.who));
        }
        value.picks.sort_unstable();
        value
    }

    fn and(mut self, other: Self) -> Self {
        self.cost += other.cost;
        self.claimed += other.claimed;
        self.picks.extend(other.picks);
        self.picks.sort_unstable();
        self
    }
}

/// Places with who may take each, best first.
type Part = Vec<(usize, Vec<Candidate>)>;

/// The best path, or with `any` just one. Takes its steps from `steps`.
pub(super) fn best(problem: &Problem, steps: &mut u64, any: bool) -> Result<Option<Best>, TooHard> {
    within(problem, steps, any, WIDEST)
}

/// The same, with tables of at most so many places.
pub(super) fn within(problem: &Problem, steps: &mut u64, any: bool, widest: usize) -> Result<Option<Best>, TooHard> {
    let part: Part = problem.slots.iter().map(|slot| slot.domain.clone()).enumerate().collect();
    let Some(value) = (Search { problem, steps, any, widest }).all(part)? else { return Ok(None) };
    let stages = problem.slots.iter().flat_map(|slot| &slot.stages).max().map_or(0, |last| last + 1);
    let mut who = vec![Vec::new(); stages];
    for (slot, candidate) in value.picks {
        for stage in &problem.slots[slot].stages {
            who[*stage].push(usize::from(candidate));
        }
    }
    for who in &mut who {
        who.sort_unstable();
    }
    Ok(Some(Best { cost: value.cost, who }))
}

struct Search<'a> {
    problem: &'a Problem,
    steps: &'a mut u64,
    any: bool,
    widest: usize,
}

impl Search<'_> {
    /// Solves all groups of a part.
    fn all(&mut self, part: Part) -> Result<Option<Value>, TooHard> {
        if part.iter().any(|(_, domain)| domain.is_empty()) {
            return Ok(None);
        }
        let mut sum = Value::of([]);
        // Small groups first: where one has no answer, nobody waits for the large ones.
        let mut groups = self.groups(part);
        groups.sort_by_key(Vec::len);
        for group in groups {
            match self.group(group)? {
                Some(value) => sum = sum.and(value),
                None => return Ok(None),
            }
        }
        Ok(Some(sum))
    }

    /// The part in groups that nothing keeps apart from each other.
    fn groups(&self, mut open: Part) -> Vec<Part> {
        let mut groups = Vec::new();
        while let Some(first) = open.pop() {
            let mut group = vec![first];
            let mut at = 0;
            while at < group.len() {
                let apart = &self.problem.apart[group[at].0];
                let (near, far) = open.into_iter().partition(|(slot, _)| apart[*slot] != Apart::No);
                open = far;
                group.extend::<Part>(near);
                at += 1;
            }
            group.sort_by_key(|(slot, _)| *slot);
            groups.push(group);
        }
        groups
    }

    fn group(&mut self, mut group: Part) -> Result<Option<Value>, TooHard> {
        self.step(group.len() * group.len())?;
        shorten(self.problem, &mut group);
        let least = Value::of(group.iter().map(|(slot, domain)| (*slot, domain[0])));
        if self.is_lawful(&least) {
            return Ok(Some(least));
        }
        if group.len() > self.widest {
            return self.branch(&group);
        }
        let slots: Vec<usize> = group.iter().map(|(slot, _)| *slot).collect();
        let found = table::solve(&table(self.problem, &group), self.steps, self.any)?;
        Ok(found.map(|picks| Value::of(slots.into_iter().zip(picks))))
    }

    fn is_lawful(&self, value: &Value) -> bool {
        let owner = |who: u16| self.problem.owners[usize::from(who)];
        value.picks.iter().enumerate().all(|(nth, (one, who))| {
            value.picks[nth + 1..].iter().all(|(other, also)| match self.problem.apart[*one][*other] {
                Apart::No => true,
                Apart::Principals => who != also,
                Apart::Owners => owner(*who) != owner(*also),
            })
        })
    }

    /// Tries who takes the place that is kept apart from most others.
    fn branch(&mut self, group: &Part) -> Result<Option<Value>, TooHard> {
        let near =
            |slot: usize| group.iter().filter(|(other, _)| self.problem.apart[slot][*other] != Apart::No).count();
        let hub = group.iter().enumerate().max_by_key(|(_, (slot, domain))| (near(*slot), usize::MAX - domain.len()));
        let Some((hub, (slot, domain))) = hub else { return Ok(None) };
        let mut best: Option<Value> = None;
        for candidate in domain {
            self.step(group.len())?;
            let others = group.iter().enumerate().filter(|(at, _)| *at != hub);
            let least = others.clone().map(|(_, (slot, domain))| (*slot, domain[0])).chain([(*slot, *candidate)]);
            if best.as_ref().is_some_and(|best| Value::of(least) >= *best) {
                break;
            }
            let rest = others.map(|(_, (other, domain))| (*other, self.without(domain, *slot, *other, *candidate)));
            let Some(rest) = self.all(rest.collect())? else { continue };
            let value = rest.and(Value::of([(*slot, *candidate)]));
            if self.any {
                return Ok(Some(value));
            }
            best = Some(best.map_or_else(|| value.clone(), |best| best.min(value.clone())));
        }
        Ok(best)
    }

    /// Who may still take `other` when this candidate takes `slot`.
    fn without(&self, domain: &[Candidate], slot: usize, other: usize, taken: Candidate) -> Vec<Candidate> {
        let owner = |who: u16| self.problem.owners[usize::from(who)];
        let may = |candidate: &&Candidate| match self.problem.apart[slot][other] {
            Apart::No => true,
            Apart::Principals => candidate.who != taken.who,
            Apart::Owners => owner(candidate.who) != owner(taken.who),
        };
        domain.iter().filter(may).copied().collect()
    }

    fn step(&mut self, steps: usize) -> Result<(), TooHard> {
        table::step(self.steps, steps)
    }
}

/// Leaves out who is never needed.
fn shorten(problem: &Problem, group: &mut Part) {
    let slots: Vec<usize> = group.iter().map(|(slot, _)| *slot).collect();
    let near = |slot: usize| slots.iter().filter(|other| problem.apart[slot][**other] != Apart::No).count() + 1;
    let owners = slots.iter().any(|one| slots.iter().any(|other| problem.apart[*one][*other] == Apart::Owners));
    for (slot, domain) in group {
        let enough = near(*slot);
        if !owners {
            domain.truncate(enough);
            continue;
        }
        let mut of_owner: Vec<(u32, usize)> = Vec::new();
        domain.retain(|candidate| {
            let owner = problem.owners[usize::from(candidate.who)];
            if let Some((_, kept)) = of_owner.iter_mut().find(|(known, _)| *known == owner) {
                *kept += 1;
                return *kept <= enough;
            }
            let is_needed = of_owner.len() < enough;
            if is_needed {
                of_owner.push((owner, 1));
            }
            is_needed
        });
    }
}

/// A group as the table takes it.
fn table<'a>(problem: &'a Problem, group: &'a Part) -> Group<'a> {
    let apart = |least: Apart| {
        let of = |slot: usize| {
            let near = group.iter().enumerate().filter(|(_, (other, _))| problem.apart[slot][*other] >= least);
            near.fold(0, |mask, (at, _)| mask | 1 << at)
        };
        group.iter().map(|(slot, _)| of(*slot)).collect()
    };
    // Places of one stage are alike: they are taken in their order.
    let before = group.iter().enumerate().map(|(at, (slot, _))| {
        let alike = at > 0 && problem.slots[group[at - 1].0].stages == problem.slots[*slot].stages;
        if alike { 1 << (at - 1) } else { 0 }
    });
    Group {
        domains: group.iter().map(|(_, domain)| domain.as_slice()).collect(),
        apart: apart(Apart::Principals),
        owners_apart: apart(Apart::Owners),
        before: before.collect(),
        owners: &problem.owners,
    }
}
