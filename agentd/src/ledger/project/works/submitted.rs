//! A new work.

use agentd_schemas::event::{Event, WorkState, WorkSubmitted};
use agentd_schemas::id::WorkId;
use agentd_schemas::unit::name::Skill;
use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::super::{exec, state_number};
use super::{count, queue, timer};
use crate::domain::work::claim::needs_workspace;

/// Sorts works without a latest start behind all others.
const NO_LATEST_START: i64 = i64::MAX;

pub(super) fn project(tx: &Connection, event: &Event, id: WorkId, data: &WorkSubmitted) -> Result<()> {
    let key = event.envelope.index;
    let queue_id = intern_queue(tx, key, data)?;
    let (parent, depth) = parent(tx, data)?;
    let schedule = schedule(tx, data)?;
    let unmet = dependencies(tx, key, data)?;
    let sql =
        "INSERT INTO works (key, id, version, state, owner, queue, priority, latest_start, max_attempts, max_cost,
                 max_tokens, unmet, parent, depth, schedule, changed, changed_by)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?1)";
    exec(
        tx,
        sql,
        params![
            key,
            id.as_bytes(),
            event.envelope.version,
            state_number(data.state),
            data.owner,
            queue_id,
            data.priority,
            data.latest_start.map_or(NO_LATEST_START, agentd_schemas::unit::time::WallMs::as_ms),
            data.max_attempts,
            data.max_cost_micro_usd,
            data.max_tokens,
            unmet,
            parent,
            depth,
            schedule,
            event.envelope.time.as_ms(),
        ],
    )?;
    count(tx, data.owner, state_number(data.state), 1)?;
    queue(tx, queue_id, i64::from(data.state == WorkState::Ready), 1)?;
    labels(tx, key, data)?;
    timers(tx, key, data)
}

fn intern_queue(tx: &Connection, key: u64, data: &WorkSubmitted) -> Result<i64> {
    let skills = skills_json(&data.required_skills);
    let agent = data.agent.as_ref().map_or("", |agent| agent.as_str());
    let sql = "SELECT id FROM queues WHERE owner = ?1 AND agent = ?2 AND skills = ?3 AND started = ?4";
    let asked = params![data.owner, agent, skills, needs_workspace(data)];
    let known = tx.prepare_cached(sql)?.query_row(asked, |row| row.get(0)).optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    let sql = "INSERT INTO queues (id, owner, agent, skills, started, ready, open) VALUES (?1, ?2, ?3, ?4, ?5, 0, 0)";
    exec(tx, sql, params![key, data.owner, agent, skills, needs_workspace(data)])?;
    Ok(i64::try_from(key).unwrap_or(i64::MAX))
}

/// A list of skills as `queues` has it.
pub(in crate::ledger) fn skills_json(skills: &[Skill]) -> String {
    let mut text = String::from("[");
    for (place, skill) in skills.iter().enumerate() {
        // Skills are [a-z0-9.+#_-]: nothing to escape.
        text.push_str(if place == 0 { "\"" } else { ",\"" });
        text.push_str(skill.as_str());
        text.push('"');
    }
    text.push(']');
    text
}

fn parent(tx: &Connection, data: &WorkSubmitted) -> Result<(Option<i64>, i64)> {
    let Some(id) = data.parent else { return Ok((None, 0)) };
    let sql = "UPDATE works SET children = children + 1 WHERE id = ?1 RETURNING key, depth";
    let (key, depth): (i64, i64) =
        tx.prepare_cached(sql)?.query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((Some(key), depth + 1))
}

fn schedule(tx: &Connection, data: &WorkSubmitted) -> Result<Option<i64>> {
    let Some(from) = &data.from_schedule else { return Ok(None) };
    let sql = "SELECT key FROM schedules WHERE id = ?1";
    tx.prepare_cached(sql)?.query_row([from.schedule.as_bytes()], |row| row.get(0)).optional()
}

fn dependencies(tx: &Connection, key: u64, data: &WorkSubmitted) -> Result<i64> {
    let mut unmet = 0;
    for id in &data.depends_on {
        let sql = "UPDATE works SET dependants = dependants + 1 WHERE id = ?1 RETURNING key, state";
        let (on, state): (i64, i64) =
            tx.prepare_cached(sql)?.query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let status = status(state, data);
        unmet += i64::from(status != 1);
        exec(
            tx,
            "INSERT INTO dependencies (on_work, work, on_failure, status) VALUES (?1, ?2, ?3, ?4)",
            params![on, key, on_failure(data), status],
        )?;
    }
    Ok(unmet)
}

/// 0 cancel, 1 block, 2 run.
const fn on_failure(data: &WorkSubmitted) -> i64 {
    use agentd_schemas::document::work::OnDependencyFailure::{Block, Cancel, Run};
    match data.on_dependency_failure {
        Cancel => 0,
        Block => 1,
        Run => 2,
    }
}

/// 0 open, 1 met, 2 failed and blocking.
fn status(state: i64, data: &WorkSubmitted) -> i64 {
    use agentd_schemas::document::work::OnDependencyFailure::{Block, Run};
    let past = super::super::state_of(state).is_some_and(WorkState::is_past);
    match data.on_dependency_failure {
        _ if state == state_number(WorkState::Completed) => 1,
        Run if past => 1,
        Block if past => 2,
        _ => 0,
    }
}

fn labels(tx: &Connection, key: u64, data: &WorkSubmitted) -> Result<()> {
    for (name, value) in &data.labels {
        let label = format!("{}={}", name.as_str(), value.as_str());
        exec(tx, "INSERT INTO labels (label, work) VALUES (?1, ?2)", params![label, key])?;
    }
    Ok(())
}

fn timers(tx: &Connection, key: u64, data: &WorkSubmitted) -> Result<()> {
    let key = i64::try_from(key).unwrap_or(i64::MAX);
    let times = [
        (data.not_before.filter(|_| data.state == WorkState::Scheduled), timer::WAKE),
        (data.deadline, timer::DEADLINE),
        (data.latest_start, timer::START),
        (data.finish_by, timer::FINISH),
    ];
    for (due, kind) in times {
        if let Some(due) = due {
            timer::set(tx, due, kind, key)?;
        }
    }
    Ok(())
}
