//! Works that this host cannot start the program of an agent for, and that others of the agent pass. However many there
//! are, those behind them get their turn: the first ones are looked at each time, and beyond them the look goes on where
//! it came to the last time.

use std::sync::PoisonError;

use agentd_schemas::unit::name::Slug;

use super::Supervisor;
use crate::ledger::load::works::{FIRST, Rank};

/// Works that one look passes at the beginning, and as many again where it goes on.
const MAX_PASSED: usize = 64;
/// Works that were found farther behind until the look begins anew: what got ready meanwhile may stand before them.
const MAX_BEHIND: u32 = 64;

/// How far the look for a work of an agent came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reached {
    rank: Rank,
    found: u32,
}

/// What a look came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen<T> {
    /// This one may begin.
    Found(T),
    /// None may.
    None,
    /// Not all were looked at: the next look goes on.
    More,
}

impl<T> Seen<T> {
    /// What was found, as something else.
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Seen<U> {
        match self {
            Self::Found(one) => Seen::Found(change(one)),
            Self::None => Seen::None,
            Self::More => Seen::More,
        }
    }
}

/// Looks for the first thing that nothing is in the way of. `next` gives the first one behind a rank, `stands` says whether
/// something is in its way.
pub(super) fn look<T, E>(
    reached: &mut Option<Reached>,
    mut next: impl FnMut(Rank) -> Result<Option<(Rank, T)>, E>,
    mut stands: impl FnMut(&T) -> Result<bool, E>,
) -> Result<Seen<T>, E> {
    let mut behind = FIRST;
    for passed in 0..2 * MAX_PASSED {
        if passed == MAX_PASSED {
            behind = behind.max(reached.map_or(FIRST, |reached| reached.rank));
        }
        let Some((rank, one)) = next(behind)? else {
            *reached = None;
            return Ok(Seen::None);
        };
        if !stands(&one)? {
            if passed >= MAX_PASSED {
                let found = reached.map_or(0, |reached| reached.found) + 1;
                *reached = (found < MAX_BEHIND).then_some(Reached { rank: behind, found });
            }
            return Ok(Seen::Found(one));
        }
        behind = rank;
    }
    *reached = Some(Reached { rank: behind, found: reached.map_or(0, |reached| reached.found) });
    Ok(Seen::More)
}

impl Supervisor {
    /// How far the look for works of an agent came.
    pub(super) fn reached(&self, agent: &Slug) -> Option<Reached> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).get(agent).copied()
    }

    /// Remembers it.
    pub(super) fn has_reached(&self, agent: &Slug, reached: Option<Reached>) {
        let mut all = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        match reached {
            Some(reached) => all.insert(agent.clone(), reached),
            None => all.remove(agent),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Looks until one is found or all were looked at: what is found, and how many looks that took. Works are numbers in claim
    /// order; those below `held` are held up.
    fn looks(works: &[i64], held: i64, reached: &mut Option<Reached>) -> (Option<i64>, usize) {
        for n in 1..100 {
            let mut asked = 0;
            let next = |behind: Rank| {
                asked += 1;
                let one = works.iter().find(|work| (0, 0, **work) > behind);
                Ok::<_, Infallible>(one.map(|work| ((0, 0, *work), *work)))
            };
            let looked = look(reached, next, |work| Ok(*work < held)).unwrap();
            assert!(asked <= 2 * MAX_PASSED, "one look is bounded");
            match looked {
                Seen::Found(work) => return (Some(work), n),
                Seen::None => return (None, n),
                Seen::More => {}
            }
        }
        panic!("the looks do not end");
    }

    #[test]
    fn however_many_works_are_held_up_those_behind_them_get_their_turn() {
        for held in [0, 1, 63, 64, 65, 127, 128, 129, 1000] {
            let works: Vec<i64> = (0..=held).collect();
            let (found, n) = looks(&works, held, &mut None);
            assert_eq!(found, Some(held), "behind {held}");
            assert!(n <= 1 + usize::try_from(held).unwrap() / MAX_PASSED, "{n} looks for {held}");
            assert_eq!(looks(&works[..works.len() - 1], held, &mut None).0, None, "and with none behind them it ends");
        }
    }

    #[test]
    fn who_is_farther_behind_is_found_at_once_and_keeps_nobody_back() {
        let (mut reached, held) = (None, 1000);
        let mut works: Vec<i64> = (0..2000).collect();
        assert!(looks(&works, held, &mut reached).1 > 1);
        // Each that was found is taken, others come without end, and one that was passed is not held up any more.
        works[500] = held;
        let mut begun = Vec::new();
        for new in 2000..2100 {
            let next = |behind: Rank| {
                let one = works.iter().enumerate().find(|(at, _)| (0, 0, i64::try_from(*at).unwrap()) > behind);
                Ok::<_, Infallible>(one.map(|(at, work)| ((0, 0, i64::try_from(at).unwrap()), (at, *work))))
            };
            if let Seen::Found((at, _)) = look(&mut reached, next, |(_, work)| Ok(*work < held)).unwrap() {
                begun.push(at);
                works[at] = -1;
            }
            works.push(new);
        }
        assert_eq!(begun[..2], [1000, 1001], "the look goes on where it came to");
        assert!(begun.contains(&500), "{begun:?}");
    }

    #[test]
    fn a_work_at_the_front_is_found_first_wherever_the_look_has_come_to() {
        let works: Vec<i64> = (0..1000).collect();
        let mut reached = None;
        assert_eq!(looks(&works, 900, &mut reached).0, Some(900));
        let front = [&[-5][..], &works].concat();
        let next = |behind: Rank| {
            let one = front.iter().find(|work| (0, 0, **work) > behind);
            Ok::<_, Infallible>(one.map(|work| ((0, 0, *work), *work)))
        };
        assert_eq!(look(&mut reached, next, |work| Ok((0..900).contains(work))), Ok(Seen::Found(-5)));
    }
}
