//! One work as the projection has it, and as one line of a list.

use agentd_schemas::event::{EventData, FailureReason, WaitReason, WorkState};
use agentd_schemas::id::WorkId;
use agentd_schemas::unit::name::Slug;
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::WorkRow;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::freezes;
use crate::domain::account::in_words;
use crate::ledger::load::Loaded;
use crate::ledger::query::{IsParked, read, resolve};

/// The columns of one work.
pub(in crate::ledger::query) struct Stored {
    pub(in crate::ledger::query) key: i64,
    pub(in crate::ledger::query) id: WorkId,
    pub(in crate::ledger::query) version: u64,
    pub(in crate::ledger::query) state: WorkState,
    pub(in crate::ledger::query) owner: u32,
    pub(in crate::ledger::query) queue: i64,
    pub(in crate::ledger::query) priority: i16,
    pub(in crate::ledger::query) attempts: u32,
    pub(in crate::ledger::query) max_attempts: u32,
    pub(in crate::ledger::query) max_cost: Option<u64>,
    pub(in crate::ledger::query) max_tokens: Option<u64>,
    pub(in crate::ledger::query) spent: u64,
    pub(in crate::ledger::query) reserved: u64,
    pub(in crate::ledger::query) tokens: u64,
    pub(in crate::ledger::query) reserved_tokens: u64,
    pub(in crate::ledger::query) unpriced: bool,
    pub(in crate::ledger::query) unmet: i64,
    pub(in crate::ledger::query) parent: Option<i64>,
    pub(in crate::ledger::query) run: Option<i64>,
    pub(in crate::ledger::query) changed: WallMs,
    pub(in crate::ledger::query) changed_by: i64,
    pub(in crate::ledger::query) held: bool,
    pub(in crate::ledger::query) breached: i64,
}

const SELECT: &str = "SELECT key, id, version, state, owner, queue, priority, attempts, max_attempts, max_cost,
    max_tokens, spent, reserved, tokens, reserved_tokens, unpriced, unmet, parent, run, changed, changed_by, held,
    breached FROM works WHERE key = ?1";

/// What the current or last run adds to the line.
struct LastRun {
    agent: Slug,
    waiting: Option<WaitReason>,
    ended_by: Option<i64>,
}

