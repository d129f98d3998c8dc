//! The signed head of the log, and the checkpoints that are kept.
//!
//! Kept are the head, the last one of each minute, and every one that was given out.

use agentd_schemas::unit::time::WallMs;
use rusqlite::{Connection, OptionalExtension, params};

/// A moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Wall time.
    pub wall: WallMs,
    /// Milliseconds since boot, sleep included.
    pub boot_ms: u64,
}

/// The newest checkpoint, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Events that it covers.
    pub size: u64,
    /// The signed note.
    pub note: String,
    /// When it was signed.
    pub moment: Moment,
    /// The boot that `moment` counts from, 32 hex.
    pub boot: String,
}

/// The minute of a moment: of each, the last checkpoint is kept.
pub(super) const fn minute(wall: WallMs) -> i64 {
    wall.as_ms() / 60_000
}

/// Reads the head; `None` in a database without events.
pub fn head(connection: &Connection) -> rusqlite::Result<Option<Head>> {
    let sql = "SELECT size, note, wall_ms, boot, boot_ms FROM head WHERE id = 1";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Head {
            size: row.get(0)?,
            note: row.get(1)?,
            moment: Moment { wall: WallMs::saturating(row.get(2)?), boot_ms: row.get(4)? },
            boot: row.get(3)?,
        })
    };
    connection.prepare_cached(sql)?.query_row([], read).optional()
}

/// Keeps the head for good: it is given out.
pub fn keep(tx: &Connection) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO checkpoints (size, note) SELECT size, note FROM head";
    tx.prepare_cached(sql)?.execute([]).map(drop)
}

/// Puts a new head in the place of the old one, which is kept when it was the last of its minute.
pub(super) fn replace(tx: &Connection, head: &Head) -> rusqlite::Result<()> {
    let keep = "INSERT OR IGNORE INTO checkpoints (size, note)
                SELECT size, note FROM head WHERE wall_ms / 60000 <> ?1";
    tx.prepare_cached(keep)?.execute([minute(head.moment.wall)])?;
    let write = "INSERT OR REPLACE INTO head (id, size, note, wall_ms, boot, boot_ms) VALUES (1, ?1, ?2, ?3, ?4, ?5)";
    let moment = head.moment;
    let values = params![head.size, head.note, moment.wall.as_ms(), head.boot, moment.boot_ms];
    tx.prepare_cached(write)?.execute(values).map(drop)
}
