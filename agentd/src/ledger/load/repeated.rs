//! What became of an earlier request under the same idempotency key.

use std::sync::Arc;

use agentd_schemas::event::{Actor, Event};
use agentd_schemas::problem::{Code, Problem};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{LoadError, Loaded};

/// An earlier request under a key.
#[derive(Debug)]
pub enum Repeated {
    /// It had the same body: its events.
    Same(Arc<[Event]>),
    /// It had another body: what its repeat is told.
    Other(Problem),
}

/// The request that came before under a key with the digest of its body; `None` when there was none.
pub fn repeated(conn: &Connection, actor: &Actor, (key, digest): &(String, String)) -> Loaded<Option<Repeated>> {
    let sql = "SELECT digest, first, events FROM requests WHERE actor = ?1 AND key = ?2";
    let found: Option<(String, i64, i64)> = conn
        .prepare_cached(sql)?
        .query_row(params![actor.to_string(), key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((before, first, count)) = found else { return Ok(None) };
    if before != *digest {
        let problem =
            Problem::new(Code::KeyReused, format!("the idempotency key {key:?} was used before with another body"))
                .hint("use a fresh key for a new request");
        return Ok(Some(Repeated::Other(problem)));
    }
    let events: Vec<Event> = (first..first + count).map(|index| event(conn, index)).collect::<Loaded<_>>()?;
    Ok(Some(Repeated::Same(events.into())))
}

fn event(conn: &Connection, index: i64) -> Loaded<Event> {
    let body: String =
        conn.prepare_cached("SELECT body FROM events WHERE idx = ?1")?.query_row([index], |row| row.get(0))?;
    Event::from_bytes(body.as_bytes()).map_err(|source| LoadError::Event { index, source })
}
