//! Facts about works: one work, a claim, spending, a cascade.

use std::sync::Arc;

use agentd_schemas::document::request::Scope;
use agentd_schemas::event::{Event, EventData, WorkState, WorkSubmitted};
use agentd_schemas::id::{Fence, ID_BYTES, WorkId};
use agentd_schemas::unit::name::Slug;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{LoadError, Loaded, accounts, agents, host};
use crate::domain::Env;
use crate::domain::account::{Used, of_parts};
use crate::domain::command::{Looked, RunRef};
use crate::domain::matching::{self, Candidate, Demand};
use crate::domain::work::claim::{ClaimFacts, exhausted};
use crate::domain::work::recover::CascadeFacts;
use crate::domain::work::share::Said;
use crate::domain::work::spend::SpendFacts;
use crate::domain::work::{Dependant, LiveRun, WorkFacts};
use crate::ledger::project::state_of;

/// Works that one step of a cascade reaches, at most.
pub const CASCADE_STEP: usize = 64;

const COLUMNS: &str = "w.key, w.id, w.state, w.attempts, w.max_attempts, w.max_cost, w.max_tokens, w.spent, w.reserved,
    w.tokens, w.reserved_tokens, w.unmet, w.held, w.breached, e.body, w.dependants,
    a.name, r.epoch, r.incarnation, r.key, r.waiting, w.children > 0";
const FROM: &str = "FROM works w JOIN events e ON e.idx = w.key LEFT JOIN runs r ON r.key = w.run
    LEFT JOIN agents a ON a.key = r.agent";

/// One work, with its dependants when the command may end it.
pub fn work(tx: &Connection, id: WorkId, with_dependants: bool) -> Loaded<Option<WorkFacts>> {
    let sql = format!("SELECT {COLUMNS} {FROM} WHERE w.id = ?1");
    read(tx, &sql, params![id.as_bytes()], with_dependants)
}

/// One work by its internal key.
pub fn work_by_key(tx: &Connection, key: i64, with_dependants: bool) -> Loaded<Option<WorkFacts>> {
    let sql = format!("SELECT {COLUMNS} {FROM} WHERE w.key = ?1");
    read(tx, &sql, params![key], with_dependants)
}

fn read(tx: &Connection, sql: &str, params: impl rusqlite::Params, with_dependants: bool) -> Loaded<Option<WorkFacts>> {
    let found = tx.prepare_cached(sql)?.query_row(params, |row| Ok(facts(row))).optional()?;
    let Some((mut facts, dependants)) = found.transpose()? else { return Ok(None) };
    if with_dependants && dependants > 0 {
        facts.dependants = self::dependants(tx, facts.key, i64::MAX)?;
    }
    if facts.has_parts {
        facts.parts = accounts::used(tx, &of_parts(facts.id))?;
    }
    if let Some(run) = &facts.run
        && facts.state.is_leased()
        && (facts.reserved > 0 || facts.reserved_tokens > 0)
    {
        facts.open = accounts::open(tx, run.fence.n)?;
    }
    Ok(Some(facts))
}

fn facts(row: &Row<'_>) -> Loaded<(WorkFacts, i64)> {
    let key: i64 = row.get(0)?;
    let spec = spec(key, row.get_ref(14)?.as_str().map_err(rusqlite::Error::from)?)?;
    let breached: i64 = row.get(13)?;
    let facts = WorkFacts {
        key: row.get(0)?,
        id: id(row, 1)?,
        state: state(key, row.get(2)?)?,
        spec: Arc::new(spec),
        attempts: row.get(3)?,
        max_attempts: row.get(4)?,
        max_cost: row.get(5)?,
        max_tokens: row.get(6)?,
        spent: row.get(7)?,
        reserved: row.get(8)?,
        tokens: row.get(9)?,
        reserved_tokens: row.get(10)?,
        has_parts: row.get(21)?,
        parts: Used::default(),
        open: Vec::new(),
        unmet: row.get(11)?,
        run: run(row, key)?,
        dependants: Vec::new(),
        held: row.get(12)?,
        breached_start: breached & 1 != 0,
        breached_finish: breached & 2 != 0,
        breached_deadline: breached & 4 != 0,
    };
    Ok((facts, row.get(15)?))
}

