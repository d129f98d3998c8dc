//! The narrow waist between the engine and a durable store. `SQLite` implements it today; a store for fleets will, and
//! the same conformance suite (`tests/`) runs against each.
//!
//! A store takes a batch of commands, decides each on facts read in the batch's own transaction, and makes all their
//! events durable together. A refused command writes nothing and does not disturb its neighbours.

use std::sync::Arc;

use agentd_schemas::event::{Decided, Event};
use agentd_schemas::problem::Problem;

use crate::domain::{Command, Defaults};
use crate::policy::{Caller, Resource};

/// One command on its way into the ledger, with the decision that allowed it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who asks.
    pub caller: Caller,
    /// What.
    pub command: Command,
    /// The rules that allowed it.
    pub decided: Decided,
    /// What they were asked about. When it changed meanwhile, the answer is [`Answer::Stale`].
    pub resource: Option<Resource>,
    /// Idempotency key, and the digest of the body.
    pub key: Option<(String, String)>,
}

/// What became of one command.
#[derive(Debug)]
pub enum Answer {
    /// Its events are durable; none means that nothing had to change.
    Committed(Arc<[Event]>),
    /// The same key and body came before: the events of then.
    Repeated(Arc<[Event]>),
    /// A rule says no.
    Refused(Problem),
    /// What the decision rested on changed: authorize again.
    Stale,
}

/// The world at the moment of a batch.
#[derive(Debug, Clone)]
pub struct World {
    /// Wall time, Unix milliseconds.
    pub wall_ms: i64,
    /// Milliseconds since boot, sleep included.
    pub boot_ms: u64,
    /// The day in the host's zone.
    pub day: String,
    /// The month in the host's zone.
    pub month: String,
    /// Configured defaults.
    pub defaults: Arc<Defaults>,
}

/// Why a whole batch failed. Nothing of it is durable unless said so.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full. The batch is undone.
    #[error("the disk is full")]
    DiskFull,
    /// The database cannot be written. The batch is undone.
    #[error("the database cannot be written: {0}")]
    ReadOnly(String),
    /// Something else failed before the commit. The batch is undone.
    #[error("the store failed: {0}")]
    Failed(String),
    /// Whether the commit is durable is unknown: only recovery can tell.
    #[error("the outcome of the commit is unknown: {0}")]
    UnknownOutcome(String),
}

/// A durable store.
pub trait Store: Send {
    /// Commits a batch. The answers are in the order of the requests.
    fn commit(&mut self, batch: &[Request], world: &World) -> Result<Vec<Answer>, StoreError>;

    /// Events in the log.
    fn size(&self) -> u64;

    /// Incarnation of the ledger.
    fn incarnation(&self) -> u32;

    /// Keeps the newest checkpoint for ever, because it is given out.
    fn keep_checkpoint(&mut self) -> Result<(), StoreError>;
}
