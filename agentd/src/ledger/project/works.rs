//! Works and their runs.

mod ended;
mod program;
mod run;
mod submitted;
mod timer;

pub(in crate::ledger) use run::VERIFYING;
pub(in crate::ledger) use submitted::skills_json;

use agentd_schemas::event::{Event, EventData, ServiceLevelKind, WorkState};
use agentd_schemas::id::WorkId;
use rusqlite::{Connection, Result, params};

use super::{exec, misplaced, money, objectives, state_number};
use crate::domain::objective::Moment;

/// The row that an event changes, as far as projecting needs it: all as it was before the event.
pub(super) struct Row {
    /// Internal key.
    pub(super) key: i64,
    /// State.
    pub(super) state: i64,
    /// Owner.
    pub(super) owner: u32,
    /// Queue.
    pub(super) queue: i64,
    /// Attempts.
    pub(super) attempts: i64,
    /// Bits of the levels that were breached, and of those that counted as missed without.
    pub(super) breached: i64,
    /// Latest start, or the largest integer.
    pub(super) latest_start: i64,
    /// Whether somebody waits for it, or it has parts.
    pub(super) linked: bool,
    /// The current or last run.
    pub(super) run: Option<Run>,
}

/// The run of a work, as far as projecting needs it.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// Internal key.
    pub(super) key: i64,
    /// Key of its agent.
    pub(super) agent: i64,
    /// Model epoch.
    pub(super) epoch: i64,
    /// Outcome before the event.
    pub(super) outcome: i64,
}

/// Bits of `works.breached` that say that the start level counted for objectives, and will not again.
pub(super) const START_COUNTED: i64 = 1 | 8;
/// The same of the finish level.
pub(super) const FINISH_COUNTED: i64 = 2 | 16;

impl Row {
    /// Key of the run.
    pub(super) fn run_key(&self) -> Option<i64> {
        self.run.map(|run| run.key)
    }
}

/// Applies an event about a work.
pub(super) fn project(tx: &Connection, event: &Event, id: WorkId) -> Result<()> {
    if let EventData::WorkSubmitted(data) = &event.data {
        return submitted::project(tx, event, id, data);
    }
    let row = row(tx, id)?;
    go_on(tx, event, &row)?;
    match &event.data {
        EventData::WorkReadied(_) => ready(tx, &row),
        EventData::WorkScheduled(data) => timer::set(tx, data.not_before, timer::WAKE, row.key),
        EventData::WorkBlocked(data) => blocked(tx, &row, data.by),
        EventData::WorkClaimed(data) => run::claimed(tx, event, &row, data),
        EventData::ModelMismatched(_) | EventData::ProgramExited(_) => Ok(()),
        EventData::RunStarted(data) => program::started(tx, event, &row, data),
        EventData::RunEnded(data) => program::ended(tx, event, &row, data),
        EventData::BaseJudged(_) => program::base_judged(tx, event, &row),
        EventData::RunWaiting(data) => run::waiting(tx, &row, data),
        EventData::RunResumed(_) => run::resumed(tx, &row),
        EventData::NoteAdded(_) => note(tx, event, &row),
        EventData::CostReserved(data) => money::reserved(tx, event, &row, data),
        EventData::CostSettled(data) => money::settled(tx, &row, data),
        EventData::LimitsRaised(data) => raised(tx, &row, data),
        EventData::ResultJudged(_) => run::judged(tx, event, &row),
        EventData::WorkCompleted(data) => ended::completed(tx, event, &row, data),
        EventData::AttemptFailed(data) => run::failed(tx, event, &row, data),
        EventData::WorkFailed(_) => ended::without_success(tx, event, &row, WorkState::Failed),
        EventData::WorkCancelled(_) => ended::without_success(tx, event, &row, WorkState::Cancelled),
        EventData::WorkExpired(_) => ended::without_success(tx, event, &row, WorkState::Expired),
        EventData::WorkRetried(data) => ended::retried(tx, &row, data),
        EventData::LeaseVoided(_) => run::voided(tx, event, &row),
        EventData::ServiceLevelBreached(data) => breached(tx, event, &row, data.level),
        EventData::HoldPlaced(_) => held(tx, &row, true),
        EventData::HoldLifted(_) => held(tx, &row, false),
        other => Err(misplaced(other)),
    }
}

/// The state that an event leads to; `None` when it leaves the work where it is.
const fn leads_to(data: &EventData) -> Option<WorkState> {
    match data {
        EventData::WorkReadied(_) | EventData::LeaseVoided(_) => Some(WorkState::Ready),
        EventData::WorkScheduled(_) => Some(WorkState::Scheduled),
        EventData::AttemptFailed(data) if data.retry_after_ms.is_some() => Some(WorkState::Scheduled),
        EventData::WorkBlocked(_) => Some(WorkState::Blocked),
        EventData::WorkClaimed(_) => Some(WorkState::Claimed),
        EventData::RunStarted(_) | EventData::RunResumed(_) => Some(WorkState::Running),
        EventData::RunWaiting(_) => Some(WorkState::Waiting),
        EventData::ResultJudged(_) => Some(WorkState::Verifying),
        EventData::WorkCompleted(_) => Some(WorkState::Completed),
        EventData::WorkFailed(_) => Some(WorkState::Failed),
        EventData::WorkCancelled(_) => Some(WorkState::Cancelled),
        EventData::WorkExpired(_) => Some(WorkState::Expired),
        EventData::WorkRetried(data) => Some(data.state),
        _ => None,
    }
}