fn run(row: &Row<'_>, key: i64) -> Loaded<Option<LiveRun>> {
    let Some(agent) = row.get::<_, Option<String>>(16)? else { return Ok(None) };
    let waiting: Option<String> = row.get(20)?;
    let broken = |what: String| LoadError::Table { table: "runs", row: key, what };
    Ok(Some(LiveRun {
        agent: agent.parse::<Slug>().map_err(|error| broken(error.to_string()))?,
        epoch: row.get(17)?,
        fence: Fence { incarnation: row.get(18)?, n: row.get(19)? },
        waiting: waiting
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| broken(error.to_string()))?,
    }))
}

/// A work id in a column.
pub fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<WorkId> {
    row.get::<_, [u8; ID_BYTES]>(column).map(WorkId::from_bytes)
}

pub(super) fn state(key: i64, number: i64) -> Loaded<WorkState> {
    state_of(number).ok_or_else(|| LoadError::Table { table: "works", row: key, what: format!("state {number}") })
}

/// What was submitted, from the body of its event.
pub fn spec(key: i64, body: &str) -> Loaded<WorkSubmitted> {
    let event = Event::from_bytes(body.as_bytes()).map_err(|source| LoadError::Event { index: key, source })?;
    match event.data {
        EventData::WorkSubmitted(spec) => Ok(spec),
        other => Err(LoadError::Table { table: "works", row: key, what: format!("begins with {}", other.type_name()) }),
    }
}

const DEPENDANT: &str = "SELECT w.key, w.id, w.state, w.unmet, e.body FROM dependencies d
    JOIN works w ON w.key = d.work JOIN events e ON e.idx = w.key WHERE d.on_work = ?1 AND";

/// Dependants whose dependency on this work is open, at most `limit`.
fn dependants(tx: &Connection, key: u64, limit: i64) -> Loaded<Vec<Dependant>> {
    read_dependants(tx, &format!("{DEPENDANT} d.status = 0 AND w.state < 7 LIMIT ?2"), key, limit)
}

/// Dependants that run although this work failed, and wait for nothing else.
fn freed(tx: &Connection, key: u64, limit: i64) -> Loaded<Vec<Dependant>> {
    let sql = format!("{DEPENDANT} d.on_failure = 2 AND d.status = 1 AND w.state = 1 AND w.unmet = 0 LIMIT ?2");
    read_dependants(tx, &sql, key, limit)
}

fn read_dependants(tx: &Connection, sql: &str, key: u64, limit: i64) -> Loaded<Vec<Dependant>> {
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query(params![key, limit])?;
    let mut dependants = Vec::new();
    while let Some(row) = rows.next()? {
        let key: i64 = row.get(0)?;
        let spec = spec(key, row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?)?;
        dependants.push(Dependant {
            id: id(row, 1)?,
            state: state(key, row.get(2)?)?,
            unmet: row.get(3)?,
            on_failure: spec.on_dependency_failure,
            not_before: spec.not_before,
        });
    }
    Ok(dependants)
}

/// What a claim needs to know: the agent, and the first work in claim order among the queues that it is able for; or the one
/// that was looked at, while it is ready and the agent has the program that was looked at.
pub fn claim_facts(tx: &Connection, agent: &Slug, looked: Option<&Looked>, env: &Env) -> Loaded<Option<ClaimFacts>> {
    let Some(candidate) = agents::candidate(tx, agent)? else { return Ok(None) };
    let mut facts = ClaimFacts { first: None, frozen: host::frozen(tx)?, accounts: Vec::new(), agent: candidate };
    if matching::room(&facts.agent, env).is_err() || facts.frozen.contains(&Scope::All) {
        return Ok(Some(facts));
    }
    let Some(looked) = looked else {
        first_of(tx, &mut facts, FIRST, env)?;
        return Ok(Some(facts));
    };
    let has_program = "SELECT 1 FROM agents WHERE name = ?1 AND program = ?2";
    if tx.prepare_cached(has_program)?.exists(params![agent.as_str(), looked.program])?
        && let Some(work) = work(tx, looked.work, false)?.filter(|work| work.state == WorkState::Ready)
    {
        facts.accounts = accounts::above(tx, work.spec.owner, Some(agent), env)?;
        facts.first = Some(work);
    }
    Ok(Some(facts))
}

/// Where a ready work stands in claim order: (−priority, latest start, key).
pub type Rank = (i64, i64, i64);

/// Before every work.
pub const FIRST: Rank = (-i64::MAX, i64::MIN, i64::MIN);

