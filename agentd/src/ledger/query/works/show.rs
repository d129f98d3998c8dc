//! One work in full.

use agentd_schemas::content::WorkContent;
use agentd_schemas::event::{EventData, ServiceLevelKind, Verdict, WorkSubmitted, WorkspaceBase};
use agentd_schemas::id::WorkId;
use agentd_schemas::view::WorkView;
use agentd_schemas::view::work::{Linked, NoteView, WorkspaceView};
use rusqlite::Connection;

use super::row::shown;
use super::runs::{self, IsLive};
use super::{Stored, freezes};
use crate::domain::account::of_parts;
use crate::ledger::load::{LoadError, Loaded, accounts};
use crate::ledger::query::{IsParked, QueryError, read, resolve};
use crate::policy::Viewer;

/// Linked works of one kind that are shown, at most.
const MAX_LINKED: i64 = 100;
/// Notes that are shown, the newest ones.
const MAX_NOTES: i64 = 200;
/// Bytes of notes that are shown; those of the newest come first.
const MAX_NOTE_BYTES: u64 = 1 << 20;

/// The work that an id or a unique prefix names. Linked works are capped at 100 each, attempts and notes at the newest
/// 200, results and messages at 4 MiB each and notes at 1 MiB: the newest are kept.
pub fn show(
    conn: &Connection,
    viewer: &Viewer,
    text: &str,
    parked: IsParked<'_>,
    live: IsLive<'_>,
) -> Result<WorkView, QueryError> {
    let key = resolve::work(conn, viewer, text)?.key;
    let work = Stored::load(conn, key)?;
    let spec = submitted(conn, key)?;
    let content = read::content(conn, key)?;
    let workspace = spec.workspace.map(|base| workspace(base, content.as_ref()));
    let (instructions, inputs) = content.map_or((None, None), |content| (content.instructions, content.inputs));
    let links = Links { conn, viewer, owner: work.owner, parked };
    let children = links.all("parent = ?1", key)?;
    let parts = if children.is_empty() { None } else { Some(accounts::used(conn, &of_parts(work.id))?) };
    let row = work.row(conn, key, parked)?;
    let freezes = freezes::views(conn, &work, row.agent.as_ref())?;
    Ok(WorkView {
        row,
        freezes,
        version: work.version,
        instructions,
        inputs,
        required_skills: spec.required_skills,
        only_agent: spec.agent,
        labels: spec.labels,
        depends_on: links.all("key IN (SELECT on_work FROM dependencies WHERE work = ?1)", key)?,
        dependants: links.all("key IN (SELECT work FROM dependencies WHERE on_work = ?1)", key)?,
        parent: work.parent.map(|parent| links.all("key = ?1", parent)).transpose()?.and_then(|mut all| all.pop()),
        children,
        not_before: spec.not_before,
        deadline: spec.deadline,
        latest_start: spec.latest_start,
        finish_by: spec.finish_by,
        timeout_ms: spec.timeout_ms,
        max_attempts: work.max_attempts,
        max_cost: work.max_cost.map(read::money),
        max_tokens: work.max_tokens,
        tokens: work.tokens,
        reserved: read::money(work.reserved),
        spent_with_parts: parts.map(|parts| read::money(work.spent.saturating_add(parts.spent))),
        tokens_with_parts: parts.map(|parts| work.tokens.saturating_add(parts.tokens)),
        waiting_for: work.waiting_for(conn)?,
        acceptance: spec.acceptance,
        workspace,
        base_verdicts: base_verdicts(conn, key)?,
        runs: runs::runs(conn, &work, live)?,
        breaches: breaches(work.breached),
        held: work.held,
        notes: notes(conn, key)?,
    })
}

fn workspace(base: WorkspaceBase, content: Option<&WorkContent>) -> WorkspaceView {
    let document = content.and_then(|content| content.workspace.as_ref());
    WorkspaceView {
        base,
        repository: document.and_then(|document| document.repository.clone().or_else(|| document.folder.clone())),
        branch: document.and_then(|document| document.content.as_ref()?.branch.clone()),
    }
}

/// What the criteria said of what its runs begin with.
fn base_verdicts(conn: &Connection, key: i64) -> Loaded<Vec<Verdict>> {
    let found: Option<i64> = read::one(conn, "SELECT idx FROM bases WHERE work = ?1", [key])?;
    let Some(index) = found else { return Ok(Vec::new()) };
    match read::event(conn, index)?.data {
        EventData::BaseJudged(data) => Ok(data.verdicts),
        _ => Ok(Vec::new()),
    }
}

/// What was submitted under this key.
pub(in crate::ledger::query) fn submitted(conn: &Connection, key: i64) -> Loaded<WorkSubmitted> {
    match read::event(conn, key)?.data {
        EventData::WorkSubmitted(spec) => Ok(spec),
        other => {
            let what = format!("its event is {}", other.type_name());
            Err(LoadError::Table { table: "works", row: key, what })
        }
    }
}

struct Links<'a> {
    conn: &'a Connection,
    viewer: &'a Viewer,
    owner: u32,
    parked: IsParked<'a>,
}

impl Links<'_> {
    /// Works under a condition, oldest first: those of the same owner, which the work itself names, and those that the
    /// viewer sees anyway.
    fn all(&self, condition: &str, key: i64) -> Loaded<Vec<Linked>> {
        let sql = format!(
            "SELECT id, state, unmet, queue, owner FROM works WHERE {condition} ORDER BY key LIMIT {MAX_LINKED}"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([key])?;
        let mut linked = Vec::new();
        while let Some(row) = rows.next()? {
            let owner = row.get(4)?;
            if owner != self.owner && !self.viewer.sees(owner) {
                continue;
            }
            let state = shown(read::state(row, 1)?, row.get(2)?, row.get(3)?, self.parked).to_owned();
            linked.push(Linked { id: WorkId::from_bytes(row.get(0)?), state });
        }
        Ok(linked)
    }
}

fn breaches(bits: i64) -> Vec<String> {
    let levels = [(1, ServiceLevelKind::Start), (2, ServiceLevelKind::Finish), (4, ServiceLevelKind::Deadline)];
    levels.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, level)| read::words(level)).collect()
}

fn notes(conn: &Connection, key: i64) -> Loaded<Vec<NoteView>> {
    let sql = "SELECT idx FROM notes WHERE work = ?1 ORDER BY idx DESC LIMIT ?2";
    let newest: Vec<i64> = read::all(conn, sql, [key, MAX_NOTES], |row| row.get(0))?;
    let mut notes = Vec::with_capacity(newest.len());
    let mut left = MAX_NOTE_BYTES;
    for index in newest {
        let bytes = read::blob_bytes(conn, index, 0)?.unwrap_or(0);
        let Some(rest) = left.checked_sub(bytes) else { break };
        left = rest;
        let said = read::said(conn, index)?;
        let text = read::text(conn, index, 0)?.unwrap_or_else(|| read::REDACTED.to_owned());
        notes.push(NoteView { actor: said.actor.to_string(), at: said.time, text });
    }
    notes.reverse();
    Ok(notes)
}
