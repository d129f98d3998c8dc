//! Runs of agents that the daemon starts: who gets the next one, and each from its claim to its end.
//!
//! A run is a *course* of steps, and the disk is its memory: what a step became stands in its record. A daemon that was
//! killed goes through the course again from the beginning and finds each step that it started living or ended, so it
//! starts nothing twice. What the course tells, it tells by the same commands that an agent sends that came by itself.

mod adopt;
mod base;
mod bounds;
mod conclusion;
mod course;
mod criteria;
mod dispatch;
mod findings;
mod finish;
mod held_back;
mod job;
mod judged;
mod leftover;
mod level;
mod living;
mod obstacle;
mod orders;
mod passed;
mod places;
mod prepared;
mod reach;
mod room;
mod step;
mod tries;
mod turns;
mod unanswered;
mod unwritable;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agentd_schemas::event::{Event, EventData, Subject, WorkState};
use agentd_schemas::id::{RunId, WorkId};
use agentd_schemas::launch::{Level, Probe};
use agentd_schemas::unit::name::Slug;
use agentd_schemas::view::RunsView;
use tokio::sync::{Notify, watch};

pub use bounds::Bounds;
pub(super) use dispatch::run;

use self::level::Unable;
use self::obstacle::Obstacle;
use self::passed::Reached;
use self::unwritable::Unwritable;
use crate::engine::Engine;
use crate::engine::current::Current;
use crate::identity::AgentKeys;
use crate::runner;

/// How long an answer waits, right after a start, for what the host can do.
const TRIED: Duration = Duration::from_secs(10);

/// How runs are started here, from the configuration.
#[derive(Debug, Clone)]
pub struct Runs {
    /// Where things are, and what the host allows.
    pub host: runner::Host,
    /// The state directory, which has the keys of agents.
    pub state: PathBuf,
    /// Percent of the disk that must be free for a run to start.
    pub min_free_percent: u32,
    /// What is looked at for each decision, as it is at the start.
    pub bounds: Bounds,
}

/// What a course is doing, as people read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its workspace is made.
    Preparing,
    /// Its program runs.
    Running,
    /// What it made is collected and judged.
    Judging,
}

impl Phase {
    /// Its name in documents.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Judging => "judging",
        }
    }
}

/// A course that is under way.
#[derive(Clone)]
struct UnderWay {
    owner: u32,
    phase: Phase,
    /// Something happened to its work, to its agent or to the host. All who listen hear it.
    told: Arc<watch::Sender<()>>,
}

/// Everything about runs that the daemon starts.
pub(crate) struct Supervisor {
    pub(crate) runs: Runs,
    /// What counts now of what may change.
    pub(crate) bounds: Current<Bounds>,
    keys: AgentKeys,
    /// There may be work, or room for some.
    wake: Notify,
    under_way: Mutex<BTreeMap<RunId, UnderWay>>,
    /// The strongest level that this host can do, or why none, once that was tried.
    level: watch::Sender<Option<Result<Level, Unable>>>,
    /// Somebody tries it.
    trying: AtomicBool,
    /// What the newest trial of the host found.
    probe: Mutex<Option<Probe>>,
    /// Agents with works that wait because their programs cannot be started here as they ask.
    held_back: Mutex<BTreeMap<Slug, Obstacle>>,
    /// How far the look for works came, of agents with many that wait for the host.
    reached: Mutex<BTreeMap<Slug, Reached>>,
    /// No new run begins: too little disk is free.
    full: AtomicBool,
    /// No new run begins: their folder cannot be written.
    unwritable: Mutex<Option<Unwritable>>,
}

impl Supervisor {
    /// Nothing is under way.
    pub(crate) fn new(runs: Runs, keys: AgentKeys) -> Self {
        Self {
            keys,
            bounds: Current::new(Arc::new(runs.bounds)),
            runs,
            wake: Notify::new(),
            under_way: Mutex::default(),
            level: watch::Sender::default(),
            trying: AtomicBool::new(false),
            probe: Mutex::default(),
            held_back: Mutex::default(),
            reached: Mutex::default(),
            full: AtomicBool::new(false),
            unwritable: Mutex::default(),
        }
    }

