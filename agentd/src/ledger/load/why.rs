//! What an explanation of one work rests on.

use agentd_schemas::event::{Event, EventData, WorkState};
use agentd_schemas::id::WorkId;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::works::{id, work_by_key};
use super::{LoadError, Loaded, accounts, agents, host};
use crate::domain::Env;
use crate::domain::work::why::WhyFacts;
use crate::ledger::project::state_of;

/// Dependencies that are named, at most.
const MAX_UNMET: i64 = 100;
/// Works ahead that are counted, at most.
const MAX_AHEAD: i64 = 10_000;

/// Loads the facts; `None` when there is no such work.
pub fn facts(conn: &Connection, key: i64, env: &Env) -> Loaded<Option<WhyFacts>> {
    let Some(work) = work_by_key(conn, key, false)? else { return Ok(None) };
    let owner = work.spec.owner;
    let agent = work.run.as_ref().map(|run| run.agent.clone());
    Ok(Some(WhyFacts {
        agents: agents::candidates_for(conn, owner)?,
        unmet: unmet(conn, key)?,
        accounts: accounts::above(conn, owner, agent.as_ref(), env)?,
        frozen: host::frozen(conn)?,
        held_back: Vec::new(),
        ahead: ahead(conn, key)?,
        last_words: last_words(conn, key)?,
        exited: if work.state == WorkState::Waiting { exited(conn, key)? } else { None },
        work,
    }))
}

/// Whether the program of a run that waits ended since it does, and had handed in its result.
fn exited(conn: &Connection, key: i64) -> Loaded<Option<bool>> {
    let sql = "SELECT idx, body FROM events WHERE subject = ?1
               AND json_extract(body, '$.type') IN ('RunWaiting', 'ProgramExited') ORDER BY version DESC LIMIT 1";
    let found: Option<(i64, String)> =
        conn.prepare_cached(sql)?.query_row([key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((index, body)) = found else { return Ok(None) };
    let event = Event::from_bytes(body.as_bytes()).map_err(|source| LoadError::Event { index, source })?;
    Ok(match event.data {
        EventData::ProgramExited(data) => Some(data.handed_in),
        _ => None,
    })
}

fn unmet(conn: &Connection, key: i64) -> Loaded<Vec<(WorkId, WorkState)>> {
    let sql = "SELECT w.id, w.state FROM dependencies d JOIN works w ON w.key = d.on_work
               WHERE d.work = ?1 AND d.status <> 1 LIMIT ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![key, MAX_UNMET], |row| Ok((id(row, 0)?, row.get::<_, i64>(1)?)))?;
    let rows: Vec<(WorkId, i64)> = rows.collect::<rusqlite::Result<_>>()?;
    Ok(rows.into_iter().filter_map(|(id, state)| Some((id, state_of(state)?))).collect())
}

/// Works that go before it in its queue.
fn ahead(conn: &Connection, key: i64) -> Loaded<u64> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM works o JOIN works w ON w.key = ?1
                 WHERE o.queue = w.queue AND o.state = 2 AND w.state = 2
                   AND (o.priority > w.priority OR (o.priority = w.priority AND (o.latest_start < w.latest_start
                     OR (o.latest_start = w.latest_start AND o.key < w.key)))) LIMIT ?2)";
    Ok(conn.prepare_cached(sql)?.query_row(params![key, MAX_AHEAD], |row| row.get(0))?)
}

/// Words of the event that last ended a run or the work.
fn last_words(conn: &Connection, key: i64) -> Loaded<Option<String>> {
    let sql = "SELECT e.idx, e.body FROM works w JOIN events e ON e.idx = w.changed_by WHERE w.key = ?1";
    let found: Option<(i64, String)> =
        conn.prepare_cached(sql)?.query_row([key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((index, body)) = found else { return Ok(None) };
    let event = Event::from_bytes(body.as_bytes()).map_err(|source| LoadError::Event { index, source })?;
    let reason = match event.data {
        EventData::WorkCancelled(data) => return Ok(Some(data.reason)),
        EventData::WorkFailed(data) => data.reason,
        EventData::AttemptFailed(data) => data.reason,
        _ => return Ok(None),
    };
    let said = "SELECT b.data FROM works w JOIN runs r ON r.key = w.run JOIN blobs b ON b.id = r.ended_by * 16 + 2
                WHERE w.key = ?1 AND b.data IS NOT NULL";
    let words: Option<Vec<u8>> = conn.prepare_cached(said)?.query_row([key], |row| row.get(0)).optional()?;
    let words = words.map(|words| String::from_utf8_lossy(&words).chars().take(2000).collect::<String>());
    let reason = serde_json::to_string(&reason).unwrap_or_default().trim_matches('"').replace('_', " ");
    Ok(Some(words.map_or_else(|| reason.clone(), |words| format!("{reason}: {words}"))))
}
