//! The ends of a work, and its way back.

use agentd_schemas::document::request::Scope;
use agentd_schemas::event::{Event, Subject, WorkCompleted, WorkRetried, WorkState};
use rusqlite::{Connection, Result, params};

use super::super::{exec, json, objectives, state_number};
use super::{FINISH_COUNTED, Row, START_COUNTED, run, timer};
use crate::domain::objective::Moment;

pub(super) fn completed(tx: &Connection, event: &Event, row: &Row, data: &WorkCompleted) -> Result<()> {
    let has_result = event.envelope.blobs.iter().any(|blob| blob.slot == 1);
    run::end(tx, event, row, run::COMPLETED, has_result)?;
    run::credit(tx, row, !data.verdicts.is_empty(), true, true)?;
    let finish_by = finish_by(tx, row)?;
    finish(tx, event, row, WorkState::Completed)?;
    let in_time = finish_by.map(|due| event.envelope.time.as_ms() <= due);
    objectives::count(tx, row.owner, row.key, Moment::Completed(in_time), event.envelope.time)?;
    if row.linked {
        let sql = "UPDATE works SET unmet = unmet - 1
                   WHERE key IN (SELECT work FROM dependencies WHERE on_work = ?1 AND status <> 1)";
        exec(tx, sql, [row.key])?;
        exec(tx, "UPDATE dependencies SET status = 1 WHERE on_work = ?1", [row.key])?;
    }
    Ok(())
}

/// When it should be over; none once that counted as missed.
fn finish_by(tx: &Connection, row: &Row) -> Result<Option<i64>> {
    if row.breached & FINISH_COUNTED != 0 { Ok(None) } else { timer::due(tx, row.key, timer::FINISH) }
}

/// Ended without success and not called off: what was asked of its times is missed, if it did not count so far. A retry
/// does not count it again.
fn missed(tx: &Connection, event: &Event, row: &Row) -> Result<()> {
    let start_missed = row.attempts == 0 && row.latest_start != i64::MAX && row.breached & START_COUNTED == 0;
    let finish_missed = finish_by(tx, row)?.is_some();
    let moment = Moment::Failed { start_missed, finish_missed };
    objectives::count(tx, row.owner, row.key, moment, event.envelope.time)?;
    let counted = (i64::from(start_missed) * 8) | (i64::from(finish_missed) * 16);
    if counted == 0 {
        return Ok(());
    }
    exec(tx, "UPDATE works SET breached = breached | ?2 WHERE key = ?1", params![row.key, counted])
}

/// Failed, cancelled or expired. Dependants and parts follow through the outbox.
pub(super) fn without_success(tx: &Connection, event: &Event, row: &Row, to: WorkState) -> Result<()> {
    if to == WorkState::Cancelled && (WorkState::is_leased(state(row)) || state(row) == WorkState::Verifying) {
        run::end(tx, event, row, run::CANCELLED, false)?;
        run::free(tx, row)?;
    }
    if to != WorkState::Cancelled {
        missed(tx, event, row)?;
    }
    finish(tx, event, row, to)?;
    if row.linked {
        // Dependants that run all the same: this dependency no longer holds them.
        let sql = "UPDATE works SET unmet = unmet - 1
                   WHERE key IN (SELECT work FROM dependencies WHERE on_work = ?1 AND on_failure = 2 AND status = 0)";
        exec(tx, sql, [row.key])?;
        let sql = "UPDATE dependencies SET status = 1 WHERE on_work = ?1 AND on_failure = 2 AND status = 0";
        exec(tx, sql, [row.key])?;
        let sql = "INSERT INTO outbox (effect, kind, work) VALUES (?1, 'cascade', ?2)";
        exec(tx, sql, params![event.envelope.index, row.key])?;
    }
    Ok(())
}

fn state(row: &Row) -> WorkState {
    super::super::state_of(row.state).unwrap_or(WorkState::Failed)
}

fn finish(tx: &Connection, event: &Event, row: &Row, to: WorkState) -> Result<()> {
    timer::clear_all(tx, row.key)?;
    if let Subject::Work(id) = event.envelope.subject {
        // What is over cannot run, so its freeze has nothing to hold; kept, it would count for ever.
        exec(tx, "DELETE FROM frozen WHERE scope = ?1", [json(&Scope::Work(id))?])?;
    }
    let sql = "INSERT INTO ends (idx, work, owner, state) VALUES (?1, ?2, ?3, ?4)";
    exec(tx, sql, params![event.envelope.index, row.key, row.owner, state_number(to)])
}

/// A person wants another attempt: its times are in force again, and dependants that were blocked by the failure wait
/// again.
pub(super) fn retried(tx: &Connection, row: &Row, data: &WorkRetried) -> Result<()> {
    exec(tx, "UPDATE works SET max_attempts = ?2 WHERE key = ?1", params![row.key, data.max_attempts])?;
    let times = [
        (data.not_before, timer::WAKE),
        (data.deadline, timer::DEADLINE),
        (data.latest_start, timer::START),
        (data.finish_by, timer::FINISH),
    ];
    for (due, kind) in times {
        if let Some(due) = due {
            timer::set(tx, due, kind, row.key)?;
        }
    }
    exec(tx, "DELETE FROM outbox WHERE work = ?1 AND kind = 'cascade'", [row.key])?;
    exec(tx, "UPDATE dependencies SET status = 0 WHERE on_work = ?1 AND status = 2", [row.key])
}
