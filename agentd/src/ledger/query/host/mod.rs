//! The host: its status, its accounts, the digest of a while, and what waits for a person.

mod accounts;
mod attention;
mod digest;
mod waiting;

pub use accounts::{Today, accounts};
pub use attention::attention;
pub use digest::{Window, digest, first_at};
pub use waiting::{MAX_WAITING, oldest_waiting, waiting};

use std::collections::BTreeMap;

use agentd_schemas::document::request::Scope;
use agentd_schemas::id::RunId;
use agentd_schemas::unit::name::Slug;
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::{Denials, Moneys, Reads, RunsView, StatusView};
use rusqlite::Connection;

use super::ledger::identity;
use super::works::SOURCES;
use super::{IsParked, QueryError, read, resolve};
use crate::domain::Defaults;
use crate::ledger::project::state_of;
use crate::policy::Viewer;

/// Frozen things that are listed, at most.
const MAX_FROZEN: i64 = 1000;

/// What only the running daemon knows.
#[derive(Debug, Clone)]
pub struct Running {
    /// Version of the daemon.
    pub version: String,
    /// Since when it runs.
    pub since: WallMs,
    /// What time it is.
    pub now: WallMs,
    /// `private`, `session` or `system`.
    pub mode: String,
    /// What is wrong, so that work stands still on the whole host.
    pub critical: Vec<String>,
    /// What else is wrong.
    pub warnings: Vec<String>,
    /// Resident memory of the daemon.
    pub memory_bytes: u64,
    /// Size of the database.
    pub database_bytes: u64,
    /// Free disk.
    pub disk_free_percent: u32,
    /// Denials since the daemon started.
    pub denials: Denials,
    /// Reads since then, counted.
    pub reads: Reads,
    /// Runs of agents that the daemon starts.
    pub runs: RunsView,
}

/// How the host stands. `day` names today in its zone, `2026-11-22`.
pub fn status(
    conn: &Connection,
    viewer: &Viewer,
    day: &str,
    parked: IsParked<'_>,
    running: Running,
    defaults: &Defaults,
) -> Result<StatusView, QueryError> {
    let identity = identity(conn)?;
    let held: Option<i64> = read::one(conn, "SELECT held_ms FROM clock WHERE id = 1", [])?;
    let critical = running.critical.clone();
    let mut health = running.critical;
    health.extend(running.warnings);
    health.extend(attention(conn, viewer, running.now, defaults)?);
    let health = if health.is_empty() { vec!["ok".to_owned()] } else { health };
    Ok(StatusView {
        version: running.version,
        since: running.since,
        trust_domain: identity.trust_domain,
        origin: identity.origin,
        incarnation: identity.incarnation,
        events: read::count(read::size(conn)?),
        mode: running.mode,
        health,
        critical,
        works: works(conn, viewer, parked)?,
        agents: agents(conn, viewer)?,
        memory_bytes: running.memory_bytes,
        database_bytes: running.database_bytes,
        disk_free_percent: running.disk_free_percent,
        today: moneys(conn, viewer, day, day)?,
        waiting: waiting(conn, viewer)?,
        frozen: frozen(conn, viewer)?,
        clock_held_ms: held,
        // One more or one less would tell whether what somebody tried is there.
        denials: if viewer.all { running.denials } else { Denials::default() },
        reads: if viewer.all { running.reads } else { Reads::default() },
        runs: running.runs,
    })
}

/// The owner to whom a viewer's sums are narrowed; none for who sees all. An agent has no sums.
fn owner(viewer: &Viewer) -> Option<i64> {
    match (viewer.all, &viewer.agent) {
        (true, _) => None,
        (false, Some(_)) => Some(-1),
        (false, None) => Some(viewer.uid.into()),
    }
}