    pub(crate) fn keys(&self) -> &AgentKeys {
        &self.keys
    }

    /// Has the loop that gives out runs come round once more.
    pub(crate) fn look_round(&self) {
        self.wake.notify_one();
    }

    fn with<T>(&self, change: impl FnOnce(&mut BTreeMap<RunId, UnderWay>) -> T) -> T {
        change(&mut self.under_way.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a run is doing now; none for one that is not under way here.
    pub(crate) fn phase(&self, run: RunId) -> Option<Phase> {
        self.with(|runs| runs.get(&run).map(|run| run.phase))
    }

    /// Runs that are under way.
    pub(crate) fn living(&self) -> Vec<RunId> {
        self.with(|runs| runs.keys().copied().collect())
    }

    /// How runs stand, on the whole host.
    pub(crate) fn view(&self) -> RunsView {
        let mut view = RunsView { max: self.bounds.get().most, ..RunsView::default() };
        view.level = self.level().and_then(Result::ok);
        self.with(|runs| {
            for run in runs.values() {
                match run.phase {
                    Phase::Preparing => view.preparing += 1,
                    Phase::Running => view.running += 1,
                    Phase::Judging => view.judging += 1,
                }
            }
        });
        view
    }

    /// Why no run begins, where none does.
    pub(crate) fn why_none_begins(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        complaints.extend(self.why_full());
        complaints.extend(self.why_unwritable());
        match self.level() {
            Some(Err(unable)) => {
                complaints.push(format!("no run can be started: {} ({})", unable.reason, unable.command()));
            }
            // What the host's own rules ask for, every program asks for.
            Some(Ok(level)) if level < self.least(Some(level)) => complaints.extend(self.why_held_back()),
            _ => {}
        }
        complaints
    }

    /// Whether no run begins because too little disk is free.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// The same in words, where it is so, and what helps.
    pub(crate) fn why_full(&self) -> Option<String> {
        let least = self.runs.min_free_percent;
        let words = || format!("no run begins while less than {least} % of the disk is free (runs.min_free_percent)");
        self.is_full().then(words)
    }

    /// What the host can do at best, or why nothing.
    pub(crate) fn level(&self) -> Option<Result<Level, Unable>> {
        self.level.borrow().clone()
    }

    fn tell_work(&self, work: WorkId) {
        self.with(|runs| {
            let of_work = runs.iter().filter(|(run, _)| run.work == work);
            of_work.for_each(|(_, run)| run.told.send_replace(()));
        });
    }

    fn tell_all(&self) {
        self.with(|runs| runs.values().for_each(|run| run.told.send_replace(())));
    }

    /// Follows the log.
    pub(crate) fn observe(&self, event: &Event) {
        match (&event.data, &event.envelope.subject) {
            (EventData::Frozen(_) | EventData::Thawed(_) | EventData::KeyCertified(_), _) => {
                self.tell_all();
                self.wake.notify_one();
            }
            (EventData::WorkSubmitted(spec), _) if spec.state == WorkState::Ready => self.wake.notify_one(),
            (
                EventData::WorkReadied(_) | EventData::WorkRetried(_) | EventData::LeaseVoided(_),
                Subject::Work(work),
            ) => {
                self.tell_work(*work);
                self.wake.notify_one();
            }
            (EventData::WorkClaimed(_) | EventData::WorkSubmitted(_) | EventData::NoteAdded(_), _) => {}
            (_, Subject::Work(work)) => self.tell_work(*work),
            (EventData::AccountLimitSet(_), _) | (_, Subject::Agent(_)) => self.wake.notify_one(),
            _ => {}
        }
    }
}

impl Engine {
    /// Waits, right after a start, until it was tried what this host can do: an answer about runs is not known before. It
    /// comes back after a while all the same.
    pub async fn host_was_tried(&self) {
        let Some(supervisor) = &self.0.supervisor else { return };
        let mut level = supervisor.level.subscribe();
        let _ = tokio::time::timeout(TRIED, level.wait_for(Option::is_some)).await;
    }
}
