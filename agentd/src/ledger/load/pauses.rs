//! When living runs stood still: they waited, or a freeze covered them. Both may be at once, and the time counts once.

use agentd_schemas::document::request::Scope;
use agentd_schemas::event::{Event, EventData};
use agentd_schemas::id::WorkId;
use agentd_schemas::unit::name::Slug;
use agentd_schemas::unit::time::WallMs;
use rusqlite::{Connection, params};

use super::{LoadError, Loaded};
use crate::domain::work::frozen::covers;

/// A change that makes a run stand still, or go on.
#[derive(Debug, Clone)]
pub struct Change {
    index: i64,
    boot_ms: u64,
    wall: WallMs,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Freeze(Scope),
    Thaw(Scope),
    Wait,
    GoOn,
}

/// A living run.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Log index of the claim.
    pub key: i64,
    /// Internal key of the work.
    pub work_key: u64,
    /// The work.
    pub work: WorkId,
    /// The agent.
    pub agent: &'a Slug,
}

/// Time that does not count as running, on boot time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stood {
    /// Time of the pauses that are over.
    pub ms: u64,
    /// Since when it stands still now.
    pub since: Option<u64>,
}

/// Freezes and thaws of the host after an event, oldest first. No run is claimed under a freeze that covers it, so that
/// those since its claim are all that matter to it.
pub fn freezes_since(conn: &Connection, index: i64) -> Loaded<Vec<Change>> {
    let sql = "SELECT idx, body FROM events WHERE subject = (SELECT subject FROM events WHERE idx = 0)
               ORDER BY version DESC";
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(0)? <= index {
            break;
        }
        changes.extend(change(row)?);
    }
    changes.reverse();
    Ok(changes)
}

/// Whether a run waited at a moment of the wall clock. `claim` is the log index of its claim.
pub fn waited_at(conn: &Connection, work: WorkId, claim: u64, at: WallMs) -> Loaded<bool> {
    let sql = "SELECT e.idx, e.body FROM events e JOIN works w ON w.key = e.subject
               WHERE w.id = ?1 AND e.idx > ?2 ORDER BY e.idx";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![work.as_bytes(), claim])?;
    let mut waited = false;
    while let Some(row) = rows.next()? {
        match change(row)? {
            Some(Change { wall, .. }) if wall > at => break,
            Some(Change { what: What::Wait, .. }) => waited = true,
            Some(Change { what: What::GoOn, .. }) => waited = false,
            _ => {}
        }
    }
    Ok(waited)
}

/// How long a run stood still since its claim.
pub fn of_run(conn: &Connection, freezes: &[Change], run: Run<'_>) -> Loaded<Stood> {
    let mut changes: Vec<Change> = freezes.iter().filter(|change| change.index > run.key).cloned().collect();
    let sql = "SELECT idx, body FROM events WHERE subject = ?1 AND idx > ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![run.work_key, run.key])?;
    while let Some(row) = rows.next()? {
        changes.extend(change(row)?);
    }
    changes.sort_unstable_by_key(|change| change.index);
    Ok(stood(&changes, run.work, run.agent))
}

fn change(row: &rusqlite::Row<'_>) -> Loaded<Option<Change>> {
    let index = row.get(0)?;
    let body = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    let event = Event::from_bytes(body.as_bytes()).map_err(|source| LoadError::Event { index, source })?;
    let what = match event.data {
        EventData::Frozen(data) => What::Freeze(data.scope),
        EventData::Thawed(data) => What::Thaw(data.scope),
        EventData::RunWaiting(_) => What::Wait,
        EventData::RunResumed(_) => What::GoOn,
        _ => return Ok(None),
    };
    Ok(Some(Change { index, boot_ms: event.envelope.boot_ms, wall: event.envelope.time, what }))
}

fn stood(changes: &[Change], work: WorkId, agent: &Slug) -> Stood {
    let mut stood = Stood::default();
    let (mut waits, mut frozen) = (false, Vec::new());
    for change in changes {
        match &change.what {
            What::Freeze(scope) if covers(scope, work, agent) => frozen.push(scope),
            What::Freeze(_) => {}
            What::Thaw(scope) => frozen.retain(|other| *other != scope),
            What::Wait => waits = true,
            What::GoOn => waits = false,
        }
        match (stood.since, waits || !frozen.is_empty()) {
            (None, true) => stood.since = Some(change.boot_ms),
            (Some(since), false) => {
                stood.ms += change.boot_ms.saturating_sub(since);
                stood.since = None;
            }
            _ => {}
        }
    }
    stood
}
