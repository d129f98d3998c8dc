//! Facts about programs that agentd starts.

use agentd_schemas::document::Runtime;
use agentd_schemas::event::{Event, EventData};
use agentd_schemas::id::WorkId;
use agentd_schemas::unit::name::Slug;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{LoadError, Loaded};
use crate::domain::command::RunRef;
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

/// Whether the criteria were tried on what the runs of a work begin with.
pub fn is_base_judged(tx: &Connection, work: WorkId) -> Loaded<bool> {
    let sql = "SELECT 1 FROM bases b JOIN works w ON w.key = b.work WHERE w.id = ?1";
    Ok(tx.prepare_cached(sql)?.exists([work.as_bytes()])?)
}

/// What agentd starts for an agent, and the files that come with it; none where it comes by itself.
pub fn runtime(tx: &Connection, agent: &Slug) -> Loaded<Option<(Runtime, Vec<Vec<u8>>)>> {
    let sql = "SELECT e.idx, e.body FROM agents a JOIN events e ON e.idx = a.program WHERE a.name = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let Some((index, body)) = tx.prepare_cached(sql)?.query_row([agent.as_str()], read).optional()? else {
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
