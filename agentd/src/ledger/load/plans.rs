//! Facts about schedules and objectives.

use agentd_schemas::document::WorkDocument;
use agentd_schemas::document::request::Scope;
use agentd_schemas::document::schedule::MAX_QUEUED;
use agentd_schemas::event::{Event, EventData, ScheduleAdded, WorkState};
use agentd_schemas::id::{ID_BYTES, SHORT_CHARS, ScheduleId, WorkId, prefix_range};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;
use agentd_schemas::unit::time::WallMs;
use jiff::tz::TimeZone;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{LoadError, Loaded, host, works};
use crate::domain::command::Submitter;
use crate::domain::objective::ObjectiveFacts;
use crate::domain::schedule::{AddFacts, ScheduleFacts, ScheduleState};
use crate::domain::work::submit::SubmitFacts;
use crate::domain::work::{NewWork, prepare};
use crate::domain::{Defaults, Rejection};
use crate::ledger::project::state_of;

/// Schedules that one text can name, at most; more than one is ambiguous anyway.
pub const MAX_FOUND: usize = 16;

/// What is known when a schedule is added, what its work refers to aside.
pub fn add(tx: &Connection, owner: u32, name: &Slug) -> Loaded<AddFacts> {
    let sql = "SELECT EXISTS (SELECT 1 FROM schedules WHERE owner = ?1 AND name = ?2 AND state < 2),
                   (SELECT COUNT(*) FROM schedules WHERE state < 2),
                   (SELECT COUNT(*) FROM schedules WHERE state < 2 AND owner = ?1)";
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (name_taken, count, own) = tx.prepare_cached(sql)?.query_row(params![owner, name.as_str()], read)?;
    Ok(AddFacts { name_taken, count, own, submit: SubmitFacts::default() })
}

/// The schedules that `text` can mean: a whole id means that one alone, anything else every name that it is and every
/// id that it begins. Only those of `owner` when one is given; removed ones never.
pub fn find_schedule(tx: &Connection, owner: Option<u32>, text: &str) -> Loaded<Vec<ScheduleId>> {
    let whole = text.parse::<ScheduleId>().ok().map(|id| (*id.as_bytes(), *id.as_bytes()));
    let name = if whole.is_some() { "" } else { text };
    let prefix = || text.strip_prefix("s-").filter(|rest| !rest.is_empty()).and_then(prefix_range);
    // Without a prefix the range is empty.
    let (low, high) = whole.or_else(prefix).unwrap_or(([1; ID_BYTES], [0; ID_BYTES]));
    let sql = "SELECT id FROM schedules
               WHERE state < 2 AND (?1 IS NULL OR owner = ?1) AND (name = ?2 OR id BETWEEN ?3 AND ?4)
               ORDER BY key LIMIT ?5";
    let mut found = tx.prepare_cached(sql)?;
    let ids = found.query_map(params![owner, name, low, high, MAX_FOUND], |row| row.get(0).map(ScheduleId::from_bytes));
    Ok(ids?.collect::<rusqlite::Result<_>>()?)
}

/// What a decision about one schedule may know; none when it does not exist or was removed. With `for_tick` it carries
/// the work of a tick and what a submit of it needs.
///
/// A zone that this host no longer knows does not stop anything: the work of a tick is then refused, and says why.
pub fn schedule(tx: &Connection, id: ScheduleId, for_tick: bool, defaults: &Defaults) -> Loaded<Option<ScheduleFacts>> {
    let sql = "SELECT key, state, start, last FROM schedules WHERE id = ?1 AND state < 2";
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let found: Option<(i64, i64, i64, Option<i64>)> =
        tx.prepare_cached(sql)?.query_row([id.as_bytes()], read).optional()?;
    let Some((key, state, start, last)) = found else { return Ok(None) };
    let added = added(tx, key)?;
    let zone = TimeZone::get(&added.time_zone).ok();
    let unfinished = unfinished(tx, key)?;
    let mut facts = ScheduleFacts {
        id,
        start: WallMs::saturating(start),
        state: if state == 0 { ScheduleState::Active } else { ScheduleState::Paused },
        last: last.map(WallMs::saturating),
        work: None,
        spenders: Vec::new(),
        unfinished,
        submit: SubmitFacts::default(),
        frozen: host::frozen(tx)?.contains(&Scope::All),
        zone: zone.clone().unwrap_or_else(TimeZone::unknown),
        added,
    };
    if for_tick {
        let work = match zone {
            Some(_) => work(tx, key, &facts.added, defaults)?,
            None => Err(unknown_zone(&facts.added)),
        };
        if let Ok(work) = &work {
            let from = Submitter::Schedule { schedule: id, tick: facts.last.unwrap_or(facts.start) };
            facts.submit = super::submit::submit_facts(tx, facts.added.owner, std::slice::from_ref(work), &from)?;
        }
        facts.work = Some(work);
        let ids: Vec<WorkId> = facts.unfinished.iter().map(|(id, _)| *id).collect();
        facts.spenders = works::spenders(tx, &ids)?;
    }
    Ok(Some(facts))
}

