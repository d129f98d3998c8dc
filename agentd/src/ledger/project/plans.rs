//! Schedules: which exist, which tick comes next, and what came of the ticks so far. The works that they submit are
//! projected with the works.
//!
//! Invariant: a removed schedule never changes again, and only an active one has a next tick.

use agentd_schemas::event::{Event, EventData, ScheduleAdded, ScheduleTicked, TickOutcome};
use agentd_schemas::id::ScheduleId;
use agentd_schemas::unit::time::WallMs;
use rusqlite::{Connection, Result, params};

use super::{change, exec, misplaced};

/// Applies one event about a schedule.
pub(super) fn project_schedule(tx: &Connection, event: &Event, id: ScheduleId) -> Result<()> {
    let version = event.envelope.version;
    match &event.data {
        EventData::ScheduleAdded(data) => added(tx, event, id, data),
        EventData::ScheduleTicked(data) => ticked(tx, event, id, data),
        EventData::SchedulePaused(_) => {
            let sql = "UPDATE schedules SET version = ?2, state = 1, next = NULL WHERE id = ?1 AND state < 2";
            change(tx, sql, params![id.as_bytes(), version])
        }
        EventData::ScheduleResumed(data) => resumed(tx, event, id, data.next),
        EventData::ScheduleRemoved(_) => {
            let sql = "UPDATE schedules SET version = ?2, state = 2, next = NULL WHERE id = ?1 AND state < 2";
            change(tx, sql, params![id.as_bytes(), version])
        }
        other => Err(misplaced(other)),
    }
}

fn added(tx: &Connection, event: &Event, id: ScheduleId, data: &ScheduleAdded) -> Result<()> {
    let envelope = &event.envelope;
    let sql = "INSERT INTO schedules (key, id, version, owner, name, state, start, next)
               VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7)";
    let row = params![
        envelope.index,
        id.as_bytes(),
        envelope.version,
        data.owner,
        data.name.as_str(),
        envelope.time.as_ms(),
        data.next.map(WallMs::as_ms),
    ];
    exec(tx, sql, row)
}

/// Ticks that were missed before this one count as skipped, whatever came of this one.
fn ticked(tx: &Connection, event: &Event, id: ScheduleId, data: &ScheduleTicked) -> Result<()> {
    let submitted = matches!(data.outcome, TickOutcome::Submitted { .. });
    let skipped = data.missed.saturating_add(u64::from(!submitted));
    let sql = "UPDATE schedules SET version = ?2, last = ?3, last_by = ?4, next = ?5,
                   submitted = submitted + ?6, skipped = skipped + ?7
               WHERE id = ?1 AND state < 2";
    let row = params![
        id.as_bytes(),
        event.envelope.version,
        data.tick.as_ms(),
        event.envelope.index,
        data.next.map(WallMs::as_ms),
        submitted,
        skipped,
    ];
    change(tx, sql, row)
}

/// Ticks of the pause are gone: they count as dealt with. A clock that was set back brings none of the older ones back.
fn resumed(tx: &Connection, event: &Event, id: ScheduleId, next: Option<WallMs>) -> Result<()> {
    let sql = "UPDATE schedules SET version = ?2, state = 0, next = ?3, last = MAX(COALESCE(last, ?4), ?4)
               WHERE id = ?1 AND state < 2";
    let envelope = &event.envelope;
    change(tx, sql, params![id.as_bytes(), envelope.version, next.map(WallMs::as_ms), envelope.time.as_ms()])
}

#[cfg(test)]
mod tests;
