//! What is counted since the start, for who watches the host: in memory, gone with the process, and cheap.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};

use agentd_schemas::event::{EventData, FailureReason};

/// Upper bounds of the buckets of commits, in microseconds.
pub const COMMIT_BUCKETS_US: [u64; 12] =
    [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000];

/// Reasons of attempts that failed, as the label has them.
pub const REASONS: [(FailureReason, &str); 11] = [
    (FailureReason::Reported, "reported"),
    (FailureReason::Rejected, "rejected"),
    (FailureReason::LeaseExpired, "lease_expired"),
    (FailureReason::TimedOut, "timed_out"),
    (FailureReason::Deadline, "deadline"),
    (FailureReason::AgentShutOut, "agent_shut_out"),
    (FailureReason::ModelMismatch, "model_mismatch"),
    (FailureReason::NotStarted, "not_started"),
    (FailureReason::ProgramFailed, "program_failed"),
    (FailureReason::DiskFull, "disk_full"),
    (FailureReason::OutcomeUnknown, "outcome_unknown"),
];

/// How works end, as the label has it.
pub const ENDS: [&str; 4] = ["completed", "failed", "cancelled", "expired"];

/// A door of the daemon, as the label has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doorway {
    /// The operators' socket.
    Control,
    /// The agents' socket.
    Agents,
    /// The socket of metrics.
    Metrics,
}

impl Doorway {
    /// Each of them, with its word.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Control, "control"), (Self::Agents, "agents"), (Self::Metrics, "metrics")];
}

/// Whether the bus is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusState {
    /// No bus is served.
    None,
    /// It is.
    Connected,
    /// It was, and is gone.
    Lost,
}

/// The counters.
#[derive(Debug, Default)]
pub struct Meters {
    commits: [AtomicU64; COMMIT_BUCKETS_US.len() + 1],
    commit_us: AtomicU64,
    failed_commits: AtomicU64,
    attempts: [AtomicU64; REASONS.len()],
    ends: [AtomicU64; ENDS.len()],
    connections: [AtomicU64; Doorway::ALL.len()],
    /// Wall time of the last look of the timers, in milliseconds.
    beat_ms: AtomicI64,
    bus: AtomicU8,
}

/// What stood in the counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Commits in each bucket, not summed up; the last is above all bounds.
    pub commits: [u64; COMMIT_BUCKETS_US.len() + 1],
    /// Time of all commits.
    pub commit_us: u64,
    /// Commits that failed: everything in them was undone.
    pub failed_commits: u64,
    /// Attempts that failed, in the order of [`REASONS`].
    pub attempts: [u64; REASONS.len()],
    /// Works that ended, in the order of [`ENDS`].
    pub ends: [u64; ENDS.len()],
    /// Open connections, in the order of [`Doorway::ALL`].
    pub connections: [u64; Doorway::ALL.len()],
    /// Wall time of the last look of the timers, in milliseconds.
    pub beat_ms: i64,
    /// Whether the bus is there.
    pub bus: BusState,
}

/// A connection that is counted until this is dropped.
pub struct Inside<'a>(&'a AtomicU64);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Meters {
    pub(super) fn took(&self, micros: u64, committed: bool) {
        if !committed {
            self.failed_commits.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let bucket = COMMIT_BUCKETS_US.partition_point(|bound| *bound < micros);
        self.commits[bucket].fetch_add(1, Ordering::Relaxed);
        self.commit_us.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn observe(&self, data: &EventData) {
        let end = match data {
            EventData::WorkCompleted(_) => 0,
            EventData::WorkFailed(_) => 1,
            EventData::WorkCancelled(_) => 2,
            EventData::WorkExpired(_) => 3,
            EventData::AttemptFailed(failed) => {
                if let Some(nth) = REASONS.iter().position(|(reason, _)| *reason == failed.reason) {
                    self.attempts[nth].fetch_add(1, Ordering::Relaxed);
                }
                return;
            }
            _ => return,
        };
        self.ends[end].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn beat(&self, wall_ms: i64) {
        self.beat_ms.store(wall_ms, Ordering::Relaxed);
    }

    /// Counts a connection.
    pub fn enter(&self, door: Doorway) -> Inside<'_> {
        let counter = &self.connections[door as usize];
        counter.fetch_add(1, Ordering::Relaxed);
        Inside(counter)
    }

    /// The bus came, or went.
    pub fn bus(&self, state: BusState) {
        self.bus.store(state as u8, Ordering::Relaxed);
    }

    /// What stands in the counters.
    pub fn read(&self) -> Reading {
        let each = |counters: &[AtomicU64], nth: usize| counters[nth].load(Ordering::Relaxed);
        Reading {
            commits: std::array::from_fn(|nth| each(&self.commits, nth)),
            commit_us: self.commit_us.load(Ordering::Relaxed),
            failed_commits: self.failed_commits.load(Ordering::Relaxed),
            attempts: std::array::from_fn(|nth| each(&self.attempts, nth)),
            ends: std::array::from_fn(|nth| each(&self.ends, nth)),
            connections: std::array::from_fn(|nth| each(&self.connections, nth)),
            beat_ms: self.beat_ms.load(Ordering::Relaxed),
            bus: match self.bus.load(Ordering::Relaxed) {
                1 => BusState::Connected,
                2 => BusState::Lost,
                _ => BusState::None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_in_the_first_bucket_that_holds_it() {
        let meters = Meters::default();
        for micros in [0, 500, 501, 2_500_000, 2_500_001] {
            meters.took(micros, true);
        }
        meters.took(7, false);
        let read = meters.read();
        assert_eq!((read.commits[0], read.commits[1], read.commits[11], read.commits[12]), (2, 1, 1, 1));
        assert_eq!((read.commit_us, read.failed_commits), (5_001_002, 1));
    }

    #[test]
    fn a_connection_counts_while_it_is_open_and_the_bus_is_what_it_was_said_to_be() {
        let meters = Meters::default();
        let inside = meters.enter(Doorway::Agents);
        assert_eq!(meters.read().connections, [0, 1, 0]);
        drop(inside);
        assert_eq!(meters.read().connections, [0, 0, 0]);
        for state in [BusState::Connected, BusState::Lost, BusState::None] {
            meters.bus(state);
            assert_eq!(meters.read().bus, state);
        }
    }
}
