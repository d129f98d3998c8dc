//! The record of what was refused: one by one up to a rate per principal, then as counted summaries.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use agentd_schemas::view::host::Denials as Counts;

use crate::domain::Command;
use crate::policy::Caller;

/// Refusals of one principal that are recorded one by one in a period.
pub(super) const RATE: u64 = 10;
/// The period.
pub(super) const PERIOD_MS: u64 = 60_000;
/// Principals that are counted at a time; the rest share one count.
pub(super) const MAX_PRINCIPALS: usize = 1024;
/// Refusals that wait to be written, at most.
const MAX_PENDING: usize = 1024;

/// Refusals of one principal in this period.
#[derive(Default)]
struct Tally {
    seen: u64,
    /// Those that are recorded one by one; the rest is summed.
    alone: u64,
}

#[derive(Default)]
struct State {
    seen: HashMap<String, Tally>,
    began_ms: u64,
    pending: Vec<(Caller, Command)>,
}

/// What was refused and is not written yet.
#[derive(Default)]
pub(crate) struct Denials {
    state: Mutex<State>,
    denied: AtomicU64,
    unauthenticated: AtomicU64,
}

impl Denials {
    /// A rule said no. Whether it waits to be written one by one; otherwise it is in the next sum.
    pub(crate) fn denied(&self, caller: &Caller, action: &str, resource: &str, rule: &str) -> bool {
        self.denied.fetch_add(1, Ordering::Relaxed);
        let command =
            Command::RecordDenial { action: action.to_owned(), resource: resource.to_owned(), rule: rule.to_owned() };
        self.note(&caller.actor.to_string(), caller, command)
    }

    /// A proof failed. Whether it waits to be written one by one.
    pub(crate) fn unauthenticated(&self, uid: u32, claimed: &str, reason: &str) -> bool {
        self.unauthenticated.fetch_add(1, Ordering::Relaxed);
        let claimed = claimed.chars().take(64).collect();
        let caller = Caller::person(uid, false, false);
        let command = Command::RecordAuthenticationFailure { claimed, reason: reason.to_owned() };
        self.note(&format!("uid:{uid}"), &caller, command)
    }

    fn note(&self, principal: &str, caller: &Caller, command: Command) -> bool {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = state.seen.len() < MAX_PRINCIPALS || state.seen.contains_key(principal);
        let room = state.pending.len() < MAX_PENDING;
        let tally = state.seen.entry(if known { principal.to_owned() } else { "others".to_owned() }).or_default();
        tally.seen += 1;
        let alone = tally.alone < RATE && room;
        if alone {
            tally.alone += 1;
            state.pending.push((caller.clone(), command));
        }
        alone
    }

    /// What is to be written now: refusals one by one, and once a period the sums of the rest.
    pub(crate) fn take(&self, now_ms: u64) -> Vec<(Caller, Command)> {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut out = std::mem::take(&mut state.pending);
        let passed = now_ms.saturating_sub(state.began_ms);
        if passed >= PERIOD_MS {
            state.began_ms = now_ms;
            let seen = std::mem::take(&mut state.seen);
            let sums = seen.into_iter().map(|(principal, tally)| (principal, tally.seen - tally.alone));
            out.extend(sums.filter(|(_, count)| *count > 0).map(|(principal, count)| {
                let command = Command::RecordDenials { principal, count, period_ms: passed.min(PERIOD_MS * 2) };
                (Caller::host(), command)
            }));
        }
        out
    }

    /// Counts since the start.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            denied: self.denied.load(Ordering::Relaxed),
            unauthenticated: self.unauthenticated.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_rate_refusals_are_counted_not_written() {
        let denials = Denials::default();
        let caller = Caller::person(7, false, false);
        for _ in 0..RATE + 5 {
            denials.denied(&caller, "work.cancel", "work w", "no_rule");
        }
        assert_eq!(denials.take(PERIOD_MS - 1).len(), usize::try_from(RATE).unwrap());
        let summary = denials.take(PERIOD_MS);
        assert!(matches!(&summary[..], [(_, Command::RecordDenials { count: 5, .. })]), "{summary:?}");
        assert_eq!(denials.counts().denied, RATE + 5);
    }

    #[test]
    fn what_finds_no_place_among_those_that_wait_is_in_the_sum() {
        let denials = Denials::default();
        let uids = u32::try_from(MAX_PENDING).unwrap() + 7;
        for uid in 0..uids {
            denials.denied(&Caller::person(uid, false, false), "work.cancel", "work w", "no_rule");
        }
        let taken = denials.take(PERIOD_MS);
        let sum = |command: &Command| match command {
            Command::RecordDenials { count, .. } => *count,
            _ => 1,
        };
        assert_eq!(taken.iter().map(|(_, command)| sum(command)).sum::<u64>(), u64::from(uids));
        assert!(denials.take(2 * PERIOD_MS).is_empty());
    }
}
