//! Finding works, newest first: the most selective index leads, the other conditions are checked on what it gives.

use agentd_schemas::document::request::WorkFilter;
use agentd_schemas::event::WorkState;
use rusqlite::{Connection, Row, params};

use super::row::shown;
use crate::ledger::project::{state_number, state_of};
use crate::ledger::query::{IsParked, QueryError, read};
use crate::policy::Viewer;

/// Works that one query looks at in vain, at most.
const MAX_EXAMINED: usize = 50_000;
/// Works that an index of unknown size is thought to hold; a set known to be smaller leads instead.
const LIKELY: u64 = 5_000;
/// Works that are asked for at a time, at most.
const MAX_CHUNK: usize = 1024;

/// What is wanted.
#[derive(Default)]
pub(in crate::ledger::query) struct Wanted {
    /// States as people see them; any when empty.
    shown: Vec<&'static str>,
    /// The stored states that they can be.
    states: Vec<i64>,
    owner: Option<u32>,
    agent: Option<i64>,
    label: Option<String>,
    parent: Option<i64>,
}

/// A work that may be wanted.
pub(in crate::ledger::query) struct Hit {
    /// Where the next page begins.
    pub(in crate::ledger::query) cursor: i64,
    /// The work.
    pub(in crate::ledger::query) key: i64,
    state: i64,
    owner: u32,
    queue: i64,
    unmet: i64,
    run: Option<i64>,
    parent: Option<i64>,
}

/// What was found.
pub(in crate::ledger::query) struct Found {
    /// Newest first.
    pub(in crate::ledger::query) hits: Vec<Hit>,
    /// Whether there may be older ones.
    pub(in crate::ledger::query) more: bool,
}

/// The index that leads.
enum Source {
    All,
    Owner(u32),
    States(Vec<i64>),
    Queues(Vec<i64>),
    Label(String),
    Agent(i64),
    Parent(i64),
}

impl Wanted {
    /// Works in these states, of what the viewer sees.
    pub(in crate::ledger::query) fn in_states(viewer: &Viewer, states: &[WorkState]) -> Self {
        Self {
            shown: states.iter().map(|state| state.as_str()).collect(),
            states: states.iter().copied().map(state_number).collect(),
            owner: (!viewer.all).then_some(viewer.uid),
            ..Self::default()
        }
    }

    /// Reads a filter and narrows it to what the viewer sees; nothing when that leaves nothing.
    pub(super) fn read(conn: &Connection, viewer: &Viewer, filter: &WorkFilter) -> Result<Option<Self>, QueryError> {
        let (shown, states) = filter.state.as_deref().map_or(Ok((Vec::new(), Vec::new())), states)?;
        let parent = match filter.parent {
            Some(id) => Some(super::super::resolve::work(conn, viewer, &id.to_string())?.key),
            None => None,
        };
        let mut wanted = Self { shown, states, owner: filter.owner, parent, ..Self::default() };
        wanted.label = filter.label.as_ref().map(|(key, value)| format!("{}={}", key.as_str(), value.as_str()));
        if !viewer.all && viewer.agent.is_none() {
            if filter.owner.is_some_and(|owner| owner != viewer.uid) {
                return Ok(None);
            }
            wanted.owner = Some(viewer.uid);
        }
        let agent = match (&filter.agent, &viewer.agent) {
            (Some(asked), Some(own)) if asked != own => return Ok(None),
            (Some(name), _) | (None, Some(name)) => name,
            (None, None) => return Ok(Some(wanted)),
        };
        wanted.agent = read::one(conn, "SELECT key FROM agents WHERE name = ?1", [agent.as_str()])?;
        Ok(wanted.agent.is_some().then_some(wanted))
    }

    fn source(&self, conn: &Connection, parked: IsParked<'_>) -> Result<Source, QueryError> {
        let mut sources = Vec::new();
        if let Some(parent) = self.parent {
            return Ok(Source::Parent(parent));
        }
        if let Some(agent) = self.agent {
            sources.push((LIKELY, Source::Agent(agent)));
        }
        if let Some(label) = &self.label {
            sources.push((LIKELY, Source::Label(label.clone())));
        }
        if let Some(owner) = self.owner {
            let sql = "SELECT ifnull(sum(n), 0) FROM counts WHERE owner = ?1";
            sources.push((read::count(read::one(conn, sql, [owner])?.unwrap_or(0)), Source::Owner(owner)));
        }
        if !self.states.is_empty() {
            sources.push(self.by_state(conn, parked)?);
        }
        Ok(sources.into_iter().min_by_key(|(size, _)| *size).map_or(Source::All, |(_, source)| source))
    }

