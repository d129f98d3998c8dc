//! Programs of runs that agentd starts.

use agentd_schemas::event::{Event, RunEnded, RunStarted};
use rusqlite::{Connection, Result, params};

use super::super::exec;
use super::Row;

/// Its program began, where it has one.
pub(super) fn started(tx: &Connection, event: &Event, row: &Row, data: &RunStarted) -> Result<()> {
    if data.confinement.is_none() {
        return Ok(());
    }
    let sql = "INSERT INTO programs (run, started) VALUES (?1, ?2) ON CONFLICT (run) DO UPDATE SET started = ?2";
    exec(tx, sql, params![row.run_key(), event.envelope.index])
}

/// It ended; its run may be over already, and another one live.
pub(super) fn ended(tx: &Connection, event: &Event, row: &Row, data: &RunEnded) -> Result<()> {
    let attempt = event.envelope.run.map(|run| run.attempt);
    let sql = "INSERT INTO programs (run, ended, wall_ms, user_us, system_us, peak_bytes, read_bytes, written_bytes)
               SELECT key, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM runs WHERE work = ?1 AND attempt = ?2
               ON CONFLICT (run) DO UPDATE SET ended = excluded.ended, wall_ms = excluded.wall_ms,
                   user_us = excluded.user_us, system_us = excluded.system_us, peak_bytes = excluded.peak_bytes,
                   read_bytes = excluded.read_bytes, written_bytes = excluded.written_bytes";
    let used = data.usage;
    let values = params![
        row.key,
        attempt,
        event.envelope.index,
        used.wall_ms,
        used.user_us,
        used.system_us,
        used.peak_bytes,
        used.read_bytes,
        used.written_bytes,
    ];
    exec(tx, sql, values)
}

/// The criteria were tried on the base.
pub(super) fn base_judged(tx: &Connection, event: &Event, row: &Row) -> Result<()> {
    let sql = "INSERT INTO bases (work, idx) VALUES (?1, ?2) ON CONFLICT (work) DO UPDATE SET idx = excluded.idx";
    exec(tx, sql, params![row.key, event.envelope.index])
}
