//! Agents: who there is, one in full, what it did, and the models that it thought with.

use std::collections::HashMap;

use agentd_schemas::document::agent::ModelBinding;
use agentd_schemas::event::EventData;
use agentd_schemas::id::{RunId, WorkId};
use agentd_schemas::key::openssh::PublicKey;
use agentd_schemas::unit::name::{Skill, Slug};
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::{AgentRow, AgentView, EpochView, HistoryRow, SkillEvidence};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::works::outcome;
use super::{QueryError, before, page_limit, read, resolve, sight};
use crate::domain::Defaults;
use crate::domain::matching::lower_bound_percent;
use crate::ledger::load::{self, LoadError, Loaded};
use crate::policy::Viewer;

/// Agents of one list, at most: as many as may be enrolled by default.
const MAX_AGENTS: i64 = 10_000;
/// Model epochs that are shown, the newest ones.
const MAX_EPOCHS: i64 = 1000;
/// Runs of works of others that a page of a history passes over, at most.
const MAX_EXAMINED: usize = 10_000;
/// Rows of a history that does not say how many.
const PAGE: u32 = 50;

const ROW: &str =
    "key, name, state, owner, skills, live, completed, failed, model, epoch, enrolled_ms, shared, declared";

/// The key of an agent that the viewer may see.
pub(super) fn key(conn: &Connection, viewer: &Viewer, name: &str) -> Result<i64, QueryError> {
    let sql = "SELECT key, owner FROM agents WHERE name = ?1";
    let found: Option<(i64, u32)> =
        conn.prepare_cached(sql)?.query_row([name], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match found {
        Some((key, owner)) if sight::agent(viewer, owner, name) => Ok(key),
        _ => Err(QueryError::not_found("agent", name)),
    }
}

/// The agents that the viewer may see, by name.
pub fn list(conn: &Connection, viewer: &Viewer) -> Result<Vec<AgentRow>, QueryError> {
    let own = viewer.agent.as_ref().map(Slug::as_str);
    let owner = viewer.agent.is_none().then_some(viewer.uid);
    let sql = format!("SELECT {ROW} FROM agents WHERE ?1 OR owner = ?2 OR name = ?3 ORDER BY name LIMIT {MAX_AGENTS}");
    Ok(read::all(conn, &sql, (viewer.all, owner, own), row)?)
}

fn row(row: &Row<'_>) -> rusqlite::Result<AgentRow> {
    let binding: Option<ModelBinding> = read::maybe_json(row, "model")?;
    Ok(AgentRow {
        name: read::parsed(row, "name")?,
        state: read::word(row, "state")?,
        owner: row.get("owner")?,
        skills: read::json(row, "skills")?,
        live: row.get("live")?,
        completed: read::unsigned(row, "completed")?,
        failed: read::unsigned(row, "failed")?,
        model: binding.map(|binding| format!("{}/{}", binding.provider, binding.name)),
        epoch: row.get("epoch")?,
        enrolled_at: read::wall(row, "enrolled_ms")?,
        shared: row.get("shared")?,
        declared: row.get("declared")?,
    })
}

/// One agent in full. `day` names today in the host's zone, `2026-11-22`.
pub fn show(
    conn: &Connection,
    viewer: &Viewer,
    name: &str,
    day: &str,
    defaults: &Defaults,
) -> Result<AgentView, QueryError> {
    let key = key(conn, viewer, name)?;
    let sql = format!(
        "SELECT {ROW}, version, agent_id, custody, public_key, key_revoked, max_concurrency, failures_in_a_row, reason,
                authority, certified_until
         FROM agents WHERE key = ?1"
    );
    let mut view = conn.prepare_cached(&sql)?.query_row([key], full)?;
    let line: PublicKey = view.public_key.parse().map_err(|error| broken(key, &error))?;
    view.fingerprint = line.fingerprint();
    if let Some(authority) = &mut view.authority {
        let line: PublicKey = authority.parse().map_err(|error| broken(key, &error))?;
        *authority = line.fingerprint();
    }
    view.description = read::text(conn, key, 0)?.filter(|text| !text.is_empty());
    view.demonstrated = evidence(conn, key, &view.row, defaults)?;
    view.runtime = load::programs::runtime_of(conn, key)?;
    let spent = read::one(conn, "SELECT spent FROM accounts WHERE name = ?1", [format!("agent:{name}/day/{day}")])?;
    view.spent_today = read::money(read::count(spent.unwrap_or(0)));
    Ok(view)
}

fn broken(key: i64, error: &dyn std::fmt::Display) -> LoadError {
    LoadError::Table { table: "agents", row: key, what: error.to_string() }
}

/// The columns; what stands elsewhere is filled in afterwards.
fn full(columns: &Row<'_>) -> rusqlite::Result<AgentView> {
    Ok(AgentView {
        row: row(columns)?,
        agent_id: columns.get("agent_id")?,
        description: None,
        custody: read::word(columns, "custody")?,
        public_key: columns.get("public_key")?,
        fingerprint: String::new(),
        key_revoked: columns.get("key_revoked")?,
        authority: columns.get("authority")?,
        certified_until: columns.get::<_, Option<i64>>("certified_until")?.map(WallMs::saturating),
        max_concurrency: columns.get("max_concurrency")?,
        binding: read::maybe_json(columns, "model")?,
        runtime: None,
        demonstrated: Vec::new(),
        failures_in_a_row: columns.get("failures_in_a_row")?,
        spent_today: read::money(0),
        reason: columns.get("reason")?,
        version: read::unsigned(columns, "version")?,
    })
}

/// What an agent showed in its current epoch: each skill that it claims, and each that works were judged for.
pub fn skills(
    conn: &Connection,
    viewer: &Viewer,
    name: &str,
    defaults: &Defaults,
) -> Result<Vec<SkillEvidence>, QueryError> {
    let key = key(conn, viewer, name)?;
    let sql = format!("SELECT {ROW} FROM agents WHERE key = ?1");
    let agent = conn.prepare_cached(&sql)?.query_row([key], row)?;
    Ok(evidence(conn, key, &agent, defaults)?)
}

fn evidence(
    conn: &Connection,
    key: i64,
    agent: &AgentRow,
    defaults: &Defaults,
) -> rusqlite::Result<Vec<SkillEvidence>> {
    let sql = "SELECT skill, judged, accepted FROM evidence WHERE agent = ?1 AND epoch = ?2";
    let read = |row: &Row<'_>| Ok((read::parsed::<Skill>(row, 0)?, (read::unsigned(row, 1)?, read::unsigned(row, 2)?)));
    let mut shown: HashMap<Skill, (u64, u64)> = read::all(conn, sql, (key, agent.epoch), read)?.into_iter().collect();
    for skill in &agent.skills {
        shown.entry(skill.clone()).or_default();
    }
    let mut evidence: Vec<SkillEvidence> = shown
        .into_iter()
        .map(|(skill, (judged, accepted))| {
            let lower_bound_percent = lower_bound_percent(accepted, judged);
            let standing = match lower_bound_percent {
                _ if judged < defaults.judged_works => "claimed",
                bound if bound >= defaults.skill_bound_percent => "demonstrated",
                _ => "not demonstrated",
            };
            let standing = standing.to_owned();
            SkillEvidence { skill, epoch: agent.epoch, judged, accepted, lower_bound_percent, standing }
        })
        .collect();
    evidence.sort_by(|a, b| a.skill.cmp(&b.skill));
    Ok(evidence)
}

/// One run, and whether the viewer may see its work.
struct Run {
    row: HistoryRow,
    work: i64,
    owner: u32,
}

/// The runs of an agent, newest first, older than the cursor `before`: those at works that the viewer may see.
pub fn history(
    conn: &Connection,
    viewer: &Viewer,
    name: &str,
    older_than: u64,
    limit: u32,
) -> Result<Vec<HistoryRow>, QueryError> {
    let limit = page_limit((limit > 0).then_some(limit), PAGE)?;
    let agent = key(conn, viewer, name)?;
    let itself = viewer.agent.as_ref().is_some_and(|own| own.as_str() == name);
    let sql = "SELECT r.key, r.attempt, r.outcome, r.epoch, r.claimed_ms, r.ended_ms, r.spent, w.key, w.id, w.owner
               FROM runs r CROSS JOIN works w ON w.key = r.work WHERE r.agent = ?1 AND r.key < ?2 ORDER BY r.key DESC";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query_map([agent, before(Some(older_than))], history_row)?;
    let mut history = Vec::new();
    let mut examined = 0;
    while let Some(run) = rows.next().transpose()? {
        examined += 1;
        if !itself && !viewer.sees(run.owner) {
            if examined >= MAX_EXAMINED && history.is_empty() {
                return Err(QueryError::TooBroad { kind: "run", examined, before: run.row.cursor });
            }
            if examined >= MAX_EXAMINED {
                break;
            }
            continue;
        }
        let short = resolve::short(conn, &run.row.work)?;
        history.push(HistoryRow { short, title: read::title(conn, run.work)?, ..run.row });
        if history.len() == limit {
            break;
        }
    }
    Ok(history)
}

fn history_row(row: &Row<'_>) -> rusqlite::Result<Run> {
    let work = WorkId::from_bytes(row.get(8)?);
    let history = HistoryRow {
        run: RunId { work, attempt: row.get(1)? },
        work,
        short: String::new(),
        title: String::new(),
        outcome: outcome(row.get(2)?),
        epoch: row.get(3)?,
        claimed_at: read::wall(row, 4)?,
        ended_at: row.get::<_, Option<i64>>(5)?.map(WallMs::saturating),
        spent: read::usd(row, 6)?,
        cursor: read::unsigned(row, 0)?,
    };
    Ok(Run { row: history, work: row.get(7)?, owner: row.get(9)? })
}

/// The model epochs of an agent, oldest first, at most the newest 1,000.
pub fn model_history(conn: &Connection, viewer: &Viewer, name: &str) -> Result<Vec<EpochView>, QueryError> {
    let agent = key(conn, viewer, name)?;
    let sql = "SELECT epoch, idx, completed, failed, spent FROM epochs WHERE agent = ?1 ORDER BY epoch DESC LIMIT ?2";
    let mut epochs = read::all(conn, sql, [agent, MAX_EPOCHS], |row| {
        Ok(EpochView {
            epoch: row.get(0)?,
            since: WallMs::saturating(0),
            actor: String::new(),
            reason: String::new(),
            from: None,
            to: None,
            event: read::unsigned(row, 1)?,
            completed: read::unsigned(row, 2)?,
            failed: read::unsigned(row, 3)?,
            spent: read::usd(row, 4)?,
        })
    })?;
    for epoch in &mut epochs {
        begin(conn, agent, epoch)?;
    }
    epochs.reverse();
    Ok(epochs)
}

/// Fills in what the event says that began the epoch.
fn begin(conn: &Connection, agent: i64, epoch: &mut EpochView) -> Loaded<()> {
    let event = read::event(conn, epoch.event.cast_signed())?;
    epoch.since = event.envelope.time;
    epoch.actor = event.envelope.actor.to_string();
    match event.data {
        EventData::AgentEnrolled(enrolled) => {
            "enrolled".clone_into(&mut epoch.reason);
            epoch.to = enrolled.model;
        }
        EventData::ModelBound(bound) => {
            epoch.reason = bound.reason;
            epoch.from = bound.from;
            epoch.to = bound.to;
        }
        EventData::ProbationStarted(started) => {
            epoch.reason = started.reason;
            epoch.from.clone_from(&started.model);
            epoch.to = started.model;
        }
        other => return Err(broken(agent, &format!("epoch {} begins with {}", epoch.epoch, other.type_name()))),
    }
    Ok(())
}
