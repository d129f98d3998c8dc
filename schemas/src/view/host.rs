//! The host: status, accounts, digest.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::document::request::{Period, Scope};
use crate::event::AmountSource;
use crate::id::WorkId;
use crate::launch::{Level, Probe};
use crate::unit::money::Usd;
use crate::unit::time::WallMs;

/// `agentctl status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatusView {
    /// Version of the daemon.
    pub version: String,
    /// Since when it runs.
    pub since: WallMs,
    /// `h-….agentd.internal`.
    pub trust_domain: String,
    /// Origin of the log.
    pub origin: String,
    /// Incarnation of the ledger.
    pub incarnation: u32,
    /// Events in the log.
    pub events: u64,
    /// `private`, `session` or `system`.
    pub mode: String,
    /// `ok`, or what is wrong.
    pub health: Vec<String>,
    /// Those of them for which work stands still on the whole host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub critical: Vec<String>,
    /// Works by state, those the caller may see; zero counts left out. `parked` counts as its own state.
    pub works: BTreeMap<String, u64>,
    /// Agents by state.
    pub agents: BTreeMap<String, u64>,
    /// Resident memory of the daemon in bytes.
    pub memory_bytes: u64,
    /// Size of the database in bytes.
    pub database_bytes: u64,
    /// Free disk in percent.
    pub disk_free_percent: u32,
    /// Money today, of the works the caller may see.
    pub today: Moneys,
    /// What waits for a person.
    pub waiting: Vec<WaitingForPerson>,
    /// What is frozen.
    pub frozen: Vec<Scope>,
    /// The wall clock jumped and nobody looked yet: by how many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_held_ms: Option<i64>,
    /// Denials since the daemon started, counted.
    pub denials: Denials,
    /// Reads since the daemon started, counted.
    #[serde(default)]
    pub reads: Reads,
    /// Runs of agents that agentd starts.
    #[serde(default)]
    pub runs: RunsView,
}

/// What agentd found out about its host: `agentctl doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostFindings {
    /// What the host can do for runs, as agentd last had it tried; absent where nobody answered who could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// Why no run can be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_runs: Option<String>,
    /// No run is less confined: `runs.least_level`.
    pub least_level: Level,
    /// The first and the last uid of the users of runs; absent where runs have the daemon's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_uids: Option<(u32, u32)>,
    /// Where the launcher is a service of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launcher: Option<LauncherFinding>,
    /// Whether the daemon's own log goes to the journal.
    pub journal: bool,
    /// Whether polkit can prove that operators are there; absent where they prove nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polkit: Option<PolkitFinding>,
    /// Which key-encryption key the private keys are under; absent where they are plain on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kek: Option<String>,
}

/// The launcher's service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LauncherFinding {
    /// Its socket.
    pub socket: PathBuf,
    /// Why it is not reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away: Option<String>,
}

/// polkit, as the daemon reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PolkitFinding {
    /// Why it cannot be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away: Option<String>,
    /// Actions of agentd that it does not know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// Runs of agents that agentd starts, on the whole host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunsView {
    /// Whose workspaces are made.
    pub preparing: u32,
    /// Whose programs run.
    pub running: u32,
    /// Whose results are judged.
    pub judging: u32,
    /// At a time, at most.
    pub max: u32,
    /// How confined they are; absent while no run can be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
}

/// Sums of money and tokens, with what each amount rests on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Moneys {
    /// Money with a price.
    pub spent: Usd,
    /// Tokens.
    pub tokens: u64,
    /// Calls without a price: their money is unknown, not zero.
    pub unpriced_calls: u64,
    /// Money by source.
    pub by_source: Vec<(AmountSource, Usd)>,
}

/// Counts of refusals, for who sees everything; for others they are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Denials {
    /// A rule said no.
    pub denied: u64,
    /// A proof failed.
    pub unauthenticated: u64,
}

/// Counts of what was read, for who sees everything; for others they are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Reads {
    /// Of the reader's own things, and of the host.
    pub own: u64,
    /// Of what belongs to others: by operators, auditors, and the agents of other owners.
    pub others: u64,
}

/// One thing that waits for a person, and the command that answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WaitingForPerson {
    /// The work.
    pub work: WorkId,
    /// Its short id.
    pub short: String,
    /// What for: `accept`, `budget`, `answer`.
    pub what: String,
    /// Since when.
    pub since: WallMs,
    /// The command.
    pub command: String,
}

/// One account in one period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AccountView {
    /// `host`, `owner:UID`, `agent:NAME`.
    pub account: String,
    /// Day or month.
    pub period: Period,
    /// `2026-11-22` or `2026-11`.
    pub name: String,
    /// Limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Usd>,
    /// Limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Settled.
    pub spent: Usd,
    /// Set aside.
    pub reserved: Usd,
    /// Settled.
    pub tokens: u64,
    /// Set aside.
    pub reserved_tokens: u64,
    /// `set` once a limit of it was set, else `default`.
    pub limit_source: String,
    /// The file that declares it, where one does: `agents.d/fixer.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
}

/// `agentctl digest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DigestView {
    /// From here on.
    pub since: WallMs,
    /// Until here.
    pub until: WallMs,
    /// Works submitted.
    pub submitted: u64,
    /// Works completed, newest first, at most 20 listed.
    pub completed: Vec<super::WorkRow>,
    /// How many in all.
    pub completed_count: u64,
    /// Works failed, expired or cancelled, newest first, at most 20 listed.
    pub failed: Vec<super::WorkRow>,
    /// How many in all.
    pub failed_count: u64,
    /// What waits for a person.
    pub waiting: Vec<WaitingForPerson>,
    /// Money.
    pub money: Moneys,
    /// Money per completed work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_per_completed: Option<Usd>,
    /// Service levels missed.
    pub breaches: u64,
    /// Works that are ready now and that no agent is able to take.
    #[serde(default)]
    pub parked: u64,
    /// What stands still until a person does something: refused schedules, agents that a rule paused, revoked keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attention: Vec<String>,
    /// What to type next.
    pub next: Vec<String>,
}

/// What came of a freeze.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FreezeReport {
    /// Live runs under the freeze.
    pub runs: u64,
    /// Those that confirmed that they stand still.
    pub confirmed: u64,
    /// Those that did not (yet).
    pub unconfirmed: Vec<String>,
    /// Runs under the freeze that are over for the ledger, cancelled mostly, and have not heard of it: their agents may
    /// still work, until their next heartbeat or the end of their lease.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ending: Vec<String>,
}
