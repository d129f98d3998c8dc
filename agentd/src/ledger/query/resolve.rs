//! From what a person writes to the one thing that is meant, and back to the shortest text that means it.

use agentd_schemas::id::{ID_BYTES, ID_CHARS, ScheduleId, WorkId, prefix_range};
use rusqlite::{Connection, Row};

use super::{QueryError, cut, read, sight};
use crate::policy::Viewer;

/// Candidates that an ambiguous prefix names, at most.
const MAX_CANDIDATES: usize = 5;
/// Ids of others that one prefix is looked up among, at most. A prefix of four characters meets about one in a million.
const MAX_EXAMINED: usize = 10_000;

/// A work: its internal key and its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkKey {
    /// Log index of its submit.
    pub key: i64,
    /// Its id.
    pub id: WorkId,
}

/// A schedule: its internal key and its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleKey {
    /// Log index of its addition.
    pub key: i64,
    /// Its id.
    pub id: ScheduleId,
}

/// The work that a whole id or a unique prefix names, with or without `w-`.
pub fn work(conn: &Connection, viewer: &Viewer, text: &str) -> Result<WorkKey, QueryError> {
    let sql = "SELECT key, id, owner, run FROM works WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
    let read = |row: &Row<'_>| {
        let seen = sight::work(conn, viewer, row.get(2)?, row.get(3)?)?;
        Ok(seen.then_some((row.get(0)?, row.get(1)?)))
    };
    let (key, id) = by_prefix(conn, sql, ("work", "w-"), text, read)?;
    Ok(WorkKey { key, id: WorkId::from_bytes(id) })
}

/// The schedule that a name, a whole id or a unique prefix names, with or without `s-`. Removed ones are found by
/// their whole id alone.
pub fn schedule(conn: &Connection, viewer: &Viewer, text: &str) -> Result<ScheduleKey, QueryError> {
    let sql = "SELECT key, id, owner FROM schedules WHERE state < 2 AND name = ?1 LIMIT 10000";
    let named = read::all(conn, sql, [text], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, u32>(2)?)))?;
    let mut named: Vec<(i64, [u8; ID_BYTES], u32)> = named.into_iter().filter(|found| viewer.sees(found.2)).collect();
    if named.len() > 1 && named.iter().any(|found| found.2 == viewer.uid) {
        named.retain(|found| found.2 == viewer.uid);
    }
    if let [(key, id, _)] = named[..] {
        return Ok(ScheduleKey { key, id: ScheduleId::from_bytes(id) });
    }
    if !named.is_empty() {
        let ids = named.iter().take(MAX_CANDIDATES).map(|found| ScheduleId::from_bytes(found.1).to_string());
        return Err(QueryError::Ambiguous { kind: "schedule", text: cut(text), candidates: ids.collect() });
    }
    let whole = text.strip_prefix("s-").unwrap_or(text).len() == ID_CHARS;
    let sql = "SELECT key, id, owner, state FROM schedules WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
    let read = |row: &Row<'_>| {
        let seen = viewer.sees(row.get(2)?) && (whole || row.get::<_, i64>(3)? < 2);
        Ok(seen.then_some((row.get(0)?, row.get(1)?)))
    };
    let (key, id) = by_prefix(conn, sql, ("schedule", "s-"), text, read)?;
    Ok(ScheduleKey { key, id: ScheduleId::from_bytes(id) })
}

type Found = (i64, [u8; ID_BYTES]);

fn by_prefix(
    conn: &Connection,
    sql: &str,
    (kind, letter): (&'static str, &str),
    text: &str,
    mut visible: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<Found>>,
) -> Result<Found, QueryError> {
    let prefix = text.strip_prefix(letter).unwrap_or(text);
    // The letter alone begins every id, and names none.
    let range = Some(prefix).filter(|_| !text.is_empty()).and_then(prefix_range);
    let Some((low, high)) = range else { return Err(QueryError::not_found(kind, text)) };
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query((low, high))?;
    let mut found = Vec::new();
    let mut examined = 0;
    while let Some(row) = rows.next()? {
        examined += 1;
        found.extend(visible(row)?);
        if found.len() == MAX_CANDIDATES || examined == MAX_EXAMINED {
            break;
        }
    }
    match found[..] {
        [only] if examined < MAX_EXAMINED && !prefix.is_empty() => Ok(only),
        [] | [_] if examined < MAX_EXAMINED => Err(QueryError::not_found(kind, text)),
        _ => {
            let whole = |(_, id): &Found| format!("{letter}{}", &WorkId::from_bytes(*id).to_string()[2..]);
            Err(QueryError::Ambiguous { kind, text: cut(text), candidates: found.iter().map(whole).collect() })
        }
    }
}

/// The shortest prefix that no other work has, at least 4 characters: `w-7kq3`.
pub fn short(conn: &Connection, id: &WorkId) -> rusqlite::Result<String> {
    let below = "SELECT id FROM works WHERE id < ?1 ORDER BY id DESC LIMIT 1";
    let above = "SELECT id FROM works WHERE id > ?1 ORDER BY id LIMIT 1";
    let mut chars = 0;
    for sql in [below, above] {
        let neighbour: Option<[u8; ID_BYTES]> = read::one(conn, sql, [id.as_bytes()])?;
        chars = chars.max(neighbour.map_or(0, |other| common_chars(id.as_bytes(), &other) + 1));
    }
    Ok(id.short(chars))
}

/// Characters that two ids begin with alike: each stands for five bits.
fn common_chars(one: &[u8; ID_BYTES], other: &[u8; ID_BYTES]) -> usize {
    let bytes = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let bits = one.get(bytes).zip(other.get(bytes)).map_or(0, |(a, b)| (a ^ b).leading_zeros() as usize);
    (bytes * 8 + bits) / 5
}
