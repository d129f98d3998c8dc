//! Runs that were live when the daemon stopped: in the same boot every living lease gets one full period; a new boot, or a
//! restore, voids it. Time that did not count before the stop does not count after it.

use agentd_schemas::id::Fence;
use rusqlite::Connection;

use super::live::LiveRun;
use crate::domain::command::RunRef;
use crate::ledger::load::{Loaded, pauses, works};

/// Runs that were live when the daemon stopped.
pub(super) struct PutBack {
    /// Those that live on.
    pub(super) living: Vec<LiveRun>,
    /// Those whose lease is void, and why.
    pub(super) lost: Vec<(RunRef, &'static str)>,
}

/// The clock of the present boot.
pub(super) struct Now {
    /// Which boot.
    pub(super) boot: String,
    /// Milliseconds since it began.
    pub(super) boot_ms: u64,
    /// Milliseconds of them that the machine slept.
    pub(super) slept_ms: u64,
}

/// Reads them from the ledger.
pub(super) fn put_back(conn: &Connection, now: &Now, incarnation: u32) -> Loaded<PutBack> {
    let oldest: Option<i64> = conn.query_row("SELECT min(key) FROM runs WHERE outcome = 0", [], |row| row.get(0))?;
    let mut back = PutBack { living: Vec::new(), lost: Vec::new() };
    let Some(oldest) = oldest else { return Ok(back) };
    let freezes = pauses::freezes_since(conn, oldest)?;
    let sql = "SELECT work, attempt, incarnation, key, boot, lease_ms, claimed_boot_ms FROM runs WHERE outcome = 0";
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(work) = works::work_by_key(conn, row.get(0)?, false)? else { continue };
        let Some(holder) = &work.run else { continue };
        let fence = Fence { incarnation: row.get(2)?, n: row.get(3)? };
        let run = RunRef { work: work.id, attempt: row.get(1)?, fence };
        if fence.incarnation != incarnation {
            back.lost.push((run, "new_incarnation"));
            continue;
        }
        if row.get::<_, String>(4)? != now.boot {
            back.lost.push((run, "new_boot"));
            continue;
        }
        let (lease_ms, since): (u64, u64) = (row.get(5)?, row.get(6)?);
        let named = pauses::Run { key: row.get(3)?, work_key: work.key, work: work.id, agent: &holder.agent };
        let stood = pauses::of_run(conn, &freezes, named)?;
        // No event says when the machine slept. All of it may have been since the claim: a run that gets too much time
        // is better than one that is blamed for a night.
        let slept_ms = now.slept_ms.min(now.boot_ms.saturating_sub(since));
        back.living.push(LiveRun {
            run,
            agent: holder.agent.clone(),
            lease_ms,
            lease_until: now.boot_ms + lease_ms,
            timeout_ms: work.spec.timeout_ms,
            since,
            paused_ms: stood.ms.saturating_add(slept_ms),
            paused_since: stood.since,
            waiting: holder.waiting.clone(),
            frozen: false,
            progress: None,
            heartbeat_at: None,
            ending: false,
            off_the_clock: false,
            terms: None,
        });
    }
    Ok(back)
}
