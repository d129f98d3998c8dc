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
    /// How long the sums that could not be written were gathered for.
    late_ms: u64,
    /// The ledger takes nothing: what waits was told to the daemon's own log, and so is what comes.
    unwritten: bool,
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
            if state.unwritten {
                tell(caller, &command);
            }
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
            let passed = passed.min(PERIOD_MS * 2) + std::mem::take(&mut state.late_ms);
            let seen = std::mem::take(&mut state.seen);
            let sums = seen.into_iter().map(|(principal, tally)| (principal, tally.seen - tally.alone));
            out.extend(sums.filter(|(_, count)| *count > 0).map(|(principal, count)| {
                let command = Command::RecordDenials { principal, count, period_ms: passed };
                (Caller::host(), command)
            }));
        }
        out
    }

    /// What could not be written waits for another time, in its order; sums are added to the next ones. So that nothing
    /// of it is lost with the process, the daemon's own log is told, once.
    pub(crate) fn put_back(&self, unwritten: Vec<(Caller, Command)>) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let news = !std::mem::replace(&mut state.unwritten, true);
        let mut pending = Vec::with_capacity(unwritten.len());
        let mut late_ms = 0;
        for (caller, command) in unwritten {
            match command {
                Command::RecordDenials { principal, count, period_ms } => {
                    tell(&caller, &Command::RecordDenials { principal: principal.clone(), count, period_ms });
                    let known = state.seen.len() < MAX_PRINCIPALS || state.seen.contains_key(&principal);
                    state.seen.entry(if known { principal } else { "others".to_owned() }).or_default().seen += count;
                    late_ms = late_ms.max(period_ms);
                }
                command => {
                    if news {
                        tell(&caller, &command);
                    }
                    pending.push((caller, command));
                }
            }
        }
        state.late_ms += late_ms;
        pending.append(&mut state.pending);
        state.pending = pending;
    }

    /// The ledger takes what is written again.
    pub(crate) fn written(&self) {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).unwritten = false;
    }

    /// Counts since the start.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            denied: self.denied.load(Ordering::Relaxed),
            unauthenticated: self.unauthenticated.load(Ordering::Relaxed),
        }
    }
}

/// Tells the daemon's own log of a refusal that is not in the ledger.
pub(super) fn tell(caller: &Caller, command: &Command) {
    let who = &caller.actor;
    match command {
        Command::RecordDenial { action, resource, rule } => {
            tracing::error!("not in the ledger yet: {who} was denied {action} on {resource} ({rule})");
        }
        Command::RecordAuthenticationFailure { claimed, reason } => {
            tracing::error!("not in the ledger yet: {who} was not authenticated as {claimed:?} ({reason})");
        }
        Command::RecordDenials { principal, count, period_ms } => {
            tracing::error!("not in the ledger yet: {count} more refusals of {principal} in {period_ms} ms");
        }
        other => tracing::error!("not in the ledger yet: {other:?} by {who}"),
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
    fn what_could_not_be_written_is_written_later_and_stays_bounded() {
        let denials = Denials::default();
        let caller = Caller::person(7, false, false);
        let flood = |times: u64| {
            for _ in 0..times {
                denials.denied(&caller, "work.cancel", "work w", "no_rule");
            }
        };
        flood(RATE + 5);
        denials.put_back(denials.take(PERIOD_MS));
        for minute in 2..9 {
            flood(RATE + 5);
            let taken = denials.take(minute * PERIOD_MS);
            assert!(taken.len() <= MAX_PENDING + MAX_PRINCIPALS + 1);
            denials.put_back(taken);
        }
        denials.written();
        let taken = denials.take(9 * PERIOD_MS);
        let [alone @ .., (_, Command::RecordDenials { count, period_ms, .. })] = &taken[..] else {
            panic!("{taken:?}")
        };
        assert_eq!(alone.len() as u64 + count, 8 * (RATE + 5), "none is lost");
        assert_eq!(*period_ms, 9 * PERIOD_MS);
        assert!(denials.take(10 * PERIOD_MS).is_empty());
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
