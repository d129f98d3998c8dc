//! A group of few places, solved by a table: for every set of places the best way to fill it with the principals so far.
//!
//! One principal after the other is offered every set of places that they may take together. Where owners are kept
//! apart, all principals of one owner fill a table first, and the owner is then offered as one principal would be.
//! The order of values is kept by adding, so the best of each set is enough to find the best of all.

use super::problem::{Candidate, TooHard};

/// Places of a group, at most.
pub(super) const WIDEST: usize = 14;

/// Places, who may take each, and which are kept apart.
pub(super) struct Group<'a> {
    /// For each place who may take it.
    pub(super) domains: Vec<&'a [Candidate]>,
    /// For each place the others that another principal takes.
    pub(super) apart: Vec<u32>,
    /// For each place the others behind which another owner stands.
    pub(super) owners_apart: Vec<u32>,
    /// For each place the like one that is taken before it.
    pub(super) before: Vec<u32>,
    /// The number of each principal's owner.
    pub(super) owners: &'a [u32],
}

/// The best way to fill a set of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    cost: u64,
    claimed: u32,
    /// Who takes each place, plus one; 0 where the place is not in the set.
    who: [u16; WIDEST],
}

impl Cell {
    const NONE: Self = Self { cost: 0, claimed: 0, who: [0; WIDEST] };

    /// Two ways to fill sets that share no place.
    fn and(&self, other: &Self) -> Self {
        let mut who = self.who;
        who.iter_mut().zip(other.who).for_each(|(mine, theirs)| *mine |= theirs);
        Self { cost: self.cost + other.cost, claimed: self.claimed + other.claimed, who }
    }

    /// Whether filling two sets is better than `known`. Names are compared only where all else is equal.
    fn is_better(&self, other: &Self, known: &Self) -> bool {
        let sum = (self.cost + other.cost, self.claimed + other.claimed);
        sum < (known.cost, known.claimed) || (sum == (known.cost, known.claimed) && self.and(other).who < known.who)
    }
}

/// A set of places that is offered, with the places that must be filled before.
struct Offer {
    set: u32,
    before: u32,
    cell: Cell,
}

/// For every set of places the best way to fill it, where there is one.
struct Table {
    cells: Vec<Option<Cell>>,
    any: bool,
}

impl Table {
    fn new(places: usize, any: bool) -> Self {
        let mut cells = vec![None; 1 << places];
        cells[0] = Some(Cell::NONE);
        Self { cells, any }
    }

    /// Takes up each set at most once, where the union is allowed.
    fn offer(&mut self, offers: &[Offer], allowed: &[bool], steps: &mut u64) -> Result<(), TooHard> {
        // Larger sets first: what is added now is not added to.
        for set in (0..self.cells.len()).rev() {
            let Some(cell) = self.cells[set] else { continue };
            step(steps, offers.len())?;
            let filled = u32::try_from(set).unwrap_or(u32::MAX);
            for offer in offers.iter().filter(|offer| offer.set & filled == 0 && offer.before & !filled == 0) {
                let union = set | offer.set as usize;
                let better = self.cells[union].is_none_or(|known| !self.any && cell.is_better(&offer.cell, &known));
                if better && allowed[union] {
                    self.cells[union] = Some(cell.and(&offer.cell));
                }
            }
        }
        Ok(())
    }
}

/// Takes steps, and says when there are no more.
pub(super) fn step(left: &mut u64, steps: usize) -> Result<(), TooHard> {
    *left = left.checked_sub(u64::try_from(steps).unwrap_or(u64::MAX)).ok_or(TooHard)?;
    Ok(())
}

/// Who takes each place in the best way, or with `any` in some way.
pub(super) fn solve(group: &Group<'_>, steps: &mut u64, any: bool) -> Result<Option<Vec<Candidate>>, TooHard> {
    let places = group.domains.len();
    let (alone, owned) = (independent(&group.apart), independent(&group.owners_apart));
    let with_owners = group.owners_apart.iter().any(|near| *near != 0);
    let mut people: Vec<u16> = group.domains.iter().copied().flatten().map(|candidate| candidate.who).collect();
    let owner = |who: u16| group.owners[usize::from(who)];
    people.sort_unstable_by_key(|who| (if with_owners { owner(*who) } else { 0 }, *who));
    people.dedup();
    let mut table = Table::new(places, any);
    let all = vec![true; 1 << places];
    if with_owners {
        for people in people.chunk_by(|one, other| owner(*one) == owner(*other)) {
            let mut own = Table::new(places, any);
            for who in people {
                own.offer(&offers(group, *who, &alone, false), &owned, steps)?;
            }
            let sets = own.cells.into_iter().enumerate().skip(1);
            let offers =
                sets.filter_map(|(set, cell)| Some(Offer { set: u32::try_from(set).ok()?, before: 0, cell: cell? }));
            table.offer(&offers.collect::<Vec<_>>(), &all, steps)?;
        }
    } else {
        for who in people {
            table.offer(&offers(group, who, &alone, true), &all, steps)?;
            if any && table.cells[all.len() - 1].is_some() {
                break;
            }
        }
    }
    let Some(full) = table.cells[all.len() - 1] else { return Ok(None) };
    let picks = group
        .domains
        .iter()
        .zip(full.who)
        .filter_map(|(domain, who)| domain.iter().find(|candidate| candidate.who + 1 == who).copied());
    Ok(Some(picks.collect()))
}

/// For every set of places whether none of it is kept apart from another.
fn independent(apart: &[u32]) -> Vec<bool> {
    let mut sets = vec![true; 1 << apart.len()];
    for set in 1..sets.len() {
        let lowest = set.trailing_zeros() as usize;
        let rest = set & (set - 1);
        sets[set] = sets[rest] && apart[lowest] as usize & rest == 0;
    }
    sets
}

/// Every set of places that one principal may take.
fn offers(group: &Group<'_>, who: u16, alone: &[bool], in_order: bool) -> Vec<Offer> {
    let own: Vec<Option<&Candidate>> =
        group.domains.iter().map(|domain| domain.iter().find(|candidate| candidate.who == who)).collect();
    let able = own.iter().enumerate().filter(|(_, own)| own.is_some()).fold(0_u32, |mask, (at, _)| mask | 1 << at);
    let mut offers = Vec::new();
    let mut set = able;
    while set != 0 {
        if alone[set as usize] {
            let mut offer = Offer { set, before: 0, cell: Cell::NONE };
            for (at, candidate) in own.iter().enumerate().filter(|(at, _)| set & (1 << at) != 0) {
                let Some(candidate) = candidate else { continue };
                offer.cell.cost += candidate.cost;
                offer.cell.claimed += candidate.claimed;
                offer.cell.who[at] = candidate.who + 1;
                offer.before |= if in_order { group.before[at] } else { 0 };
            }
            offers.push(offer);
        }
        set = (set - 1) & able;
    }
    offers
}
