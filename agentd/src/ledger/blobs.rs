//! Content beside the log. The event commits to it; erasing salt and data leaves every proof valid.

use agentd_schemas::log::commitment::Salt;
use rusqlite::{Connection, OptionalExtension, Result, params};

/// Blobs of one event, at most.
pub const SLOTS: u8 = 16;

/// What is stored of one blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// Salt and content.
    Content {
        /// The salt of the commitment.
        salt: Salt,
        /// The exact bytes.
        data: Vec<u8>,
    },
    /// Both were erased.
    Erased,
}

/// The row of a blob: the event's index times 16, plus the slot.
pub const fn id(event: u64, slot: u8) -> u64 {
    event * SLOTS as u64 + slot as u64
}

/// Stores a new blob.
pub(super) fn insert(tx: &Connection, id: u64, salt: &Salt, data: &[u8]) -> Result<()> {
    let sql = "INSERT INTO blobs (id, salt, data) VALUES (?1, ?2, ?3)";
    tx.prepare_cached(sql)?.execute(params![id, salt.0, data]).map(drop)
}

/// Reads a blob; `None` when the event has none of that slot.
pub fn read(connection: &Connection, event: u64, slot: u8) -> Result<Option<Stored>> {
    let sql = "SELECT salt, data FROM blobs WHERE id = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Option<[u8; 32]>>(0)?, row.get::<_, Option<Vec<u8>>>(1)?));
    let row = connection.prepare_cached(sql)?.query_row([id(event, slot)], read).optional()?;
    Ok(row.map(|row| match row {
        (Some(salt), Some(data)) => Stored::Content { salt: Salt(salt), data },
        _ => Stored::Erased,
    }))
}
