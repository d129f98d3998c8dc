//! Facts about programs that agentd starts.

use agentd_schemas::document::Runtime;
use agentd_schemas::event::{Event, EventData, FailureReason, WorkSubmitted};
use agentd_schemas::id::{Fence, RunId, WorkId};
use agentd_schemas::unit::name::Slug;
use agentd_schemas::unit::time::WallMs;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{LoadError, Loaded};
use crate::domain::command::RunRef;
use crate::domain::work::WorkFacts;
use crate::domain::work::program::ProgramFacts;
use crate::ledger::blobs::{self, Stored};

/// One run, living or over; none where this lease was never given.
pub fn program(tx: &Connection, named: &RunRef) -> Loaded<Option<ProgramFacts>> {
    let sql = "SELECT r.epoch, p.ended IS NOT NULL, w.owner FROM runs r JOIN works w ON w.key = r.work
               LEFT JOIN programs p ON p.run = r.key
               WHERE r.key = ?1 AND r.incarnation = ?2 AND r.attempt = ?3 AND w.id = ?4";
    let run = params![named.fence.n, named.fence.incarnation, named.attempt, named.work.as_bytes()];
    let read =
        |row: &rusqlite::Row<'_>| Ok(ProgramFacts { epoch: row.get(0)?, ended: row.get(1)?, owner: row.get(2)? });
    Ok(tx.prepare_cached(sql)?.query_row(run, read).optional()?)
}

/// The last start of a run's program of which it was said that it ended while the run waited; 0 where it was of none.
pub fn last_exit(tx: &Connection, work: &WorkFacts, named: &RunRef) -> Loaded<u32> {
    let sql = "SELECT coalesce(max(json_extract(body, '$.data.start')), 0) FROM events WHERE subject = ?1 AND idx > ?2
               AND json_extract(body, '$.type') = 'ProgramExited'";
    Ok(tx.prepare_cached(sql)?.query_row(params![work.key, named.fence.n], |row| row.get(0))?)
}

/// Whether the criteria were tried on what the runs of a work begin with.
pub fn is_base_judged(tx: &Connection, work: WorkId) -> Loaded<bool> {
    let sql = "SELECT 1 FROM bases b JOIN works w ON w.key = b.work WHERE w.id = ?1";
    Ok(tx.prepare_cached(sql)?.exists([work.as_bytes()])?)
}

/// What agentd starts in a run of an agent, and the files that come with it: what was bound when the run was claimed, for
/// a run keeps its program whatever is bound later. None where the agent came by itself.
pub fn runtime(tx: &Connection, agent: &Slug, claim: u64) -> Loaded<Option<(Runtime, Vec<Vec<u8>>)>> {
    let sql = "SELECT e.idx, e.body FROM agents a JOIN events e ON e.subject = a.key
               WHERE a.name = ?1 AND e.idx <= ?2
                 AND json_extract(e.body, '$.type') IN ('AgentEnrolled', 'ProgramBound')
               ORDER BY e.version DESC LIMIT 1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let Some((index, body)) = tx.prepare_cached(sql)?.query_row(params![agent.as_str(), claim], read).optional()?
    else {
        return Ok(None);
    };
    let Some(runtime) = bound(index, &body)? else { return Ok(None) };
    let mut files = Vec::with_capacity(runtime.files.len());
    for (slot, file) in (1..).zip(&runtime.files) {
        match blobs::read(tx, index.cast_unsigned(), slot)? {
            Some(Stored::Content { data, .. }) => files.push(data),
            _ => {
                let what = format!("the file {} of agent {agent} was erased", file.name);
                return Err(LoadError::Table { table: "blobs", row: index, what });
            }
        }
    }
    Ok(Some((runtime, files)))
}

/// What agentd starts for an agent now, and whether the content of its files is there; none where it comes by itself.
pub fn runtime_now(tx: &Connection, agent: &Slug) -> Loaded<Option<(Runtime, bool)>> {
    let sql = "SELECT e.idx, e.body FROM agents a JOIN events e ON e.idx = a.program WHERE a.name = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let Some((index, body)) = tx.prepare_cached(sql)?.query_row([agent.as_str()], read).optional()? else {
        return Ok(None);
    };
    let Some(runtime) = bound(index, &body)? else { return Ok(None) };
    let sql = "SELECT count(*) FROM blobs WHERE id BETWEEN ?1 * 16 + 1 AND ?1 * 16 + ?2 AND data IS NOT NULL";
    let there: usize = tx.prepare_cached(sql)?.query_row(params![index, runtime.files.len()], |row| row.get(0))?;
    let whole = there == runtime.files.len();
    Ok(Some((runtime, whole)))
}

/// The index at which the program of an agent of now was bound.
pub fn bound_at(tx: &Connection, agent: &Slug) -> Loaded<Option<u64>> {
    let sql = "SELECT program FROM agents WHERE name = ?1";
    let found: Option<Option<u64>> =
        tx.prepare_cached(sql)?.query_row([agent.as_str()], |row| row.get(0)).optional()?;
    Ok(found.flatten())
}