fn row(tx: &Connection, id: WorkId) -> Result<Row> {
    let sql = "SELECT w.key, w.state, w.owner, w.queue, w.attempts, w.breached, w.latest_start,
                 w.dependants + w.children, r.key, r.agent, r.epoch, r.outcome
               FROM works w LEFT JOIN runs r ON r.key = w.run WHERE w.id = ?1";
    tx.prepare_cached(sql)?.query_row([id.as_bytes()], |row| {
        let run = match row.get::<_, Option<i64>>(8)? {
            Some(key) => Some(Run { key, agent: row.get(9)?, epoch: row.get(10)?, outcome: row.get(11)? }),
            None => None,
        };
        Ok(Row {
            key: row.get(0)?,
            state: row.get(1)?,
            owner: row.get(2)?,
            queue: row.get(3)?,
            attempts: row.get(4)?,
            breached: row.get(5)?,
            latest_start: row.get(6)?,
            linked: row.get::<_, i64>(7)? > 0,
            run,
        })
    })
}

/// Writes what every event changes, the state, and what a claim adds, in one statement: each would touch the same page
/// and the same indexes again. Keeps every count that depends on the state.
fn go_on(tx: &Connection, event: &Event, row: &Row) -> Result<()> {
    let envelope = &event.envelope;
    let (version, changed, by) = (envelope.version, envelope.time.as_ms(), envelope.index);
    let Some(to) = leads_to(&event.data).map(state_number).filter(|to| *to != row.state) else {
        let sql = "UPDATE works SET version = ?2, changed = ?3, changed_by = ?4 WHERE key = ?1";
        return exec(tx, sql, params![row.key, version, changed, by]);
    };
    if let EventData::WorkClaimed(data) = &event.data {
        let sql = "UPDATE works SET version = ?2, changed = ?3, changed_by = ?4, state = ?5, attempts = ?6, run = ?4
                   WHERE key = ?1";
        exec(tx, sql, params![row.key, version, changed, by, to, data.attempt])?;
    } else {
        let sql = "UPDATE works SET version = ?2, changed = ?3, changed_by = ?4, state = ?5 WHERE key = ?1";
        exec(tx, sql, params![row.key, version, changed, by, to])?;
    }
    let sql = "INSERT INTO counts (owner, state, n) VALUES (?1, ?2, -1), (?1, ?3, 1)
               ON CONFLICT (owner, state) DO UPDATE SET n = n + excluded.n";
    exec(tx, sql, params![row.owner, row.state, to])?;
    let is_ready = |state| i64::from(state == state_number(WorkState::Ready));
    let is_open = |state| i64::from(super::state_of(state).is_some_and(|state| !state.is_past()));
    queue(tx, row.queue, is_ready(to) - is_ready(row.state), is_open(to) - is_open(row.state))
}

/// Adds to the number of works of an owner in a state.
pub(super) fn count(tx: &Connection, owner: u32, state: i64, by: i64) -> Result<()> {
    let sql = "INSERT INTO counts (owner, state, n) VALUES (?1, ?2, ?3)
               ON CONFLICT (owner, state) DO UPDATE SET n = n + excluded.n";
    exec(tx, sql, params![owner, state, by])
}

/// Adds to the numbers of ready and of open works of a queue.
pub(super) fn queue(tx: &Connection, id: i64, ready: i64, open: i64) -> Result<()> {
    if (ready, open) == (0, 0) {
        return Ok(());
    }
    exec(tx, "UPDATE queues SET ready = ready + ?2, open = open + ?3 WHERE id = ?1", params![id, ready, open])
}

fn ready(tx: &Connection, row: &Row) -> Result<()> {
    timer::clear(tx, row.key, timer::WAKE)?;
    exec(tx, "DELETE FROM backoffs WHERE work = ?1", [row.key])
}

fn blocked(tx: &Connection, row: &Row, by: WorkId) -> Result<()> {
    let sql = "UPDATE dependencies SET status = 2
               WHERE work = ?1 AND on_work = (SELECT key FROM works WHERE id = ?2)";
    exec(tx, sql, params![row.key, by.as_bytes()])
}

fn note(tx: &Connection, event: &Event, row: &Row) -> Result<()> {
    exec(tx, "INSERT INTO notes (work, idx) VALUES (?1, ?2)", params![row.key, event.envelope.index])
}

fn raised(tx: &Connection, row: &Row, data: &agentd_schemas::event::LimitsRaised) -> Result<()> {
    let sql = "UPDATE works SET max_cost = coalesce(?2, max_cost), max_tokens = coalesce(?3, max_tokens),
               max_attempts = coalesce(?4, max_attempts) WHERE key = ?1";
    exec(tx, sql, params![row.key, data.max_cost_micro_usd, data.max_tokens, data.max_attempts])
}

fn breached(tx: &Connection, event: &Event, row: &Row, level: ServiceLevelKind) -> Result<()> {
    let (bit, kind) = match level {
        ServiceLevelKind::Start => (1, timer::START),
        ServiceLevelKind::Finish => (2, timer::FINISH),
        ServiceLevelKind::Deadline => (4, timer::DEADLINE),
    };
    exec(tx, "UPDATE works SET breached = breached | ?2 WHERE key = ?1", params![row.key, bit])?;
    timer::clear(tx, row.key, kind)?;
    let counted = match level {
        ServiceLevelKind::Start => row.breached & START_COUNTED,
        ServiceLevelKind::Finish => row.breached & FINISH_COUNTED,
        ServiceLevelKind::Deadline => 0,
    };
    if counted == 0 {
        objectives::count(tx, row.owner, row.key, Moment::Missed(level), event.envelope.time)?;
    }
    let sql = "INSERT INTO breaches (idx, work, owner) VALUES (?1, ?2, ?3)";
    exec(tx, sql, params![event.envelope.index, row.key, row.owner])
}

fn held(tx: &Connection, row: &Row, held: bool) -> Result<()> {
    exec(tx, "UPDATE works SET held = ?2 WHERE key = ?1", params![row.key, held])
}
