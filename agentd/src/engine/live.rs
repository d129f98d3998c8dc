//! Leases of living runs, in memory: a heartbeat touches nothing else. After a restart in the same boot every living
//! lease gets one full period.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use agentd_schemas::event::{Actor, Event, EventData, Subject, WaitReason};
use agentd_schemas::id::WorkId;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;
use agentd_schemas::unit::time::WallMs;

use crate::domain::command::RunRef;
use crate::ledger::query::claim::Terms;

/// A living run.
#[derive(Debug, Clone)]
pub struct LiveRun {
    /// Work, attempt, fence.
    pub run: RunRef,
    /// The agent.
    pub agent: Slug,
    /// How long the lease lives without a heartbeat.
    pub lease_ms: u64,
    /// When it ends, on boot time.
    pub lease_until: u64,
    /// Running time of this attempt, at most.
    pub timeout_ms: Option<u64>,
    /// When it was claimed, on boot time.
    pub since: u64,
    /// Time that did not count: waiting, frozen.
    pub paused_ms: u64,
    /// Since when it stands still, on boot time.
    pub paused_since: Option<u64>,
    /// What it waits for.
    pub waiting: Option<WaitReason>,
    /// It confirmed that it stands still.
    pub frozen: bool,
    /// What it said last.
    pub progress: Option<String>,
    /// When it said anything last.
    pub heartbeat_at: Option<WallMs>,
    /// Its lease ran out and its end is on the way to the ledger: no heartbeat renews it any more.
    pub ending: bool,
    /// Its program does not run: it is prepared, or what it made is judged.
    pub off_the_clock: bool,
    /// What was agreed; unknown after a restart.
    pub terms: Option<Arc<Terms>>,
}

impl LiveRun {
    /// Running time so far.
    pub fn ran_ms(&self, now: u64) -> u64 {
        let paused_now = self.paused_since.map_or(0, |since| now.saturating_sub(since));
        now.saturating_sub(self.since).saturating_sub(self.paused_ms).saturating_sub(paused_now)
    }

    /// Whether it does anything: it waits for nobody and does not stand still.
    pub(crate) fn works(&self) -> bool {
        !self.ending && !self.frozen && self.waiting.is_none()
    }

    /// Whether its lease holds.
    pub(crate) fn holds(&self, now: u64) -> bool {
        !self.ending && self.lease_until > now
    }

    fn pause(&mut self, now: u64) {
        self.paused_since.get_or_insert(now);
    }

    fn go_on(&mut self, now: u64) {
        if let Some(since) = self.paused_since.take() {
            self.paused_ms += now.saturating_sub(since);
        }
    }
}

/// What a run is told whose lease ran out, though the ledger does not say so yet.
pub(crate) fn ran_out(run: &RunRef) -> Problem {
    let RunRef { work, attempt, fence } = run;
    let message = format!("fence {fence} of run {work}.{attempt} is stale: no heartbeat came for a whole lease");
    Problem::new(Code::StaleFence, message)
        .hint("stop this attempt, discard what it made, and claim again")
        .detail("work", work.to_string())
        .detail("fence", fence.to_string())
}

/// What has run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RanOut {
    /// No heartbeat for a whole lease.
    Lease(RunRef),
    /// Longer than the timeout.
    Timeout(RunRef),
}

/// All living runs.
#[derive(Default)]
pub(crate) struct LiveRuns {
    runs: Mutex<HashMap<WorkId, LiveRun>>,
    /// Runs that somebody else than their agent ended, while their lease would live.
    unheard: Mutex<Vec<LiveRun>>,
}

