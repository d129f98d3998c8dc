//! Runs: claimed, waiting, over.

use agentd_schemas::event::{AttemptFailed, Event, FailureReason, RunWaiting, WorkClaimed};
use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::super::{exec, objectives};
use super::{Row, START_COUNTED, timer};
use crate::domain::objective::Moment;
use crate::domain::work::ending::counts_against;

/// Values of `runs.outcome`.
pub(in crate::ledger) const LIVE: i64 = 0;
/// A result waits for a person.
pub(in crate::ledger) const VERIFYING: i64 = 1;
/// Done and accepted.
pub(in crate::ledger) const COMPLETED: i64 = 2;
/// Ended without success.
pub(in crate::ledger) const FAILED: i64 = 3;
/// The work was called off.
pub(in crate::ledger) const CANCELLED: i64 = 4;
/// The lease was lost through no fault of the agent.
pub(in crate::ledger) const VOIDED: i64 = 5;

pub(super) fn claimed(tx: &Connection, event: &Event, row: &Row, data: &WorkClaimed) -> Result<()> {
    let envelope = &event.envelope;
    let sql = "UPDATE agents SET live = live + 1 WHERE name = ?1 RETURNING key";
    let agent: i64 = tx.prepare_cached(sql)?.query_row([data.agent.as_str()], |row| row.get(0))?;
    let sql = "INSERT INTO runs (key, incarnation, work, attempt, agent, epoch, outcome, claimed_ms, boot,
                 claimed_boot_ms, lease_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8, ?9, ?10)";
    exec(
        tx,
        sql,
        params![
            envelope.index,
            data.fence.incarnation,
            row.key,
            data.attempt,
            agent,
            envelope.epoch,
            envelope.time.as_ms(),
            envelope.boot,
            envelope.boot_ms,
            data.lease_ms,
        ],
    )?;
    if row.attempts == 0 {
        let asked = row.latest_start != i64::MAX;
        if asked {
            timer::clear(tx, row.key, timer::START)?;
        }
        let counts = asked && row.breached & START_COUNTED == 0;
        let in_time = counts.then_some(envelope.time.as_ms() <= row.latest_start);
        objectives::count(tx, row.owner, row.key, Moment::Started(in_time), envelope.time)?;
    }
    Ok(())
}

pub(super) fn waiting(tx: &Connection, row: &Row, data: &RunWaiting) -> Result<()> {
    let reason =
        serde_json::to_string(&data.reason).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    exec(tx, "UPDATE runs SET waiting = ?2 WHERE key = ?1", params![row.run_key(), reason])
}

pub(super) fn resumed(tx: &Connection, row: &Row) -> Result<()> {
    exec(tx, "UPDATE runs SET waiting = NULL WHERE key = ?1", [row.run_key()])
}

/// A result waits for a person: the lease is over, the agent is free.
pub(super) fn judged(tx: &Connection, event: &Event, row: &Row) -> Result<()> {
    end(tx, event, row, VERIFYING, true)?;
    free(tx, row)
}

/// Ends the current run. What it had set aside was settled before.
pub(super) fn end(tx: &Connection, event: &Event, row: &Row, outcome: i64, result: bool) -> Result<()> {
    let Some(run) = row.run else { return Ok(()) };
    let envelope = &event.envelope;
    let sql = "UPDATE runs SET outcome = ?2, ended_ms = ?3, ended_by = ?4, waiting = NULL,
                 result_by = CASE WHEN ?5 THEN ?4 ELSE result_by END WHERE key = ?1";
    exec(tx, sql, params![run.key, outcome, envelope.time.as_ms(), envelope.index, result])
}

/// Frees the agent of a run that ended without credit, when the run held the lease until now.
pub(super) fn free(tx: &Connection, row: &Row) -> Result<()> {
    match row.run {
        Some(run) if run.outcome == LIVE => exec(tx, "UPDATE agents SET live = live - 1 WHERE key = ?1", [run.agent]),
        _ => Ok(()),
    }
}

pub(super) fn failed(tx: &Connection, event: &Event, row: &Row, data: &AttemptFailed) -> Result<()> {
    let has_result = event.envelope.blobs.iter().any(|blob| blob.slot == 1);
    end(tx, event, row, FAILED, has_result)?;
    // A work counts once, by how it ended: what another attempt may still mend shows nothing yet.
    let judged = data.reason == FailureReason::Rejected && data.retry_after_ms.is_none();
    let own = row.run.map_or(Ok(None), |run| owner_of(tx, run.agent))? == Some(row.owner);
    credit(tx, row, judged, false, counts_against(data.reason, own))?;
    let Some(after) = data.retry_after_ms else { return Ok(()) };
    let sql = "INSERT INTO backoffs (work, boot, due_boot_ms) VALUES (?1, ?2, ?3)";
    let due = event.envelope.boot_ms.saturating_add(after);
    exec(tx, sql, params![row.key, event.envelope.boot, due])
}

pub(super) fn voided(tx: &Connection, event: &Event, row: &Row) -> Result<()> {
    end(tx, event, row, VOIDED, false)?;
    free(tx, row)?;
    // The attempt is not used up: the next one may be tried in its place.
    exec(tx, "UPDATE works SET max_attempts = max_attempts + 1 WHERE key = ?1", [row.key])
}

fn owner_of(tx: &Connection, agent: i64) -> Result<Option<u32>> {
    tx.prepare_cached("SELECT owner FROM agents WHERE key = ?1")?.query_row([agent], |row| row.get(0)).optional()
}

/// Credits the agent of a run that ended and frees it: evidence for the skills of judged works, and the series of
/// failures.
pub(super) fn credit(tx: &Connection, row: &Row, judged: bool, accepted: bool, counts: bool) -> Result<()> {
    let Some(run) = row.run else { return Ok(()) };
    let (agent, epoch) = (run.agent, run.epoch);
    let sql = "UPDATE agents SET completed = completed + ?2, failed = failed + ?3,
                 failures_in_a_row = CASE WHEN ?2 THEN 0 ELSE failures_in_a_row + ?4 END,
                 judged = judged + (?5 AND epoch = ?6), accepted = accepted + (?2 AND ?5 AND epoch = ?6),
                 live = live - ?7 WHERE key = ?1";
    let held = run.outcome == LIVE;
    exec(tx, sql, params![agent, accepted, !accepted, counts && !accepted, judged, epoch, held])?;
    let sql = "UPDATE epochs SET completed = completed + ?3, failed = failed + ?4 WHERE agent = ?1 AND epoch = ?2";
    exec(tx, sql, params![agent, epoch, accepted, !accepted])?;
    if !judged {
        return Ok(());
    }
    let sql = "INSERT INTO evidence (agent, epoch, skill, judged, accepted)
               SELECT ?1, ?2, value, 1, ?4 FROM json_each((SELECT skills FROM queues WHERE id = ?3)) WHERE true
               ON CONFLICT (agent, epoch, skill) DO UPDATE SET judged = judged + 1, accepted = accepted + excluded.accepted";
    exec(tx, sql, params![agent, epoch, row.queue, accepted])
}