/// A run of an agent with a program, by its name: its lease, its agent, whose that is, and whether the end of its program
/// is known. The newest where one name was given twice, after a lease that was void.
pub fn named(tx: &Connection, run: RunId) -> Loaded<Option<(RunRef, Slug, u32, bool)>> {
    let sql = "SELECT r.key, r.incarnation, a.name, a.owner, p.ended IS NOT NULL FROM works w
               JOIN runs r ON r.work = w.key JOIN agents a ON a.key = r.agent LEFT JOIN programs p ON p.run = r.key
               WHERE w.id = ?1 AND r.attempt = ?2 AND a.program IS NOT NULL ORDER BY r.key DESC LIMIT 1";
    let read = |row: &rusqlite::Row<'_>| {
        let fence = Fence { n: row.get(0)?, incarnation: row.get(1)? };
        let named = RunRef { work: run.work, attempt: run.attempt, fence };
        Ok((named, row.get::<_, String>(2)?, row.get(3)?, row.get(4)?))
    };
    let found = tx.prepare_cached(sql)?.query_row(params![run.work.as_bytes(), run.attempt], read).optional()?;
    let Some((named, agent, owner, ended)) = found else { return Ok(None) };
    let row = i64::try_from(named.fence.n).unwrap_or(i64::MAX);
    let agent = agent.parse().map_err(|error| LoadError::Table { table: "agents", row, what: format!("{error}") })?;
    Ok(Some((named, agent, owner, ended)))
}

/// Why a run failed, where it did.
pub fn end_of(tx: &Connection, named: &RunRef) -> Loaded<Option<FailureReason>> {
    let sql = "SELECT e.idx, e.body FROM runs r JOIN events e ON e.idx = r.ended_by WHERE r.key = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let Some((index, body)) = tx.prepare_cached(sql)?.query_row([named.fence.n], read).optional()? else {
        return Ok(None);
    };
    let event = Event::from_bytes(body.as_bytes()).map_err(|source| LoadError::Event { index, source })?;
    Ok(match event.data {
        EventData::AttemptFailed(data) => Some(data.reason),
        _ => None,
    })
}

/// What the program of a run wrote, as the ledger kept it: slot 0 is standard output, 1 standard error.
pub fn output(tx: &Connection, run: RunId, slot: u8) -> Loaded<Option<Vec<u8>>> {
    let sql = "SELECT p.ended FROM programs p JOIN runs r ON r.key = p.run JOIN works w ON w.key = r.work
               WHERE w.id = ?1 AND r.attempt = ?2";
    let ended: Option<Option<u64>> =
        tx.prepare_cached(sql)?.query_row(params![run.work.as_bytes(), run.attempt], |row| row.get(0)).optional()?;
    let Some(ended) = ended.flatten() else { return Ok(None) };
    Ok(match blobs::read(tx, ended, slot)? {
        Some(Stored::Content { data, .. }) => Some(data),
        _ => None,
    })
}

/// Works that only agents can do that agentd starts, and that are not over, or ended without success since this time:
/// these can be retried.
pub fn open_with_workspace(tx: &Connection, since: WallMs) -> Loaded<Vec<WorkSubmitted>> {
    let sql = "SELECT w.key, e.body FROM queues q JOIN works w ON w.queue = q.id JOIN events e ON e.idx = w.key
               WHERE q.started = 1 AND (q.open > 0 AND w.state < 7 OR w.state > 7 AND w.changed >= ?1)";
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query([since.as_ms()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(super::works::spec(row.get(0)?, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?);
    }
    Ok(found)
}

/// The events with the results of works under hold.
pub fn held_results(tx: &Connection) -> Loaded<Vec<EventData>> {
    let sql = "SELECT e.idx, e.body FROM works w JOIN runs r ON r.work = w.key JOIN events e ON e.idx = r.result_by
               WHERE w.held = 1";
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (index, body) = (row.get(0)?, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
        let event = Event::from_bytes(body.as_bytes()).map_err(|source| LoadError::Event { index, source })?;
        found.push(event.data);
    }
    Ok(found)
}

/// Agents with a program that may get one more work, by owner, both in the order of their age.
pub fn startable(tx: &Connection) -> Loaded<Vec<(u32, Vec<Slug>)>> {
    let sql = "SELECT key, owner, name FROM agents WHERE program IS NOT NULL AND key_revoked = 0
                 AND (state = 'active' AND live < max_concurrency OR state = 'probation' AND live < 1)
               ORDER BY owner, key";
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut found: Vec<(u32, Vec<Slug>)> = Vec::new();
    while let Some(row) = rows.next()? {
        let (key, owner): (i64, u32) = (row.get(0)?, row.get(1)?);
        let name = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?.parse();
        let name = name.map_err(|error| LoadError::Table { table: "agents", row: key, what: format!("{error}") })?;
        match found.last_mut().filter(|(last, _)| *last == owner) {
            Some((_, names)) => names.push(name),
            None => found.push((owner, vec![name])),
        }
    }
    Ok(found)
}

/// What agentd starts for the agent with this key, without its files.
pub fn runtime_of(tx: &Connection, key: i64) -> Loaded<Option<Runtime>> {
    let sql = "SELECT e.idx, e.body FROM agents a JOIN events e ON e.idx = a.program WHERE a.key = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let found = tx.prepare_cached(sql)?.query_row([key], read).optional()?;
    found.map_or(Ok(None), |(index, body)| bound(index, &body))
}

/// The program that an event binds.
fn bound(index: i64, body: &str) -> Loaded<Option<Runtime>> {
    let event = Event::from_bytes(body.as_bytes()).map_err(|source| LoadError::Event { index, source })?;
    Ok(match event.data {
        EventData::AgentEnrolled(data) => data.runtime,
        EventData::ProgramBound(data) => Some(data.runtime),
        _ => None,
    })
}