    /// Ready works and parked ones are told apart by their queues; the others by their states.
    fn by_state(&self, conn: &Connection, parked: IsParked<'_>) -> Result<(u64, Source), QueryError> {
        if let [shown @ ("ready" | "parked")] = self.shown[..] {
            let sql = "SELECT id, ready FROM queues WHERE ready > 0";
            let mut queues: Vec<(i64, i64)> = read::all(conn, sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            queues.retain(|(queue, _)| parked(*queue) == (shown == "parked"));
            let ready = queues.iter().map(|(_, ready)| read::count(*ready)).sum();
            if ready <= LIKELY {
                return Ok((ready, Source::Queues(queues.into_iter().map(|(queue, _)| queue).collect())));
            }
        }
        let mut total = 0;
        for (state, n) in read::all(conn, "SELECT state, n FROM counts", [], |row| Ok((row.get(0)?, row.get(1)?)))? {
            if self.states.contains(&state) {
                total += read::count(n);
            }
        }
        Ok((total, Source::States(self.states.clone())))
    }

    fn fits(&self, conn: &Connection, source: &Source, hit: &Hit, parked: IsParked<'_>) -> rusqlite::Result<bool> {
        let right_state = self.shown.is_empty()
            || state_of(hit.state)
                .is_some_and(|state| self.shown.contains(&shown(state, hit.unmet, hit.queue, parked)));
        if !right_state
            || self.owner.is_some_and(|owner| owner != hit.owner)
            || self.parent.is_some_and(|parent| hit.parent != Some(parent))
        {
            return Ok(false);
        }
        let right_agent = match (source, self.agent) {
            (_, None) => true,
            (Source::Agent(_), _) => hit.run == Some(hit.cursor),
            (_, Some(agent)) => {
                let sql = "SELECT 1 FROM runs WHERE key = ?1 AND agent = ?2";
                read::one::<i64>(conn, sql, (hit.run, agent))?.is_some()
            }
        };
        match &self.label {
            Some(label) if right_agent && !matches!(source, Source::Label(_)) => {
                let sql = "SELECT 1 FROM labels WHERE label = ?1 AND work = ?2";
                Ok(read::one::<i64>(conn, sql, (label, hit.key))?.is_some())
            }
            _ => Ok(right_agent),
        }
    }
}

fn states(text: &str) -> Result<(Vec<&'static str>, Vec<i64>), QueryError> {
    let all = WorkState::ALL.into_iter();
    let stored: Vec<WorkState> = match text {
        "future" => all.filter(|state| state.is_future()).collect(),
        "past" => all.filter(|state| state.is_past()).collect(),
        "current" => all.filter(|state| !state.is_future() && !state.is_past()).collect(),
        "parked" => return Ok((vec!["parked"], vec![state_number(WorkState::Ready)])),
        "scheduled" => vec![WorkState::Scheduled, WorkState::Blocked],
        one => WorkState::parse(one).into_iter().collect(),
    };
    if stored.is_empty() {
        return Err(QueryError::filter("state", text, "a state of a work, or future, current, past"));
    }
    let mut shown: Vec<&'static str> = stored.iter().map(|state| state.as_str()).collect();
    match text {
        "scheduled" => shown.truncate(1),
        "future" => shown.push("parked"),
        _ => {}
    }
    Ok((shown, stored.into_iter().map(state_number).collect()))
}

/// The newest works that fit, at most `limit`, older than the cursor `before`.
pub(in crate::ledger::query) fn scan(
    conn: &Connection,
    wanted: &Wanted,
    parked: IsParked<'_>,
    mut before: i64,
    limit: usize,
) -> Result<Found, QueryError> {
    let source = wanted.source(conn, parked)?;
    let mut hits: Vec<Hit> = Vec::new();
    let mut examined = 0;
    let mut chunk = limit + 1;
    loop {
        let candidates = source.next(conn, before, chunk)?;
        let exhausted = candidates.len() < chunk;
        examined += candidates.len();
        for candidate in candidates {
            before = candidate.cursor;
            if !wanted.fits(conn, &source, &candidate, parked)? {
                continue;
            }
            if hits.len() == limit {
                return Ok(Found { hits, more: true });
            }
            hits.push(candidate);
        }
        if exhausted {
            return Ok(Found { hits, more: false });
        }
        if examined >= MAX_EXAMINED {
            let Some(last) = hits.last_mut() else {
                return Err(QueryError::TooBroad { kind: "work", examined, before: read::count(before) });
            };
            last.cursor = before;
            return Ok(Found { hits, more: true });
        }
        chunk = (chunk * 2).clamp(limit + 1, MAX_CHUNK.max(limit + 1));
    }
}

/// Rows of all these queries: the cursor first.
const COLUMNS: &str = "w.key, w.state, w.owner, w.queue, w.unmet, w.run, w.parent";

fn hit(row: &Row<'_>) -> rusqlite::Result<Hit> {
    Ok(Hit {
        cursor: row.get(0)?,
        key: row.get(1)?,
        state: row.get(2)?,
        owner: row.get(3)?,
        queue: row.get(4)?,
        unmet: row.get(5)?,
        run: row.get(6)?,
        parent: row.get(7)?,
    })
}

impl Source {
    /// The next `n` candidates below a cursor, newest first.
    fn next(&self, conn: &Connection, before: i64, n: usize) -> rusqlite::Result<Vec<Hit>> {
        let limit = i64::try_from(n).unwrap_or(i64::MAX);
        let by = |condition: &str, value: &dyn rusqlite::ToSql| {
            let sql = format!(
                "SELECT w.key, {COLUMNS} FROM works w WHERE w.key < ?1 AND {condition} ORDER BY w.key DESC LIMIT ?2"
            );
            read::all(conn, &sql, params![before, limit, value], hit)
        };
        match self {
            Self::All => by("?3 IS NULL", &rusqlite::types::Null),
            Self::Owner(owner) => by("w.owner = ?3", owner),
            Self::Parent(parent) => by("w.parent = ?3", parent),
            Self::States(states) => {
                let mut hits = Vec::new();
                for state in states {
                    hits.extend(by("w.state = ?3", state)?);
                }
                Ok(newest(hits, n))
            }
            Self::Queues(queues) => {
                let mut keys: Vec<i64> = Vec::new();
                let sql = "SELECT key FROM works WHERE queue = ?1 AND state = 2 AND key < ?2";
                for queue in queues {
                    keys.extend(read::all(conn, sql, [*queue, before], |row| row.get::<_, i64>(0))?);
                }
                keys.sort_unstable_by(|a, b| b.cmp(a));
                let sql = format!("SELECT w.key, {COLUMNS} FROM works w WHERE w.key = ?1");
                let mut statement = conn.prepare_cached(&sql)?;
                keys.into_iter().take(n).map(|key| statement.query_row([key], hit)).collect()
            }
            Self::Label(label) => {
                let sql = format!(
                    "SELECT l.work, {COLUMNS} FROM labels l CROSS JOIN works w ON w.key = l.work
                     WHERE l.label = ?3 AND l.work < ?1 ORDER BY l.work DESC LIMIT ?2"
                );
                read::all(conn, &sql, params![before, limit, label], hit)
            }
            Self::Agent(agent) => {
                let sql = format!(
                    "SELECT r.key, {COLUMNS} FROM runs r CROSS JOIN works w ON w.key = r.work
                     WHERE r.agent = ?3 AND r.key < ?1 ORDER BY r.key DESC LIMIT ?2"
                );
                read::all(conn, &sql, params![before, limit, agent], hit)
            }
        }
    }
}

fn newest(mut hits: Vec<Hit>, n: usize) -> Vec<Hit> {
    hits.sort_unstable_by_key(|hit| std::cmp::Reverse(hit.cursor));
    hits.truncate(n);
    hits
}
