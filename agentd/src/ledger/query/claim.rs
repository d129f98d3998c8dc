//! What an agent is given with a claim: everything that it needs to begin, in one document.

use agentd_schemas::event::{Criterion, EventData};
use agentd_schemas::http::{Claim, DependencyResult, PreviousAttempt};
use agentd_schemas::id::{Fence, RunId, WorkId};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::works::{FAILED, Stored, submitted};
use super::{QueryError, read};
use crate::domain::work::judge::acceptance_digest;
use crate::ledger::load::Loaded;

/// Bytes of dependency results in one claim, at most. What does not fit is left out, as if it were erased; the agent
/// can read it with its id.
pub const MAX_DEPENDENCY_BYTES: u64 = 8 << 20;

/// The run as the document needs it.
struct Run {
    work: i64,
    attempt: u32,
    epoch: u32,
    incarnation: u32,
    lease_ms: u64,
}

/// What was agreed when a run was given away; none of it changes while the run lives.
#[derive(Debug)]
pub struct Terms {
    /// Internal key of the work.
    pub work_key: u64,
    /// Owner of the work.
    pub owner: u32,
    /// Model epoch of the agent.
    pub epoch: u32,
    /// Running time of the attempt, at most.
    pub timeout_ms: Option<u64>,
    /// What the result is judged by.
    pub acceptance: Vec<Criterion>,
}

/// The document for the claim with this run key, as of now: limits are those that are left. With it come the terms.
pub fn claim_document(conn: &Connection, run_key: i64) -> Result<(Claim, Terms), QueryError> {
    let sql = "SELECT work, attempt, epoch, incarnation, lease_ms FROM runs WHERE key = ?1";
    let found = conn.prepare_cached(sql)?.query_row([run_key], run).optional()?;
    let Some(run) = found else { return Err(QueryError::not_found("run", run_key)) };
    let work = Stored::load(conn, run.work)?;
    let spec = submitted(conn, run.work)?;
    let content = read::content(conn, run.work)?;
    let title = content.as_ref().map_or_else(|| read::REDACTED.to_owned(), |content| content.title.clone());
    let (instructions, inputs, schemas, checks) = content.map_or((None, None, Vec::new(), Vec::new()), |content| {
        (content.instructions, content.inputs, content.schemas, content.checks)
    });
    let left =
        |most: Option<u64>, spent: u64, held: u64| most.map(|most| most.saturating_sub(spent.saturating_add(held)));
    let claim = Claim {
        work: work.id,
        run: RunId { work: work.id, attempt: run.attempt },
        fence: Fence { incarnation: run.incarnation, n: read::count(run_key) },
        lease_s: u32::try_from(run.lease_ms / 1000).unwrap_or(u32::MAX),
        epoch: run.epoch,
        attempt: run.attempt,
        max_attempts: work.max_attempts,
        instructions: instructions.unwrap_or_else(|| title.clone()),
        title,
        inputs,
        required_skills: spec.required_skills,
        schemas: schemas.into_iter().flatten().collect(),
        checks: checks.into_iter().flatten().collect(),
        judged_by_person: spec.acceptance.iter().any(|criterion| matches!(criterion, Criterion::Person(_))),
        acceptance: acceptance_digest(&spec.acceptance),
        previous: previous(conn, run.work, run_key)?,
        dependencies: dependencies(conn, run.work)?,
        // Whole seconds for the agent, none longer than the timeout, but one at least: 0 would read as no time at all.
        timeout_s: spec.timeout_ms.map(|ms| (ms / 1000).max(1)),
        cost_left_micro_usd: left(work.max_cost, work.spent, work.reserved),
        tokens_left: left(work.max_tokens, work.tokens, work.reserved_tokens),
        finish_by: spec.finish_by,
    };
    let terms = Terms {
        work_key: read::count(run.work),
        owner: spec.owner,
        epoch: run.epoch,
        timeout_ms: spec.timeout_ms,
        acceptance: spec.acceptance,
    };
    Ok((claim, terms))
}

fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        work: row.get(0)?,
        attempt: row.get(1)?,
        epoch: row.get(2)?,
        incarnation: row.get(3)?,
        lease_ms: read::unsigned(row, 4)?,
    })
}

/// The last attempt before this run that failed; voided and cancelled ones say nothing about the work.
fn previous(conn: &Connection, work: i64, run: i64) -> Loaded<Option<PreviousAttempt>> {
    let sql = "SELECT ended_by, result_by FROM runs WHERE work = ?1 AND key < ?2 AND outcome = ?3
               ORDER BY attempt DESC, key DESC LIMIT 1";
    let read = |row: &Row<'_>| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?));
    let found = conn.prepare_cached(sql)?.query_row([work, run, FAILED], read).optional()?;
    let Some((Some(ended_by), result_by)) = found else { return Ok(None) };
    let EventData::AttemptFailed(failed) = read::event(conn, ended_by)?.data else { return Ok(None) };
    Ok(Some(PreviousAttempt {
        reason: failed.reason,
        verdicts: failed.verdicts,
        message: read::text(conn, ended_by, 2)?,
        result: result_by.map(|index| read::text(conn, index, 1)).transpose()?.flatten(),
    }))
}

fn dependencies(conn: &Connection, work: i64) -> Loaded<Vec<DependencyResult>> {
    let sql = "SELECT w.key, w.id, r.result_by FROM dependencies d JOIN works w ON w.key = d.on_work
               LEFT JOIN runs r ON r.key = w.run AND r.outcome = 2 WHERE d.work = ?1 ORDER BY w.key";
    let rows = read::all(conn, sql, [work], |row| {
        Ok((row.get(0)?, WorkId::from_bytes(row.get(1)?), row.get::<_, Option<i64>>(2)?))
    })?;
    let mut left = MAX_DEPENDENCY_BYTES;
    let mut dependencies = Vec::with_capacity(rows.len());
    for (key, id, result_by) in rows {
        let bytes = result_by.map(|index| read::blob_bytes(conn, index, 1)).transpose()?.flatten();
        let fits = bytes.and_then(|bytes| left.checked_sub(bytes));
        let result = match (fits, result_by) {
            (Some(rest), Some(index)) => {
                left = rest;
                read::text(conn, index, 1)?
            }
            _ => None,
        };
        dependencies.push(DependencyResult { work: id, title: read::title(conn, key)?, result });
    }
    Ok(dependencies)
}
