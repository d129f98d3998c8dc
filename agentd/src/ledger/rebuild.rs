//! Rebuilding the projections from the log, and reading the log for that.
//!
//! The tables of the log itself (events, blobs, nodes, head, checkpoints) and what `meta` says about it are left alone.

use agentd_schemas::event::Event;
use agentd_schemas::event::envelope::EventError;
use agentd_schemas::log::tree::leaf_hash;
use rusqlite::{Connection, TransactionBehavior};

use super::{incarnation, open, project};

/// Tables of the log; all others are projections.
const LOG_TABLES: [&str; 6] = ["meta", "events", "blobs", "nodes", "head", "checkpoints"];

/// Why the projections were not rebuilt. The database is as before.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The database failed.
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// An event is not what was written.
    #[error("event {index}: {why}; verify the ledger to find every fault, then restore a backup")]
    Event {
        /// Its index.
        index: u64,
        /// What is wrong.
        why: String,
    },
    /// An event that the tables cannot follow.
    #[error("event {index} ({kind}) cannot be projected: {source}")]
    Project {
        /// Its index.
        index: u64,
        /// Its type.
        kind: &'static str,
        /// What the database said.
        source: rusqlite::Error,
    },
}

/// Something of the schema as agentd makes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Made {
    /// Table that it belongs to.
    pub(super) table: String,
    /// `table` or `index`.
    pub(super) kind: String,
    /// Its name.
    pub(super) name: String,
    /// How it is made.
    pub(super) sql: String,
}

impl Made {
    /// Whether it belongs to a projection.
    pub(super) fn is_projection(&self) -> bool {
        !LOG_TABLES.contains(&self.table.as_str())
    }
}

/// Empties every projection and fills it from the log, in one transaction. `progress` is told how many events more were
/// replayed. Gives their number.
pub fn rebuild(connection: &mut Connection, progress: &dyn Fn(u64)) -> Result<u64, RebuildError> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for made in schema(&tx)?.iter().filter(|made| made.kind == "table" && made.is_projection()) {
        tx.execute_batch(&format!("DELETE FROM main.\"{}\"", made.name))?;
    }
    incarnation::forget_projected(&tx)?;
    let events = replay(&tx, |event| {
        if (event.envelope.index + 1).is_multiple_of(STEP) {
            progress(STEP);
        }
        Ok::<(), RebuildError>(())
    })?;
    progress(events % STEP);
    tx.commit()?;
    Ok(events)
}

/// Events between two reports of progress.
const STEP: u64 = 1 << 12;

/// Reads every event in its order, shows it to `visit`, and projects it. Gives the number of events.
pub(super) fn replay<E: From<RebuildError>>(
    connection: &Connection,
    mut visit: impl FnMut(&Event) -> Result<(), E>,
) -> Result<u64, E> {
    let sqlite = |error: rusqlite::Error| E::from(RebuildError::Sqlite(error));
    let mut statement = connection.prepare("SELECT idx, leaf, body FROM main.events ORDER BY idx").map_err(sqlite)?;
    let mut rows = statement.query([]).map_err(sqlite)?;
    let mut events = 0;
    while let Some(row) = rows.next().map_err(sqlite)? {
        let event = read(row, events)?;
        visit(&event)?;
        project::project(connection, &event)
            .map_err(|source| E::from(RebuildError::Project { index: events, kind: event.data.type_name(), source }))?;
        events += 1;
    }
    Ok(events)
}

/// Takes the event that must come next.
fn read(row: &rusqlite::Row<'_>, index: u64) -> Result<Event, RebuildError> {
    let wrong = |why: &str| RebuildError::Event { index, why: why.to_owned() };
    if row.get::<_, u64>(0)? != index {
        return Err(wrong("it is missing"));
    }
    let bytes = |column| row.get_ref(column).and_then(|value| Ok(value.as_bytes()?));
    let body = bytes(2)?;
    if leaf_hash(body).0 != bytes(1)? {
        return Err(wrong("its bytes do not give its leaf hash"));
    }
    let event = Event::from_bytes(body).map_err(|error: EventError| wrong(&error.to_string()))?;
    if event.envelope.index == index { Ok(event) } else { Err(wrong("its bytes are those of another event")) }
}

/// Tables and indexes of a database that the migrations alone made, in a fixed order, tables before their indexes.
pub(super) fn schema_made() -> rusqlite::Result<Vec<Made>> {
    let mut fresh = Connection::open_in_memory()?;
    open::migrate(&mut fresh)?;
    schema(&fresh)
}

/// Tables, indexes and whatever else the database at hand has.
pub(super) fn schema(connection: &Connection) -> rusqlite::Result<Vec<Made>> {
    let sql = "SELECT tbl_name, type, name, sql FROM main.sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
               ORDER BY tbl_name, type DESC, name";
    let made = |row: &rusqlite::Row<'_>| {
        Ok(Made { table: row.get(0)?, kind: row.get(1)?, name: row.get(2)?, sql: row.get(3)? })
    };
    connection.prepare(sql)?.query_map([], made)?.collect()
}

#[cfg(test)]
mod tests;