/// Works by state, from the counts that the projections keep.
fn works(conn: &Connection, viewer: &Viewer, parked: IsParked<'_>) -> rusqlite::Result<BTreeMap<String, u64>> {
    let owner = owner(viewer);
    let counts: Vec<(i64, i64)> = match owner {
        None => read::all(conn, "SELECT state, n FROM counts", [], |row| Ok((row.get(0)?, row.get(1)?)))?,
        Some(owner) => {
            let sql = "SELECT state, n FROM counts WHERE owner = ?1";
            read::all(conn, sql, [owner], |row| Ok((row.get(0)?, row.get(1)?)))?
        }
    };
    let mut works: BTreeMap<String, u64> = BTreeMap::new();
    for (state, n) in counts {
        if let Some(state) = state_of(state) {
            *works.entry(state.as_str().to_owned()).or_default() += read::count(n);
        }
    }
    let sql = "SELECT id, owner, ready FROM queues WHERE ready > 0";
    let queues: Vec<(i64, i64, i64)> = read::all(conn, sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let seen = queues.into_iter().filter(|(queue, of, _)| owner.is_none_or(|owner| owner == *of) && parked(*queue));
    let unable: u64 = seen.map(|(_, _, ready)| read::count(ready)).sum();
    if let Some(ready) = works.get_mut("ready") {
        *ready = ready.saturating_sub(unable);
    }
    works.insert("parked".to_owned(), unable);
    works.retain(|_, n| *n > 0);
    Ok(works)
}

fn agents(conn: &Connection, viewer: &Viewer) -> rusqlite::Result<BTreeMap<String, u64>> {
    let own = viewer.agent.as_ref().map(Slug::as_str);
    let sql = "SELECT state, count(*) FROM agents WHERE ?1 IS NULL OR owner = ?1 OR name = ?2 GROUP BY state";
    let rows = read::all(conn, sql, (owner(viewer), own), |row| Ok((row.get(0)?, read::unsigned(row, 1)?)))?;
    Ok(rows.into_iter().collect())
}

/// Money of whole days, in the host's zone, of the works that the viewer may see.
fn moneys(conn: &Connection, viewer: &Viewer, first_day: &str, last_day: &str) -> rusqlite::Result<Moneys> {
    let sql = "SELECT source, sum(micro_usd), sum(tokens), sum(unpriced) FROM spending
               WHERE day BETWEEN ?1 AND ?2 AND (?3 IS NULL OR owner = ?3) GROUP BY source";
    let rows: Vec<(i64, u64, u64, u64)> = read::all(conn, sql, (first_day, last_day, owner(viewer)), |row| {
        Ok((row.get(0)?, read::unsigned(row, 1)?, read::unsigned(row, 2)?, read::unsigned(row, 3)?))
    })?;
    let by_source = SOURCES
        .into_iter()
        .filter_map(|(bit, source)| rows.iter().find(|row| row.0 == bit).map(|row| (source, read::money(row.1))));
    Ok(Moneys {
        spent: read::money(rows.iter().map(|row| row.1).sum()),
        tokens: rows.iter().map(|row| row.2).sum(),
        unpriced_calls: rows.iter().map(|row| row.3).sum(),
        by_source: by_source.collect(),
    })
}

/// What is frozen: the whole host for everybody, works and agents for who may see them.
fn frozen(conn: &Connection, viewer: &Viewer) -> Result<Vec<Scope>, QueryError> {
    let sql = "SELECT scope FROM frozen LIMIT ?1";
    let scopes: Vec<Scope> = read::all(conn, sql, [MAX_FROZEN], |row| read::json(row, 0))?;
    let mut seen = Vec::with_capacity(scopes.len());
    for scope in scopes {
        let answer = match &scope {
            Scope::All => Ok(()),
            Scope::Work(id) => resolve::work(conn, viewer, &id.to_string()).map(drop),
            Scope::Agent(name) => super::agents::key(conn, viewer, name.as_str()).map(drop),
        };
        match answer {
            Ok(()) => seen.push(scope),
            Err(QueryError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(seen)
}

/// A living run in words, as far as the viewer may know of it: in full with its work; without the work for who answers
/// for the agent alone; not at all for others.
pub fn run_as_seen(conn: &Connection, viewer: &Viewer, run: RunId, agent: &Slug) -> Result<Option<String>, QueryError> {
    match resolve::work(conn, viewer, &run.work.to_string()) {
        Ok(_) => return Ok(Some(format!("{run} (agent {agent})"))),
        Err(QueryError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    match super::agents::key(conn, viewer, agent.as_str()) {
        Ok(_) => Ok(Some(format!("a run of another owner (agent {agent})"))),
        Err(QueryError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
