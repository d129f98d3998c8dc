//! Content of works that rules and runs need: what was asked, and what persons said since.

use agentd_schemas::content::WorkContent;
use agentd_schemas::id::WorkId;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{LoadError, Loaded};

/// Notes that one answer carries, at most.
pub const MAX_NOTES: i64 = 100;

/// What a work says; `None` when it was erased.
pub fn of_work(conn: &Connection, key: u64) -> Loaded<Option<WorkContent>> {
    let sql = "SELECT data FROM blobs WHERE id = ?1 * 16";
    let data: Option<Option<Vec<u8>>> = conn.prepare_cached(sql)?.query_row([key], |row| row.get(0)).optional()?;
    let Some(data) = data.flatten() else { return Ok(None) };
    let broken = |error: serde_json::Error| LoadError::Table {
        table: "blobs",
        row: i64::try_from(key.saturating_mul(16)).unwrap_or(i64::MAX),
        what: error.to_string(),
    };
    serde_json::from_slice(&data).map(Some).map_err(broken)
}

/// Notes of persons on a work since a log index, oldest first.
pub fn notes_since(conn: &Connection, work: WorkId, since: u64) -> Loaded<Vec<String>> {
    let sql = "SELECT b.data FROM notes n JOIN events e ON e.idx = n.idx JOIN blobs b ON b.id = n.idx * 16
               WHERE n.work = (SELECT key FROM works WHERE id = ?1) AND n.idx > ?2 AND b.data IS NOT NULL
                 AND json_extract(e.body, '$.actor') LIKE 'uid:%' ORDER BY n.idx LIMIT ?3";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![work.as_bytes(), since, MAX_NOTES], |row| row.get::<_, Vec<u8>>(0))?;
    let notes: Vec<Vec<u8>> = rows.collect::<rusqlite::Result<_>>()?;
    Ok(notes.into_iter().map(|note| String::from_utf8_lossy(&note).into_owned()).collect())
}
