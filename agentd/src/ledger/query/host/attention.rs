//! What has come to stand still by itself and stays so until a person does something: schedules whose work is refused,
//! agents that were paused by a rule or lost a skill, agents without a key, agents whose owners do not certify theirs.

use agentd_schemas::event::{Actor, EventData, TickOutcome};
use agentd_schemas::unit::time::WallMs;
use rusqlite::Connection;

use super::owner;
use crate::domain::Defaults;
use crate::domain::matching::{Mismatch, lower_bound_percent};
use crate::domain::schedule::REJECTED;
use crate::ledger::query::{QueryError, read};
use crate::policy::Viewer;

/// Things of one kind that are told, at most.
const MAX_TOLD: usize = 10;

/// One line for each, with the command that ends it; what is beyond the bound as a count.
pub fn attention(
    conn: &Connection,
    viewer: &Viewer,
    now: WallMs,
    defaults: &Defaults,
) -> Result<Vec<String>, QueryError> {
    let mut lines = bounded(schedules(conn, viewer)?, "schedules are refused, see: agentctl schedule list");
    lines.extend(bounded(paused(conn, viewer)?, "agents were paused, see: agentctl agent list"));
    lines.extend(bounded(fallen(conn, viewer, defaults)?, "skills fell below the bound, see: agentctl agent list"));
    lines.extend(bounded(keyless(conn, viewer)?, "agents have a revoked key, see: agentctl agent list"));
    lines.extend(bounded(uncertified(conn, viewer, now)?, "agents wait for a certificate, see: agentctl agent list"));
    Ok(lines)
}

fn bounded(mut lines: Vec<String>, more: &str) -> Vec<String> {
    let beyond = lines.len().saturating_sub(MAX_TOLD);
    lines.truncate(MAX_TOLD);
    if beyond > 0 {
        lines.push(format!("{beyond} more {more}"));
    }
    lines
}

/// Active schedules whose last tick submitted nothing because its work was refused.
fn schedules(conn: &Connection, viewer: &Viewer) -> Result<Vec<String>, QueryError> {
    let sql = "SELECT name, last_by FROM schedules
               WHERE state = 0 AND skipped > 0 AND last_by IS NOT NULL AND (?1 IS NULL OR owner = ?1) ORDER BY key";
    let found: Vec<(String, i64)> = read::all(conn, sql, [owner(viewer)], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut lines = Vec::new();
    for (name, event) in found {
        if let EventData::ScheduleTicked(ticked) = read::event(conn, event)?.data
            && let TickOutcome::Skipped { because } = ticked.outcome
            && let Some(reason) = because.strip_prefix(REJECTED)
        {
            lines.push(format!(
                "schedule {name} submits nothing: {reason} (agentctl schedule remove {name}, and add it anew)"
            ));
        }
    }
    Ok(lines)
}

/// Agents that no person paused.
fn paused(conn: &Connection, viewer: &Viewer) -> Result<Vec<String>, QueryError> {
    let sql = "SELECT a.name, a.reason, (SELECT e.idx FROM events e WHERE e.subject = a.key
                   AND json_extract(e.body, '$.type') = 'AgentPaused' ORDER BY e.version DESC LIMIT 1)
               FROM agents a WHERE a.state = 'paused' AND (?1 IS NULL OR a.owner = ?1) ORDER BY a.key";
    let found: Vec<(String, Option<String>, Option<i64>)> =
        read::all(conn, sql, [owner(viewer)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut lines = Vec::new();
    for (name, reason, event) in found {
        let Some(event) = event else { continue };
        if !matches!(read::event(conn, event)?.envelope.actor, Actor::Uid(_)) {
            let reason = reason.unwrap_or_default();
            lines.push(format!("agent {name} was paused: {reason} (agentctl agent resume {name} --reason '…')"));
        }
    }
    Ok(lines)
}

/// Skills that agents claim and showed that they have not: works that ask for them are given to others alone.
fn fallen(conn: &Connection, viewer: &Viewer, defaults: &Defaults) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT a.name, e.skill, e.judged, e.accepted FROM agents a
               JOIN evidence e ON e.agent = a.key AND e.epoch = a.epoch
               WHERE a.state IN ('active', 'probation') AND e.judged >= ?2 AND (?1 IS NULL OR a.owner = ?1)
                   AND EXISTS (SELECT 1 FROM json_each(a.skills) WHERE value = e.skill) ORDER BY a.key, e.skill";
    let read = |row: &rusqlite::Row<'_>| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, read::unsigned(row, 2)?, read::unsigned(row, 3)?))
    };
    let found = read::all(conn, sql, (owner(viewer), defaults.judged_works.cast_signed()), read)?;
    let fell = |(_, _, judged, accepted): &(String, String, u64, u64)| {
        lower_bound_percent(*accepted, *judged) < defaults.skill_bound_percent
    };
    let line = |(name, skill, judged, accepted): (String, String, u64, u64)| {
        format!(
            "agent {name} gets no work that asks for {skill}: {accepted} of {judged} judged works were accepted \
             (repair it, then agentctl agent probation {name} --reason '…')"
        )
    };
    Ok(found.into_iter().filter(fell).map(line).collect())
}

/// Agents that cannot prove who they are; who is shut out or gone needs no key.
fn keyless(conn: &Connection, viewer: &Viewer) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM agents WHERE key_revoked = 1 AND state NOT IN ('suspended', 'retired')
                   AND (?1 IS NULL OR owner = ?1) ORDER BY key";
    let found: Vec<String> = read::all(conn, sql, [owner(viewer)], |row| row.get(0))?;
    let line = |name: String| {
        format!("agent {name} can do nothing: its key is revoked (agentctl agent rotate-key {name} --reason '…')")
    };
    Ok(found.into_iter().map(line).collect())
}

/// Agents whose works wait until their owners certify their keys.
fn uncertified(conn: &Connection, viewer: &Viewer, now: WallMs) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name, certified_until FROM agents WHERE authority IS NOT NULL AND key_revoked = 0
                   AND state NOT IN ('suspended', 'retired') AND (?1 IS NULL OR owner = ?1)
                   AND (certified_until IS NULL OR certified_until <= ?2 OR certified_from > ?2) ORDER BY key";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?));
    let found = read::all(conn, sql, (owner(viewer), now.as_ms()), read)?;
    let line = |(name, until): (String, Option<i64>)| {
        let why = Mismatch::Uncertified(until.map(WallMs::saturating));
        format!("agent {name}: {why}, and its works wait: agentctl agent certify {name}")
    };
    Ok(found.into_iter().map(line).collect())
}