/// The first ready work behind a rank that an agent may take, and its own rank.
pub fn ready_behind(tx: &Connection, agent: &Slug, rank: Rank, env: &Env) -> Loaded<Option<(Rank, WorkFacts)>> {
    let Some(candidate) = agents::candidate(tx, agent)? else { return Ok(None) };
    let mut facts = ClaimFacts { first: None, frozen: host::frozen(tx)?, accounts: Vec::new(), agent: candidate };
    if matching::room(&facts.agent, env).is_err() || facts.frozen.contains(&Scope::All) {
        return Ok(None);
    }
    let rank = first_of(tx, &mut facts, rank, env)?;
    Ok(rank.zip(facts.first))
}

/// Finds the first work behind a rank, and says its own.
fn first_of(tx: &Connection, facts: &mut ClaimFacts, behind: Rank, env: &Env) -> Loaded<Option<Rank>> {
    let frozen: Vec<WorkId> = facts.frozen.iter().filter_map(scope_work).collect();
    let mut heads = Vec::new();
    for queue in able_queues(tx, &facts.agent, env)? {
        heads.extend(queue_head(tx, queue, &frozen, behind)?);
    }
    heads.sort_unstable();
    let mut found = None;
    // An owner whose accounts are empty does not stand before the works of another one.
    for rank in heads {
        let Some(work) = work_by_key(tx, rank.2, false)? else { continue };
        let accounts = accounts::above(tx, work.spec.owner, Some(&facts.agent.name), env)?;
        let empty = exhausted(&accounts).is_some();
        found = Some(rank);
        facts.first = Some(work);
        facts.accounts = accounts;
        if !empty {
            break;
        }
    }
    Ok(found)
}

const fn scope_work(scope: &Scope) -> Option<WorkId> {
    match scope {
        Scope::Work(id) => Some(*id),
        _ => None,
    }
}

/// Queues with ready works that the agent is able for. An owner has at most [`matching::MAX_DEMANDS`] of them.
fn able_queues(tx: &Connection, agent: &Candidate, env: &Env) -> Loaded<Vec<i64>> {
    let all = "SELECT id, owner, agent, skills, started FROM queues WHERE ready > 0";
    let own = "SELECT id, owner, agent, skills, started FROM queues WHERE ready > 0 AND owner = ?1";
    let mut statement = tx.prepare_cached(if agent.shared { all } else { own })?;
    let mut rows = if agent.shared { statement.query([])? } else { statement.query([agent.owner])? };
    let mut able = Vec::new();
    while let Some(row) = rows.next()? {
        if matching::able(agent, &demand(row)?, &env.defaults).is_ok() {
            able.push(row.get(0)?);
        }
    }
    Ok(able)
}

/// What the works of a queue ask for: columns id, owner, agent, skills, started.
pub fn demand(row: &Row<'_>) -> Loaded<Demand> {
    let key: i64 = row.get(0)?;
    let broken = |what: String| LoadError::Table { table: "queues", row: key, what };
    let agent = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
    let skills = row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(Demand {
        owner: row.get(1)?,
        agent: match agent {
            "" => None,
            name => Some(name.parse().map_err(|error| broken(format!("{error}")))?),
        },
        skills: serde_json::from_str(skills).map_err(|error| broken(error.to_string()))?,
        started: row.get(4)?,
    })
}

/// The rank of the first work of a queue behind another rank.
fn queue_head(tx: &Connection, queue: i64, out: &[WorkId], behind: Rank) -> Loaded<Option<Rank>> {
    let sql = "SELECT priority, latest_start, key, id FROM works
               WHERE queue = ?1 AND state = 2 AND priority <= -?3 AND (-priority, latest_start, key) > (?3, ?4, ?5)
               ORDER BY priority DESC, latest_start, key LIMIT ?2";
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query(params![queue, out.len() + 1, behind.0, behind.1, behind.2])?;
    while let Some(row) = rows.next()? {
        if out.is_empty() || !out.contains(&id(row, 3)?) {
            return Ok(Some((-row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?)));
        }
    }
    Ok(None)
}

/// What spending needs to know.
pub fn spend_facts(tx: &Connection, named: &RunRef, reservation: Option<u64>, env: &Env) -> Loaded<Option<SpendFacts>> {
    let Some(work) = work(tx, named.work, true)? else { return Ok(None) };
    let Some(name) = work.run.as_ref().map(|run| run.agent.clone()) else { return Ok(None) };
    let Some(agent) = agents::facts(tx, &name)? else { return Ok(None) };
    let accounts = accounts::over(tx, &work, Some(&name), env)?;
    let open = work.open.iter().find(|(index, _)| reservation == Some(*index));
    let reservation = open.map(|(_, reserved)| reserved.clone());
    Ok(Some(SpendFacts { work, agent, accounts, reservation }))
}