impl LiveRuns {
    fn with<T>(&self, change: impl FnOnce(&mut HashMap<WorkId, LiveRun>) -> T) -> T {
        let mut runs = self.runs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut runs)
    }

    fn with_unheard<T>(&self, change: impl FnOnce(&mut Vec<LiveRun>) -> T) -> T {
        change(&mut self.unheard.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Runs that are over and may not have heard of it: called off, and neither a heartbeat nor the end of the lease since.
    pub(crate) fn unheard(&self, now: u64) -> Vec<(RunRef, Slug)> {
        self.with_unheard(|runs| {
            runs.retain(|run| run.lease_until > now);
            runs.iter().map(|run| (run.run, run.agent.clone())).collect()
        })
    }

    /// A run is over. There are as many that did not hear of it as there were leases in one period, at most.
    fn end(&self, work: WorkId, event: &Event) {
        let Some(run) = self.with(|runs| runs.remove(&work)) else { return };
        let now = event.envelope.boot_ms;
        if !matches!(&event.envelope.actor, Actor::Agent(name) if *name == run.agent) && run.lease_until > now {
            self.with_unheard(|runs| {
                runs.retain(|run| run.lease_until > now);
                runs.push(run);
            });
        }
    }

    /// Puts a run back after a restart.
    pub(crate) fn insert(&self, run: LiveRun) {
        self.with(|runs| runs.insert(run.run.work, run));
    }

    /// Completes what is known of a run that was just claimed.
    pub(crate) fn agree(&self, named: &RunRef, terms: Terms) {
        self.with(|runs| {
            if let Some(run) = runs.get_mut(&named.work).filter(|run| run.run == *named) {
                run.timeout_ms = terms.timeout_ms;
                run.terms = Some(Arc::new(terms));
            }
        });
    }

    /// Bounds the running time of a run whose work does not say so.
    pub(crate) fn keep_time(&self, named: &RunRef, timeout_ms: u64) {
        self.with(|runs| {
            if let Some(run) = runs.get_mut(&named.work).filter(|run| run.run == *named) {
                run.timeout_ms.get_or_insert(timeout_ms);
            }
        });
    }

    /// Running time counts from now on, or no longer.
    pub(crate) fn on_the_clock(&self, named: &RunRef, now: u64, runs_now: bool) {
        self.with(|runs| {
            if let Some(run) = runs.get_mut(&named.work).filter(|run| run.run == *named) {
                run.off_the_clock = !runs_now;
                if !runs_now {
                    run.pause(now);
                } else if run.waiting.is_none() {
                    run.go_on(now);
                }
            }
        });
    }

    /// The terms of a run that lives under this fence, and its agent.
    pub(crate) fn terms(&self, named: &RunRef) -> Option<(Slug, Arc<Terms>)> {
        self.with(|runs| {
            let run = runs.get(&named.work).filter(|run| run.run == *named)?;
            Some((run.agent.clone(), run.terms.clone()?))
        })
    }

    /// Renews a lease. `None` when no such run lives under this fence, or its lease ran out before.
    pub(crate) fn heartbeat(
        &self,
        named: &RunRef,
        now: u64,
        wall: WallMs,
        progress: Option<String>,
        frozen: bool,
    ) -> Option<LiveRun> {
        let renewed = self.with(|runs| {
            let run = runs.get_mut(&named.work).filter(|run| run.run == *named && !run.ending)?;
            run.lease_until = now + run.lease_ms;
            run.heartbeat_at = Some(wall);
            run.frozen = frozen;
            if progress.is_some() {
                run.progress = progress;
            }
            Some(run.clone())
        });
        if renewed.is_none() {
            // It hears now that it is over.
            self.heard(named);
        }
        renewed
    }

    /// A run that is over knows it, or nothing of it is left.
    pub(crate) fn heard(&self, named: &RunRef) {
        self.with_unheard(|runs| runs.retain(|run| run.run != *named));
    }

    /// Notes what a run says that it does, and renews nothing. `None` when no such run lives under this fence, or its lease
    /// ran out.
    pub(crate) fn say(&self, named: &RunRef, now: u64, wall: WallMs, progress: String) -> Option<LiveRun> {
        self.with(|runs| {
            let run = runs.get_mut(&named.work).filter(|run| run.run == *named && run.holds(now))?;
            run.heartbeat_at = Some(wall);
            run.progress = Some(progress);
            Some(run.clone())
        })
    }

    /// One living run.
    pub(crate) fn get(&self, work: WorkId) -> Option<LiveRun> {
        self.with(|runs| runs.get(&work).cloned())
    }

    /// All living runs.
    pub(crate) fn all(&self) -> Vec<LiveRun> {
        self.with(|runs| runs.values().cloned().collect())
    }

    /// Marks running time as not counting while frozen, or counting again.
    pub(crate) fn freeze(&self, now: u64, is_frozen: impl Fn(&LiveRun) -> bool) {
        self.with(|runs| {
            for run in runs.values_mut() {
                if is_frozen(run) || run.waiting.is_some() || run.off_the_clock {
                    run.pause(now);
                } else {
                    run.go_on(now);
                    run.frozen = false;
                }
            }
        });
    }

    /// Gives every living lease one full period: the machine slept, or nobody could send a heartbeat.
    pub(crate) fn renew_all(&self, now: u64) {
        self.with(|runs| {
            for run in runs.values_mut() {
                run.lease_until = run.lease_until.max(now + run.lease_ms);
            }
        });
    }

    /// Running time that passed while the machine slept does not count. What stood still meanwhile did not run anyway.
    pub(crate) fn forgive(&self, slept_ms: u64) {
        self.with(|runs| {
            for run in runs.values_mut().filter(|run| run.paused_since.is_none()) {
                run.paused_ms += slept_ms;
            }
        });
    }

    /// The end of a lease could not be written: the run may send heartbeats again.
    pub(crate) fn spare(&self, named: &RunRef) {
        self.with(|runs| {
            if let Some(run) = runs.get_mut(&named.work).filter(|run| run.run == *named) {
                run.ending = false;
            }
        });
    }

    /// What has run out, at most `limit`, and when something else does. A lease that ran out is over from here on: a
    /// heartbeat that comes while its end waits to be written must not be told to go on.
    pub(crate) fn ran_out(&self, now: u64, limit: usize) -> (Vec<RanOut>, Option<u64>) {
        self.with(|runs| {
            let mut out = Vec::new();
            let mut next: Option<u64> = None;
            for run in runs.values_mut() {
                let timeout = run
                    .timeout_ms
                    .filter(|_| run.paused_since.is_none())
                    .map(|most| now + most.saturating_sub(run.ran_ms(now)));
                let due = timeout.map_or(run.lease_until, |timeout| timeout.min(run.lease_until));
                if run.lease_until <= now {
                    run.ending = true;
                    out.push(RanOut::Lease(run.run));
                } else if timeout.is_some_and(|timeout| timeout <= now) {
                    out.push(RanOut::Timeout(run.run));
                } else {
                    next = Some(next.map_or(due, |next| next.min(due)));
                }
                if out.len() >= limit {
                    break;
                }
            }
            (out, next)
        })
    }

    /// Follows the log.
    pub(crate) fn observe(&self, event: &Event) {
        let Subject::Work(work) = event.envelope.subject else { return };
        let now = event.envelope.boot_ms;
        match &event.data {
            EventData::WorkClaimed(data) => self.insert(LiveRun {
                run: RunRef { work, attempt: data.attempt, fence: data.fence },
                agent: data.agent.clone(),
                lease_ms: data.lease_ms,
                lease_until: now + data.lease_ms,
                timeout_ms: None,
                since: now,
                paused_ms: 0,
                paused_since: None,
                waiting: None,
                frozen: false,
                progress: None,
                heartbeat_at: None,
                ending: false,
                off_the_clock: false,
                terms: None,
            }),
            EventData::RunWaiting(data) => self.with(|runs| {
                if let Some(run) = runs.get_mut(&work) {
                    run.waiting = Some(data.reason.clone());
                    run.pause(now);
                }
            }),
            EventData::RunResumed(_) => self.with(|runs| {
                if let Some(run) = runs.get_mut(&work) {
                    run.waiting = None;
                    if !run.off_the_clock {
                        run.go_on(now);
                    }
                }
            }),
            EventData::ResultJudged(_)
            | EventData::WorkCompleted(_)
            | EventData::AttemptFailed(_)
            | EventData::WorkCancelled(_)
            | EventData::LeaseVoided(_) => self.end(work, event),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
