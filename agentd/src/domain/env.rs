//! What a decision may know of the world: time, the place in the log, fresh ids, and the configured defaults.

use agentd_schemas::id::{Fence, ID_BYTES};
use agentd_schemas::unit::time::WallMs;

/// The world at the moment of one decision.
#[derive(Debug, Clone)]
pub struct Env {
    /// Wall time: for not-before, deadlines, cron and budget periods only.
    pub wall: WallMs,
    /// Milliseconds since boot, sleep included: for leases, timeouts and backoff.
    pub boot_ms: u64,
    /// The wall clock jumped and nobody looked yet: what it triggers is held.
    pub clock_held: bool,
    /// Incarnation of the ledger.
    pub incarnation: u32,
    /// The log index that the first event of this decision gets.
    pub next_index: u64,
    /// The day in the host's zone: `2026-11-22`.
    pub day: String,
    /// The month in the host's zone: `2026-11`.
    pub month: String,
    /// Fresh random bytes.
    pub ids: Ids,
    /// Configured defaults and bounds.
    pub defaults: std::sync::Arc<Defaults>,
}

impl Env {
    /// Whether a time has come for sure: while the clock is held, none has.
    pub fn has_come(&self, time: WallMs) -> bool {
        !self.clock_held && time <= self.wall
    }

    /// The fence of a claim whose event is the `nth` of this decision.
    pub const fn fence(&self, nth: u64) -> Fence {
        Fence { incarnation: self.incarnation, n: self.next_index + nth }
    }
}

/// A supply of random bytes, minted before the decision.
#[derive(Debug, Clone, Copy)]
pub struct Ids {
    seed: [u8; 32],
}

impl Ids {
    /// A supply from 32 fresh random bytes.
    pub const fn new(seed: [u8; 32]) -> Self {
        Self { seed }
    }

    /// The `nth` id of this decision: the first 80 bits of SHA-256(seed ‖ n).
    pub fn id(&self, nth: u32) -> [u8; ID_BYTES] {
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&self.digest(nth)[..ID_BYTES]);
        id
    }

    /// Another supply, for the `nth` part of this decision.
    #[must_use]
    pub fn derive(&self, nth: u32) -> Self {
        Self { seed: self.digest(nth ^ 0x8000_0000) }
    }

    /// A number in `0..bound` for jitter; 0 when the bound is 0.
    pub fn jitter(&self, bound: u64) -> u64 {
        let mut word = [0; 8];
        word.copy_from_slice(&self.digest(u32::MAX)[..8]);
        u64::from_le_bytes(word).checked_rem(bound).unwrap_or(0)
    }

    fn digest(&self, nth: u32) -> [u8; 32] {
        use sha2::Digest as _;
        sha2::Sha256::new().chain_update(self.seed).chain_update(nth.to_le_bytes()).finalize().into()
    }
}

/// Configured defaults and bounds; the configuration reference names each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// Attempts of a work that says nothing.
    pub max_attempts: u32,
    /// Works that are not over, on the whole host.
    pub max_open_works: u64,
    /// Works of one owner that are not over.
    pub max_open_works_per_owner: u64,
    /// Lease without a heartbeat, when the agent says nothing.
    pub lease_ms: u64,
    /// First backoff; doubles with each attempt.
    pub backoff_ms: u64,
    /// Longest backoff.
    pub max_backoff_ms: u64,
    /// Owner's money per day, micro-USD.
    pub owner_day_micro_usd: u64,
    /// Owner's money per month, micro-USD.
    pub owner_month_micro_usd: u64,
    /// Host's money per day, micro-USD.
    pub host_day_micro_usd: u64,
    /// Judged works that end a probation and let evidence speak.
    pub judged_works: u64,
    /// Lower confidence bound, in percent, at which a skill counts as demonstrated.
    pub skill_bound_percent: u32,
    /// Failures in a row after which an agent is paused.
    pub failures_in_a_row: u32,
    /// Agents on the host, retired ones not counted.
    pub max_agents: u64,
    /// Those of one owner.
    pub max_agents_per_owner: u64,
    /// Schedules on the host.
    pub max_schedules: u64,
    /// Those of one owner.
    pub max_schedules_per_owner: u64,
    /// Objectives of one owner.
    pub max_objectives: u64,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            max_attempts: 2,
            max_open_works: 10_000_000,
            max_open_works_per_owner: 2_000_000,
            lease_ms: 60_000,
            backoff_ms: 1_000,
            max_backoff_ms: 600_000,
            owner_day_micro_usd: 20_000_000,
            owner_month_micro_usd: 100_000_000,
            host_day_micro_usd: 50_000_000,
            judged_works: 5,
            skill_bound_percent: 20,
            failures_in_a_row: 3,
            max_agents: 10_000,
            max_agents_per_owner: 1_000,
            max_schedules: 10_000,
            max_schedules_per_owner: 1_000,
            max_objectives: 256,
        }
    }
}