/// The state as people see it: a ready work that nobody can take is parked, and a blocked one whose dependencies are met
/// waits for its time.
pub(in crate::ledger::query) fn shown(state: WorkState, unmet: i64, queue: i64, parked: IsParked<'_>) -> &'static str {
    match state {
        WorkState::Ready if parked(queue) => "parked",
        WorkState::Blocked if unmet == 0 => WorkState::Scheduled.as_str(),
        state => state.as_str(),
    }
}

impl Stored {
    /// The work with this key.
    pub(in crate::ledger::query) fn load(conn: &Connection, key: i64) -> Loaded<Self> {
        Ok(conn.prepare_cached(SELECT)?.query_row([key], Self::read)?)
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get(0)?,
            id: WorkId::from_bytes(row.get(1)?),
            version: read::unsigned(row, 2)?,
            state: read::state(row, 3)?,
            owner: row.get(4)?,
            queue: row.get(5)?,
            priority: row.get(6)?,
            attempts: row.get(7)?,
            max_attempts: row.get(8)?,
            max_cost: read::limit(row, 9)?,
            max_tokens: read::limit(row, 10)?,
            spent: read::unsigned(row, 11)?,
            reserved: read::unsigned(row, 12)?,
            tokens: read::unsigned(row, 13)?,
            reserved_tokens: read::unsigned(row, 14)?,
            unpriced: row.get::<_, i64>(15)? != 0,
            unmet: row.get(16)?,
            parent: row.get(17)?,
            run: row.get(18)?,
            changed: read::wall(row, 19)?,
            changed_by: row.get(20)?,
            held: row.get::<_, i64>(21)? != 0,
            breached: row.get(22)?,
        })
    }

    /// The state as people see it.
    pub(in crate::ledger::query) fn shown(&self, parked: IsParked<'_>) -> &'static str {
        shown(self.state, self.unmet, self.queue, parked)
    }

    /// The work as one line of a list.
    pub(in crate::ledger::query) fn row(
        &self,
        conn: &Connection,
        cursor: i64,
        parked: IsParked<'_>,
    ) -> Loaded<WorkRow> {
        let run = self.last_run(conn)?;
        let state = self.shown(parked);
        let frozen = !freezes::of(conn, self, run.as_ref().map(|run| &run.agent))?.is_empty();
        Ok(WorkRow {
            frozen,
            id: self.id,
            short: resolve::short(conn, &self.id)?,
            title: read::title(conn, self.key)?,
            state: state.to_owned(),
            owner: self.owner,
            reason: self.reason(conn, state, run.as_ref())?,
            agent: run.map(|run| run.agent),
            attempts: self.attempts,
            priority: self.priority,
            submitted_at: read::said(conn, self.key)?.time,
            changed_at: self.changed,
            spent: read::money(self.spent),
            unpriced: self.unpriced,
            cursor: read::count(cursor),
        })
    }

    fn last_run(&self, conn: &Connection) -> rusqlite::Result<Option<LastRun>> {
        let sql = "SELECT agents.name, waiting, ended_by FROM runs JOIN agents ON agents.key = runs.agent
                   WHERE runs.key = ?1";
        let read = |row: &Row<'_>| {
            Ok(LastRun { agent: read::parsed(row, 0)?, waiting: read::maybe_json(row, 1)?, ended_by: row.get(2)? })
        };
        let Some(run) = self.run else { return Ok(None) };
        conn.prepare_cached(sql)?.query_row([run], read).optional()
    }

    /// What its run waits for.
    pub(in crate::ledger::query) fn waiting_for(&self, conn: &Connection) -> rusqlite::Result<Option<WaitReason>> {
        if self.state != WorkState::Waiting {
            return Ok(None);
        }
        Ok(self.last_run(conn)?.and_then(|run| run.waiting))
    }

    fn reason(&self, conn: &Connection, shown: &str, run: Option<&LastRun>) -> Loaded<Option<String>> {
        Ok(match self.state {
            WorkState::Ready if shown == "parked" => Some("no agent is able to take it".to_owned()),
            WorkState::Scheduled if self.backs_off(conn)? => {
                Some(format!("attempt {} of {} failed, the next follows", self.attempts, self.max_attempts))
            }
            WorkState::Scheduled => Some("its time has not come".to_owned()),
            WorkState::Blocked => Some(match self.unmet {
                0 => "its time has not come".to_owned(),
                1 => "waits for another work".to_owned(),
                n => format!("waits for {n} other works"),
            }),
            WorkState::Waiting => run.and_then(|run| run.waiting.as_ref()).map(|waiting| match waiting {
                WaitReason::Budget { account, .. } => {
                    format!("waits for budget: {} has too little left", in_words(account))
                }
                WaitReason::Person => "waits for a person's answer".to_owned(),
            }),
            WorkState::Verifying => Some("its result waits for a person".to_owned()),
            WorkState::Failed => failure(conn, run)?,
            WorkState::Cancelled => match read::event(conn, self.changed_by)?.data {
                EventData::WorkCancelled(cancelled) => Some(cancelled.reason.replace('_', " ")),
                _ => None,
            },
            WorkState::Expired => Some("was not started by its deadline".to_owned()),
            WorkState::Ready | WorkState::Claimed | WorkState::Running | WorkState::Completed => None,
        })
    }

    fn backs_off(&self, conn: &Connection) -> rusqlite::Result<bool> {
        if self.attempts == 0 {
            return Ok(false);
        }
        Ok(read::one::<i64>(conn, "SELECT 1 FROM backoffs WHERE work = ?1", [self.key])?.is_some())
    }
}

/// Why the last run failed: what was said about it, where something was.
fn failure(conn: &Connection, run: Option<&LastRun>) -> Loaded<Option<String>> {
    let Some(ended_by) = run.and_then(|run| run.ended_by) else { return Ok(None) };
    let EventData::AttemptFailed(failed) = read::event(conn, ended_by)?.data else { return Ok(None) };
    let word = read::words(&failed.reason);
    Ok(Some(match (failed.reason, read::first_line(conn, ended_by, 2)?) {
        (FailureReason::Reported, Some(said)) => said,
        (_, Some(said)) => format!("{word}: {said}"),
        (_, None) => word,
    }))
}
