//! Facts about the host: freezes, the clock, content that is to be erased.

use agentd_schemas::document::request::Scope;
use agentd_schemas::event::WorkState;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{LoadError, Loaded};
use crate::domain::host::{HostFacts, MAX_FROZEN, RedactFacts};
use crate::ledger::project::state_of;

/// What a decision about the host may know. `scope` is what is to be frozen or thawed; without one, or for the whole
/// host, nothing needs to exist.
pub fn facts(tx: &Connection, scope: Option<&Scope>) -> Loaded<HostFacts> {
    let frozen = frozen(tx)?;
    let frozen_of_owner = scope.map_or(Ok(0), |scope| of_owner(tx, scope, &frozen))?;
    let clock_held = tx.prepare_cached("SELECT held_ms FROM clock WHERE id = 1")?.query_row([], |row| row.get(0));
    Ok(HostFacts {
        frozen,
        clock_held: clock_held.optional()?,
        scope_exists: scope.map_or(Ok(true), |scope| exists(tx, scope))?,
        scope_over: scope.map_or(Ok(false), |scope| is_over(tx, scope))?,
        frozen_of_owner,
    })
}

/// Whether the wall clock jumped and nobody looked yet. Jumps that add up to nothing hold it all the same.
pub fn clock_held(tx: &Connection) -> rusqlite::Result<bool> {
    tx.prepare_cached("SELECT 1 FROM clock WHERE id = 1")?.exists([])
}

/// Freezes of things that belong to whom the scope belongs. While all of them are few, whose they are is not asked.
fn of_owner(tx: &Connection, scope: &Scope, frozen: &[Scope]) -> Loaded<usize> {
    if frozen.len() < MAX_FROZEN {
        return Ok(frozen.len());
    }
    let Some(owner) = owner(tx, scope)? else { return Ok(0) };
    let mut count = 0;
    for each in frozen {
        count += usize::from(self::owner(tx, each)? == Some(owner));
    }
    Ok(count)
}

fn owner(tx: &Connection, scope: &Scope) -> Loaded<Option<u32>> {
    let found = match scope {
        Scope::All => return Ok(None),
        Scope::Work(id) => {
            tx.prepare_cached("SELECT owner FROM works WHERE id = ?1")?.query_row([id.as_bytes()], |row| row.get(0))
        }
        Scope::Agent(name) => {
            tx.prepare_cached("SELECT owner FROM agents WHERE name = ?1")?.query_row([name.as_str()], |row| row.get(0))
        }
    };
    Ok(found.optional()?)
}

fn is_over(tx: &Connection, scope: &Scope) -> Loaded<bool> {
    let Scope::Work(id) = scope else { return Ok(false) };
    let sql = "SELECT state FROM works WHERE id = ?1";
    let state: Option<i64> = tx.prepare_cached(sql)?.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
    Ok(state.and_then(state_of).is_some_and(WorkState::is_past))
}

fn exists(tx: &Connection, scope: &Scope) -> Loaded<bool> {
    Ok(match scope {
        Scope::All => true,
        Scope::Work(id) => tx.prepare_cached("SELECT 1 FROM works WHERE id = ?1")?.exists([id.as_bytes()])?,
        Scope::Agent(name) => tx.prepare_cached("SELECT 1 FROM agents WHERE name = ?1")?.exists([name.as_str()])?,
    })
}

/// What is frozen, in the order of its text. A rule bounds how many there are; none may be left out here.
pub fn frozen(tx: &Connection) -> Loaded<Vec<Scope>> {
    let mut all = tx.prepare_cached("SELECT scope, idx FROM frozen ORDER BY scope")?;
    let mut rows = all.query([])?;
    let mut scopes = Vec::new();
    while let Some(row) = rows.next()? {
        let scope: String = row.get(0)?;
        let row = row.get(1)?;
        scopes.push(serde_json::from_str(&scope).map_err(|error| LoadError::Table {
            table: "frozen",
            row,
            what: format!("scope: {error}"),
        })?);
    }
    Ok(scopes)
}

/// What is known of the content in `slot` of `event`.
pub fn redact(tx: &Connection, event: u64, slot: u8) -> Loaded<RedactFacts> {
    if i64::try_from(event).is_err() {
        return Ok(RedactFacts { exists: false, erased: false, held: false });
    }
    // The bound keeps a slot that no event has from naming content of the next event.
    let sql = "SELECT blobs.salt IS NULL, COALESCE(works.held, 0)
               FROM blobs JOIN events ON events.idx = ?1 LEFT JOIN works ON works.key = events.subject
               WHERE blobs.id = ?1 * 16 + ?2 AND ?2 < 16";
    let found = tx.prepare_cached(sql)?.query_row(params![event, slot], |row| {
        Ok(RedactFacts { exists: true, erased: row.get(0)?, held: row.get(1)? })
    });
    Ok(found.optional()?.unwrap_or(RedactFacts { exists: false, erased: false, held: false }))
}

#[cfg(test)]
mod tests;