/// What a living run added to the ledger since it was claimed.
pub fn said(tx: &Connection, work: &WorkFacts, named: &RunRef) -> Loaded<Said> {
    let sql = "SELECT w.version - e.version FROM works w JOIN events e ON e.idx = ?2 WHERE w.key = ?1";
    let events = tx.prepare_cached(sql)?.query_row([work.key, named.fence.n], |row| row.get(0)).optional()?;
    let sql = "SELECT count(*), coalesce(sum(length(b.data)), 0) FROM notes n JOIN blobs b ON b.id = n.idx * 16
               WHERE n.work = ?1 AND n.idx > ?2";
    let notes = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let (notes, note_bytes) = tx.prepare_cached(sql)?.query_row([work.key, named.fence.n], notes)?;
    Ok(Said { events: events.unwrap_or(0), notes, note_bytes })
}

/// The next step of a cascade; `None` when it is finished.
pub fn cascade_facts(tx: &Connection, effect: u64) -> Loaded<Option<CascadeFacts>> {
    let sql = "SELECT w.key, w.id, w.state FROM outbox o JOIN works w ON w.key = o.work
               WHERE o.effect = ?1 AND o.kind = 'cascade'";
    let found: Option<(u64, WorkId, i64)> =
        tx.prepare_cached(sql)?.query_row([effect], |row| Ok((row.get(0)?, id(row, 1)?, row.get(2)?))).optional()?;
    let Some((key, work, state)) = found else { return Ok(None) };
    let step = i64::try_from(CASCADE_STEP).unwrap_or(i64::MAX);
    let dependants = dependants(tx, key, step)?;
    let freed = freed(tx, key, step)?;
    let cancelled = state_of(state) == Some(WorkState::Cancelled);
    let children = if cancelled { children(tx, key, step)? } else { Vec::new() };
    let spenders = spenders(tx, &children)?;
    let more = [dependants.len(), freed.len(), children.len()].iter().any(|n| *n >= CASCADE_STEP);
    Ok(Some(CascadeFacts { effect, work, dependants, freed, children, spenders, more }))
}

fn children(tx: &Connection, key: u64, limit: i64) -> Loaded<Vec<WorkId>> {
    let sql = "SELECT id FROM works WHERE parent = ?1 AND state < 7 LIMIT ?2";
    let mut statement = tx.prepare_cached(sql)?;
    let rows = statement.query_map(params![key, limit], |row| id(row, 0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Those of these works whose runs have something set aside: their end settles it.
pub fn spenders(tx: &Connection, works: &[WorkId]) -> Loaded<Vec<WorkFacts>> {
    let sql = "SELECT key FROM works WHERE id = ?1 AND (reserved > 0 OR reserved_tokens > 0)";
    let mut statement = tx.prepare_cached(sql)?;
    let mut spenders = Vec::new();
    for id in works {
        let key: Option<i64> = statement.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
        if let Some(key) = key {
            spenders.extend(work_by_key(tx, key, false)?);
        }
    }
    Ok(spenders)
}

/// The verdicts of a result that waits for a person.
pub fn pending_verdicts(tx: &Connection, work: &WorkFacts) -> Loaded<Vec<agentd_schemas::event::Verdict>> {
    let sql = "SELECT e.idx, e.body FROM works w JOIN runs r ON r.key = w.run JOIN events e ON e.idx = r.ended_by
               WHERE w.key = ?1";
    let found: Option<(i64, String)> =
        tx.prepare_cached(sql)?.query_row([work.key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((index, body)) = found else { return Ok(Vec::new()) };
    let event = Event::from_bytes(body.as_bytes()).map_err(|source| LoadError::Event { index, source })?;
    Ok(match event.data {
        EventData::ResultJudged(data) => data.verdicts,
        _ => Vec::new(),
    })
}

/// Works on which an agent holds a lease: at most as many as agents may hold.
pub fn held_by(tx: &Connection, agent: &Slug) -> Loaded<Vec<WorkFacts>> {
    let sql = "SELECT r.work FROM runs r JOIN agents a ON a.key = r.agent WHERE a.name = ?1 AND r.outcome = 0";
    let mut statement = tx.prepare_cached(sql)?;
    let keys: Vec<i64> = statement.query_map([agent.as_str()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut works = Vec::with_capacity(keys.len());
    for key in keys {
        works.extend(work_by_key(tx, key, true)?);
    }
    Ok(works)
}
