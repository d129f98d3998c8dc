//! What wall time triggers for a work.

use agentd_schemas::unit::time::WallMs;
use rusqlite::{Connection, Result, params};

use super::super::exec;

/// Not-before.
pub(in crate::ledger) const WAKE: i64 = 0;
/// Deadline.
pub(in crate::ledger) const DEADLINE: i64 = 1;
/// `start_within`.
pub(in crate::ledger) const START: i64 = 2;
/// `finish_within`.
pub(in crate::ledger) const FINISH: i64 = 3;

/// Sets one.
pub(super) fn set(tx: &Connection, due: WallMs, kind: i64, work: i64) -> Result<()> {
    let sql = "INSERT INTO timers (due, kind, work) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    exec(tx, sql, params![due.as_ms(), kind, work])
}

/// Clears the timers of one kind. Their times stand in the submit, so the rows are found by key.
pub(super) fn clear(tx: &Connection, work: i64, kind: i64) -> Result<()> {
    let sql = "DELETE FROM timers WHERE work = ?1 AND kind = ?2";
    exec(tx, sql, params![work, kind])
}

/// Clears all of them.
pub(super) fn clear_all(tx: &Connection, work: i64) -> Result<()> {
    exec(tx, "DELETE FROM timers WHERE work = ?1", [work])?;
    exec(tx, "DELETE FROM backoffs WHERE work = ?1", [work])
}

/// When one is due.
pub(super) fn due(tx: &Connection, work: i64, kind: i64) -> Result<Option<i64>> {
    use rusqlite::OptionalExtension as _;
    let sql = "SELECT due FROM timers WHERE work = ?1 AND kind = ?2";
    tx.prepare_cached(sql)?.query_row(params![work, kind], |row| row.get(0)).optional()
}
