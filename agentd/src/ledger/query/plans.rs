//! Schedules and objectives, and how they stand.

use agentd_schemas::document::objective::ObjectiveDocument;
use agentd_schemas::event::{EventData, TickOutcome};
use agentd_schemas::id::ScheduleId;
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::{ObjectiveView, ScheduleView, TickView};
use rusqlite::{Connection, Row};

use super::{QueryError, read, resolve};
use crate::domain::objective::{DAY_MS, burn_rate_percent, standing, target_milli_percent, window_days};
use crate::ledger::load::{LoadError, Loaded};
use crate::policy::Viewer;

/// Schedules and objectives of one list, at most: as many schedules as a host may have by default.
const MAX_ROWS: i64 = 10_000;
/// States of a schedule, by their numbers.
const STATES: [&str; 3] = ["active", "paused", "removed"];

const SCHEDULE: &str = "SELECT key, id, owner, name, state, next, last_by, submitted, skipped FROM schedules WHERE";

/// The columns of a schedule.
struct Stored {
    key: i64,
    id: ScheduleId,
    state: usize,
    next: Option<WallMs>,
    last_by: Option<i64>,
    submitted: u64,
    skipped: u64,
}

/// The schedules that the viewer may see and that were not removed, by owner and name.
pub fn schedules(conn: &Connection, viewer: &Viewer) -> Result<Vec<ScheduleView>, QueryError> {
    if viewer.agent.is_some() && !viewer.all {
        return Ok(Vec::new());
    }
    let sql = format!("{SCHEDULE} state < 2 AND (?1 OR owner = ?2) ORDER BY owner, name LIMIT {MAX_ROWS}");
    let stored = read::all(conn, &sql, (viewer.all, viewer.uid), stored)?;
    stored.into_iter().map(|stored| Ok(complete(conn, &stored)?)).collect()
}

/// One schedule by name, id or unique prefix.
pub fn schedule(conn: &Connection, viewer: &Viewer, text: &str) -> Result<ScheduleView, QueryError> {
    let key = resolve::schedule(conn, viewer, text)?.key;
    let sql = format!("{SCHEDULE} key = ?1");
    let stored = conn.prepare_cached(&sql)?.query_row([key], stored)?;
    Ok(complete(conn, &stored)?)
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        key: row.get(0)?,
        id: ScheduleId::from_bytes(row.get(1)?),
        state: row.get::<_, u8>(4)?.into(),
        next: row.get::<_, Option<i64>>(5)?.map(WallMs::saturating),
        last_by: row.get(6)?,
        submitted: read::unsigned(row, 7)?,
        skipped: read::unsigned(row, 8)?,
    })
}

fn complete(conn: &Connection, stored: &Stored) -> Loaded<ScheduleView> {
    let added = match read::event(conn, stored.key)?.data {
        EventData::ScheduleAdded(added) => added,
        other => return Err(misplaced(stored.key, other.type_name())),
    };
    Ok(ScheduleView {
        id: stored.id,
        name: added.name,
        owner: added.owner,
        cron: added.cron,
        time_zone: added.time_zone,
        missed: added.missed,
        overlap: added.overlap,
        state: STATES.get(stored.state).copied().unwrap_or("unknown").to_owned(),
        next: stored.next,
        last: stored.last_by.map(|event| tick(conn, stored.key, event)).transpose()?,
        submitted: stored.submitted,
        skipped: stored.skipped,
        declared: added.declared,
    })
}

fn tick(conn: &Connection, schedule: i64, event: i64) -> Loaded<TickView> {
    let ticked = match read::event(conn, event)?.data {
        EventData::ScheduleTicked(ticked) => ticked,
        other => return Err(misplaced(schedule, other.type_name())),
    };
    let (work, skipped) = match ticked.outcome {
        TickOutcome::Submitted { work } => (Some(work), None),
        TickOutcome::Skipped { because } => (None, Some(because)),
    };
    Ok(TickView { tick: ticked.tick, work, skipped })
}

fn misplaced(schedule: i64, found: &str) -> LoadError {
    LoadError::Table { table: "schedules", row: schedule, what: format!("its event is {found}") }
}

/// The objectives that the viewer may see, by owner and name, as they stand at `now`. Windows are whole days in UTC, and
/// the day of `now` is the last of them.
pub fn objectives(conn: &Connection, viewer: &Viewer, now: WallMs) -> Result<Vec<ObjectiveView>, QueryError> {
    if viewer.agent.is_some() && !viewer.all {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT owner, name, document FROM objectives WHERE ?1 OR owner = ?2 ORDER BY owner, name LIMIT {MAX_ROWS}"
    );
    let read = |row: &Row<'_>| Ok((row.get(0)?, read::json(row, 2)?));
    let stored: Vec<(u32, ObjectiveDocument)> = read::all(conn, &sql, (viewer.all, viewer.uid), read)?;
    let today = now.as_ms().div_euclid(DAY_MS.cast_signed());
    stored.into_iter().map(|(owner, objective)| stands(conn, owner, objective, today)).collect()
}

fn stands(
    conn: &Connection,
    owner: u32,
    objective: ObjectiveDocument,
    today: i64,
) -> Result<ObjectiveView, QueryError> {
    let malformed = |problem: agentd_schemas::problem::Problem| {
        let what = format!("objective {} of uid {owner}: {problem}", objective.name);
        LoadError::Table { table: "objectives", row: owner.into(), what }
    };
    let target = target_milli_percent(&objective.target_percent).map_err(malformed)?;
    let days = window_days(&objective).map_err(malformed)?;
    let counted = |days: u64| counted(conn, owner, objective.name.as_str(), today, days);
    let (good, bad) = counted(days)?;
    let standing = standing(target, good, bad);
    let burn_rate = |(good, bad)| burn_rate_percent(target, good, bad);
    Ok(ObjectiveView {
        owner,
        indicator: objective.indicator,
        good,
        bad,
        attainment_milli_percent: standing.attainment_milli_percent,
        budget: standing.budget,
        budget_left: standing.budget_left,
        burn_rate_day_percent: burn_rate(counted(1)?),
        burn_rate_week_percent: burn_rate(counted(7)?),
        objective,
    })
}

/// Good and bad works of the last days, today included.
fn counted(conn: &Connection, owner: u32, name: &str, today: i64, days: u64) -> rusqlite::Result<(u64, u64)> {
    let sql = "SELECT ifnull(sum(good), 0), ifnull(sum(bad), 0) FROM objective_days
               WHERE owner = ?1 AND name = ?2 AND day > ?3 AND day <= ?4";
    let first = today.saturating_sub_unsigned(days);
    conn.prepare_cached(sql)?
        .query_row((owner, name, first, today), |row| Ok((read::unsigned(row, 0)?, read::unsigned(row, 1)?)))
}
