//! The one loop that ties everything together: command in, authorize, decide, commit, answer, then effects.
//!
//! Doors hold an [`Engine`] and nothing else. What is kept in memory here (leases, waiting agents, tokens) is either
//! rebuilt from the ledger at start or can be lost without a lie.

pub mod current;
mod denials;
pub mod doors;
mod execute;
pub mod health;
mod heart;
mod jobs;
mod journal;
mod live;
pub mod message_ids;
pub mod meters;
pub mod operations;
mod pace;
pub mod policies;
mod put_back;
mod readers;
mod reads;
mod recovery;
mod sight;
pub mod supervise;
#[cfg(test)]
mod tests;
mod timers;
#[cfg(test)]
pub(crate) mod trial;
mod waiters;
mod witness;
mod world;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use agentd_schemas::event::{Event, EventData, FailureReason};
use agentd_schemas::unit::time::WallMs;
use tokio::sync::{Notify, watch};

pub use execute::Done;
pub use jobs::Jobs;
pub use live::LiveRun;
pub use recovery::{Settings, StartError, database, start};

use crate::domain::Defaults;
use crate::identity::{Challenges, Tokens};
use crate::ledger::writer::{Mailbox, Observer};
use crate::sys::clock::{BootId, Clock};

/// What the host is called and where its things are: read once at start.
#[derive(Debug, Clone)]
pub struct Host {
    /// `private`, `session` or `system`.
    pub mode: &'static str,
    /// State directory.
    pub state: PathBuf,
    /// Socket of the agents' door.
    pub agents_socket: PathBuf,
    /// Trust domain.
    pub trust_domain: String,
    /// Origin of the log.
    pub origin: String,
    /// Incarnation of the ledger.
    pub incarnation: u32,
    /// Verifier key of the log.
    pub log_key: String,
    /// IANA name of the host's zone.
    pub time_zone: String,
    /// When the daemon started.
    pub since: WallMs,
    /// Whether its own log goes to the journal.
    pub journal: bool,
    /// The id of the key-encryption key that private keys are under; none where they are plain on the disk.
    pub kek: Option<String>,
}

/// Everything that the doors and the loops share.
pub struct Inner {
    pub(crate) host: Host,
    pub(crate) defaults: Arc<current::Current<Defaults>>,
    pub(crate) policies: policies::Policies,
    pub(crate) zone: jiff::tz::TimeZone,
    pub(crate) clock: Clock,
    pub(crate) boot: BootId,
    pub(crate) request_key: String,
    pub(crate) mailbox: std::sync::OnceLock<Mailbox>,
    pub(crate) readers: readers::Readers,
    pub(crate) live: live::LiveRuns,
    pub(crate) waiters: waiters::Waiters,
    pub(crate) challenges: Mutex<Challenges>,
    pub(crate) tokens: Mutex<Tokens>,
    pub(crate) known: operations::sessions::KnownAgents,
    pub(crate) denials: denials::Denials,
    pub(crate) reads: reads::Reads,
    pub(crate) parked: operations::parked::ParkedCache,
    pub(crate) judges: operations::judge::Judges,
    /// Runs of agents that the daemon starts; none where it starts none.
    pub(crate) supervisor: Option<Arc<supervise::Supervisor>>,
    pub(crate) timer: Notify,
    pub(crate) size: watch::Sender<u64>,
    pub(crate) clock_held: AtomicBool,
    /// A limit was set or raised: runs that wait for budget are looked at at once.
    pub(crate) limits_changed: AtomicBool,
    pub(crate) agents_changed: AtomicU64,
    /// The sockets of runs that agentd started.
    pub(crate) doors: doors::Doors,
    pub(crate) complaints: health::Complaints,
    pub(crate) heart: heart::Heart,
    pub(crate) meters: meters::Meters,
}

/// The engine, as doors hold it.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Inner>);

impl Engine {
    /// What the host is called and where its things are.
    pub fn host(&self) -> &Host {
        &self.0.host
    }

    /// Events in the log, as it grows: a hint for those who follow.
    pub fn size(&self) -> watch::Receiver<u64> {
        self.0.size.subscribe()
    }

    /// How many runs live, and how many of them work: one that waits or stands still does not.
    pub fn runs_under_way(&self) -> (usize, usize) {
        let living = self.0.live.all();
        (living.len(), living.iter().filter(|run| run.works()).count())
    }

    /// What is counted since the start.
    pub fn meters(&self) -> &meters::Meters {
        &self.0.meters
    }

    /// Wall time.
    pub fn now(&self) -> WallMs {
        WallMs::saturating(self.0.clock.wall_ms())
    }
}

/// Keeps what memory holds in step with the log, after every commit and before its answers.
impl Observer for Inner {
    fn committed(&self, batches: &[Arc<[Event]>], size: u64) {
        let mut timer = false;
        for event in batches.iter().flat_map(|events| events.iter()) {
            self.live.observe(event);
            // Who is woken asks who it is: that must be forgotten before.
            self.observe_identity(event);
            self.waiters.observe(event);
            if let Some(supervisor) = &self.supervisor {
                supervisor.observe(event);
            }
            journal::write(event, &self.live);
            self.meters.observe(&event.data);
            timer |= sets_a_timer(&event.data);
            if matches!(event.data, EventData::AccountLimitSet(_) | EventData::LimitsRaised(_)) {
                self.limits_changed.store(true, Ordering::Relaxed);
            }
            if shows_skill(&event.data) {
                self.agents_changed.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.size.send_replace(size);
        if timer {
            self.timer.notify_one();
        }
    }

    fn took(&self, micros: u64, committed: bool) {
        self.meters.took(micros, committed);
    }
}

impl Inner {
    fn observe_identity(&self, event: &Event) {
        let agentd_schemas::event::Subject::Agent(name) = &event.envelope.subject else {
            if let EventData::ClockAccepted(_) = event.data {
                self.clock_held.store(false, Ordering::Relaxed);
            }
            if let EventData::ClockJumped(_) = event.data {
                self.clock_held.store(true, Ordering::Relaxed);
            }
            return;
        };
        self.agents_changed.fetch_add(1, Ordering::Relaxed);
        // Its tokens are held against this at each use.
        self.known.forget(name);
    }
}

/// Whether an event may change what an agent has shown that it can, and with it what it is given.
fn shows_skill(data: &EventData) -> bool {
    match data {
        EventData::WorkCompleted(completed) => !completed.verdicts.is_empty(),
        EventData::AttemptFailed(failed) => failed.reason == FailureReason::Rejected,
        _ => false,
    }
}

/// Whether an event may bring the next due time nearer, or leaves something in the outbox.
fn sets_a_timer(data: &EventData) -> bool {
    match data {
        EventData::WorkSubmitted(spec) => {
            spec.not_before.is_some()
                || spec.deadline.is_some()
                || spec.latest_start.is_some()
                || spec.finish_by.is_some()
        }
        EventData::AttemptFailed(failed) => failed.retry_after_ms.is_some(),
        EventData::WorkScheduled(_)
        | EventData::WorkFailed(_)
        | EventData::WorkCancelled(_)
        | EventData::WorkExpired(_)
        | EventData::ScheduleAdded(_)
        | EventData::ScheduleResumed(_)
        | EventData::Thawed(_)
        | EventData::ClockAccepted(_)
        | EventData::AccountLimitSet(_)
        | EventData::LimitsRaised(_) => true,
        _ => false,
    }
}
