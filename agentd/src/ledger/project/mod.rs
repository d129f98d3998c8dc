//! Projections: what the log means, as tables. `project` is the only code that writes them; the commit and the rebuild
//! share it, so that rebuilt tables are byte-equal. It reads the event and the tables, never a clock.

mod agents;
mod host;
mod money;
mod objectives;
mod plans;
#[cfg(test)]
pub(in crate::ledger) mod told;
pub(in crate::ledger) mod works;

use agentd_schemas::event::{Event, EventData, Subject};
use rusqlite::{Connection, Result, params};

/// Applies one event. The event's body is already in `events`.
pub fn project(tx: &Connection, event: &Event) -> Result<()> {
    request(tx, event)?;
    match &event.envelope.subject {
        Subject::Work(id) => works::project(tx, event, *id),
        Subject::Agent(name) => agents::project(tx, event, name),
        Subject::Schedule(id) => plans::project_schedule(tx, event, *id),
        Subject::Objective(_) => {
            subject(tx, event)?;
            objectives::project(tx, event)
        }
        Subject::Account(id) => {
            subject(tx, event)?;
            money::project_limit(tx, event, id)
        }
        Subject::Host => {
            subject(tx, event)?;
            host::project(tx, event)
        }
    }
}

/// Idempotency keys never expire.
fn request(tx: &Connection, event: &Event) -> Result<()> {
    let Some(request) = &event.envelope.request else { return Ok(()) };
    let sql = "INSERT INTO requests (actor, key, digest, first, events) VALUES (?1, ?2, ?3, ?4, ?5)";
    let envelope = &event.envelope;
    exec(tx, sql, params![envelope.actor.to_string(), request.key, request.digest, envelope.index, request.events])
}

/// Keeps the version of a subject without a table of its own.
fn subject(tx: &Connection, event: &Event) -> Result<()> {
    let envelope = &event.envelope;
    let sql = "INSERT INTO subjects (key, kind, id, version) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version";
    exec(tx, sql, params![envelope.index, envelope.subject.kind().as_str(), envelope.subject.id(), envelope.version])
}

/// Runs one cached statement.
fn exec(tx: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<()> {
    tx.prepare_cached(sql)?.execute(params).map(drop)
}

/// Runs one cached statement that changes exactly one row: the one that the subject of the event has.
fn change(tx: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<()> {
    match tx.prepare_cached(sql)?.execute(params)? {
        1 => Ok(()),
        rows => Err(rusqlite::Error::StatementChangedRows(rows)),
    }
}

/// A value as the JSON text that a column keeps.
fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// The state's place in the order of a life, as tables keep it.
pub fn state_number(state: agentd_schemas::event::WorkState) -> i64 {
    agentd_schemas::event::WorkState::ALL.iter().zip(0..).find(|(each, _)| **each == state).map_or(-1, |(_, n)| n)
}

/// The state of a place.
pub fn state_of(number: i64) -> Option<agentd_schemas::event::WorkState> {
    usize::try_from(number).ok().and_then(|n| agentd_schemas::event::WorkState::ALL.get(n).copied())
}

/// An event in a projection that the subject cannot have: a broken invariant, reported as such by the store.
fn misplaced(data: &EventData) -> rusqlite::Error {
    rusqlite::Error::InvalidParameterName(format!("event type {} does not belong to its subject", data.type_name()))
}