/// What was added, read from the log.
fn added(tx: &Connection, key: i64) -> Loaded<ScheduleAdded> {
    let body: String =
        tx.prepare_cached("SELECT body FROM events WHERE idx = ?1")?.query_row([key], |row| row.get(0))?;
    let event = Event::from_bytes(body.as_bytes()).map_err(|source| LoadError::Event { index: key, source })?;
    match event.data {
        EventData::ScheduleAdded(added) => Ok(added),
        other => Err(LoadError::Table {
            table: "schedules",
            row: key,
            what: format!("its first event is {}", other.type_name()),
        }),
    }
}

fn unknown_zone(added: &ScheduleAdded) -> Problem {
    Problem::new(Code::WrongState, format!("the time zone {} is not known on this host", added.time_zone))
        .hint("install the time zone database, or add the schedule again with another zone")
}

/// The work of a tick, from the document in the first blob of the addition.
fn work(tx: &Connection, key: i64, added: &ScheduleAdded, defaults: &Defaults) -> Loaded<Result<NewWork, Rejection>> {
    let content: Option<Option<Vec<u8>>> = tx
        .prepare_cached("SELECT data FROM blobs WHERE id = ?1 * 16")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    let Some(content) = content.flatten() else { return Ok(Err(erased(added))) };
    let document: WorkDocument = match serde_json::from_slice(&content) {
        Ok(document) => document,
        Err(error) => return Ok(Err(unreadable(added, &error))),
    };
    let mut failed = None;
    let mut resolve = |text: &str| {
        linked(tx, added.owner, text).unwrap_or_else(|error| {
            let problem = Problem::internal(&error);
            failed = Some(error);
            Err(problem)
        })
    };
    let prepared = prepare(vec![document], defaults, &mut resolve);
    if let Some(error) = failed {
        return Err(error);
    }
    Ok(prepared.and_then(|mut works| works.pop().ok_or_else(|| Problem::internal("a document without a work"))))
}

fn erased(added: &ScheduleAdded) -> Problem {
    Problem::new(Code::Redacted, format!("the work of schedule {} was erased", added.name))
        .hint(format!("remove the schedule: agentctl schedule remove {}", added.name))
}

fn unreadable(added: &ScheduleAdded, error: &serde_json::Error) -> Problem {
    Problem::new(Code::InvalidDocument, format!("the work of schedule {} is not readable: {error}", added.name))
        .hint(format!("remove the schedule and add it again: agentctl schedule remove {}", added.name))
}

/// The work of the owner that `text` names. Works are never deleted, so a prefix can become ambiguous with time, and
/// never mean another work.
fn linked(tx: &Connection, owner: u32, text: &str) -> Loaded<Result<WorkId, Rejection>> {
    if let Ok(id) = text.parse() {
        return Ok(Ok(id));
    }
    let range = text.strip_prefix("w-").filter(|rest| rest.len() >= SHORT_CHARS).and_then(prefix_range);
    let Some((low, high)) = range else {
        return Ok(Err(Problem::new(Code::InvalidDocument, format!("{text:?} names no work"))
            .hint("write the whole id of the work")));
    };
    let mut found = tx.prepare_cached("SELECT id FROM works WHERE id BETWEEN ?1 AND ?2 AND owner = ?3 LIMIT 2")?;
    let ids = found.query_map(params![low, high, owner], |row| row.get(0).map(WorkId::from_bytes))?;
    let ids: Vec<WorkId> = ids.collect::<rusqlite::Result<_>>()?;
    Ok(match ids.as_slice() {
        [id] => Ok(*id),
        [] => {
            Err(Problem::new(Code::NotFound, format!("no work {text} of this owner")).hint("see: agentctl work list"))
        }
        _ => Err(Problem::new(Code::InvalidDocument, format!("{text} can mean more than one work"))
            .hint("write the whole id of the work")),
    })
}

/// Works of earlier ticks that are not over, oldest first: one more than may wait, at most.
fn unfinished(tx: &Connection, key: i64) -> Loaded<Vec<(WorkId, WorkState)>> {
    let sql = "SELECT key, id, state FROM works WHERE schedule = ?1 AND state < 7 ORDER BY key LIMIT ?2";
    let mut open = tx.prepare_cached(sql)?;
    let mut rows = open.query(params![key, MAX_QUEUED + 1])?;
    let mut works = Vec::new();
    while let Some(row) = rows.next()? {
        let state: i64 = row.get(2)?;
        let Some(known) = state_of(state) else {
            let what = format!("{state} is not a state of a work");
            return Err(LoadError::Table { table: "works", row: row.get(0)?, what });
        };
        works.push((WorkId::from_bytes(row.get(1)?), known));
    }
    Ok(works)
}

/// What is known of the owner's objective of this name.
pub fn objective(tx: &Connection, owner: u32, name: &Slug) -> Loaded<ObjectiveFacts> {
    let sql = "SELECT document FROM objectives WHERE owner = ?1 AND name = ?2";
    let document: Option<String> =
        tx.prepare_cached(sql)?.query_row(params![owner, name.as_str()], |row| row.get(0)).optional()?;
    let existing = document.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| LoadError::Table {
        table: "objectives",
        row: i64::from(owner),
        what: format!("objective {name}: {error}"),
    })?;
    let count =
        tx.prepare_cached("SELECT COUNT(*) FROM objectives WHERE owner = ?1")?.query_row([owner], |row| row.get(0))?;
    Ok(ObjectiveFacts { existing, count })
}

#[cfg(test)]
mod tests;
