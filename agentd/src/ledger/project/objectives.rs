//! Service-level objectives and what counts for them, by UTC day.
//!
//! Invariant: the days of an objective count by the labels and the indicator that it has now.

use agentd_schemas::document::objective::ObjectiveDocument;
use agentd_schemas::event::{Event, EventData, ObjectiveSet, Subject};
use agentd_schemas::unit::time::WallMs;
use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::{exec, json, misplaced};
use crate::domain::objective::{Count, DAY_MS, Moment, count as counts};

/// Applies one event about an objective.
pub(super) fn project(tx: &Connection, event: &Event) -> Result<()> {
    let Subject::Objective(id) = &event.envelope.subject else { return Err(misplaced(&event.data)) };
    let (owner, name) = named(id).ok_or_else(|| misplaced(&event.data))?;
    match &event.data {
        EventData::ObjectiveSet(data) if data.owner == owner && data.objective.name.as_str() == name => set(tx, data),
        EventData::ObjectiveRemoved(_) => {
            forget(tx, owner, name)?;
            exec(tx, "DELETE FROM objectives WHERE owner = ?1 AND name = ?2", params![owner, name])
        }
        other => Err(misplaced(other)),
    }
}

/// `OWNER/NAME`.
fn named(id: &str) -> Option<(u32, &str)> {
    let (owner, name) = id.split_once('/')?;
    Some((owner.parse().ok()?, name))
}

fn set(tx: &Connection, data: &ObjectiveSet) -> Result<()> {
    let (owner, objective) = (data.owner, &data.objective);
    let name = objective.name.as_str();
    let before: Option<String> = tx
        .prepare_cached("SELECT document FROM objectives WHERE owner = ?1 AND name = ?2")?
        .query_row(params![owner, name], |row| row.get(0))
        .optional()?;
    if let Some(before) = before {
        let before = document(&before)?;
        if before.labels != objective.labels || before.indicator != objective.indicator {
            forget(tx, owner, name)?;
        }
    }
    let sql = "INSERT INTO objectives (owner, name, document) VALUES (?1, ?2, ?3)
               ON CONFLICT (owner, name) DO UPDATE SET document = excluded.document";
    exec(tx, sql, params![owner, name, json(objective)?])
}

fn forget(tx: &Connection, owner: u32, name: &str) -> Result<()> {
    exec(tx, "DELETE FROM objective_days WHERE owner = ?1 AND name = ?2", params![owner, name])
}

fn document(json: &str) -> Result<ObjectiveDocument> {
    serde_json::from_str(json)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error)))
}

/// Counts a moment of a work for the objectives of its owner whose labels the work carries all, on the UTC day of `at`.
/// An owner without objectives costs one look into an index.
pub(super) fn count(tx: &Connection, owner: u32, work_key: i64, moment: Moment, at: WallMs) -> Result<()> {
    let mut of_owner = tx.prepare_cached("SELECT document FROM objectives WHERE owner = ?1")?;
    let mut rows = of_owner.query([owner])?;
    while let Some(row) = rows.next()? {
        let objective = document(row.get_ref(0)?.as_str()?)?;
        if let Some(count) = counts(objective.indicator, moment)
            && carries(tx, work_key, &objective)?
        {
            add(tx, owner, &objective, count, at)?;
        }
    }
    Ok(())
}

fn carries(tx: &Connection, work_key: i64, objective: &ObjectiveDocument) -> Result<bool> {
    let mut carried = tx.prepare_cached("SELECT 1 FROM labels WHERE label = ?1 AND work = ?2")?;
    for (key, value) in &objective.labels {
        if !carried.exists(params![format!("{key}={value}"), work_key])? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn add(tx: &Connection, owner: u32, objective: &ObjectiveDocument, count: Count, at: WallMs) -> Result<()> {
    let sql = "INSERT INTO objective_days (owner, name, day, good, bad) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (owner, name, day) DO UPDATE SET good = good + excluded.good, bad = bad + excluded.bad";
    let day = at.as_ms().unsigned_abs() / DAY_MS;
    exec(tx, sql, params![owner, objective.name.as_str(), day, count == Count::Good, count == Count::Bad])
}

#[cfg(test)]
mod tests;
