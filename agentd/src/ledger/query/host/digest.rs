//! What happened in a while.

use agentd_schemas::event::WorkState;
use agentd_schemas::unit::money::Usd;
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::{DigestView, WaitingForPerson, WorkRow};
use rusqlite::Connection;

use super::attention::attention;
use super::waiting::waiting;
use super::{moneys, owner};
use crate::domain::Defaults;
use crate::ledger::load::Loaded;
use crate::ledger::project::state_number;
use crate::ledger::query::works::Stored;
use crate::ledger::query::{IsParked, QueryError, read};
use crate::policy::Viewer;

/// Works of one kind that are listed, at most.
const MAX_LISTED: i64 = 20;
/// Commands that are suggested, at most.
const MAX_NEXT: usize = 5;

/// The while: wall times, and the days in the host's zone whose money counts, each a whole one.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// From here on.
    pub since: WallMs,
    /// Up to here.
    pub until: WallMs,
    /// The day of `since`.
    pub first_day: &'a str,
    /// The day of `until`.
    pub last_day: &'a str,
    /// What lets evidence speak.
    pub defaults: &'a Defaults,
}

/// Log indexes from the first to before the last, and whose works.
struct Span {
    from: i64,
    to: i64,
    owner: Option<i64>,
}

/// What was done, what failed and what waits. Its cost grows with what happened in the window, not with the ledger.
pub fn digest(
    conn: &Connection,
    viewer: &Viewer,
    window: Window<'_>,
    parked: IsParked<'_>,
) -> Result<DigestView, QueryError> {
    let span = Span { from: first_at(conn, window.since)?, to: first_at(conn, window.until)?, owner: owner(viewer) };
    let completed = [WorkState::Completed];
    let failed = [WorkState::Failed, WorkState::Expired, WorkState::Cancelled];
    let completed_count = span.count(conn, &completed)?;
    let money = moneys(conn, viewer, window.first_day, window.last_day)?;
    let waiting = waiting(conn, viewer)?;
    let failed_works = span.newest(conn, &failed, parked)?;
    let parked_now = super::works(conn, viewer, parked)?.get("parked").copied().unwrap_or(0);
    Ok(DigestView {
        since: window.since,
        until: window.until,
        submitted: span.submitted(conn)?,
        completed: span.newest(conn, &completed, parked)?,
        completed_count,
        failed_count: span.count(conn, &failed)?,
        next: next(&waiting, &failed_works, parked_now),
        parked: parked_now,
        failed: failed_works,
        waiting,
        cost_per_completed: cost_per(money.spent, completed_count),
        money,
        breaches: span.breaches(conn)?,
        attention: attention(conn, viewer, window.until, window.defaults)?,
    })
}

/// The log index of the first event at or after a wall time; the size of the log when there is none. By bisection, so
/// where the clock was set back it finds one of the places that the time fits.
pub fn first_at(conn: &Connection, time: WallMs) -> Result<i64, QueryError> {
    let (mut low, mut high) = (0, read::size(conn)?);
    while low < high {
        let middle = low + (high - low) / 2;
        if read::said(conn, middle)?.time >= time {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}

impl Span {
    /// Works submitted, counted owner by owner on the index of owners.
    fn submitted(&self, conn: &Connection) -> rusqlite::Result<u64> {
        let owners = match self.owner {
            Some(owner) => vec![owner],
            None => read::all(conn, "SELECT DISTINCT owner FROM counts", [], |row| row.get(0))?,
        };
        let sql = "SELECT count(*) FROM works WHERE owner = ?1 AND key >= ?2 AND key < ?3";
        let mut submitted = 0;
        for owner in owners {
            submitted += read::count(read::one(conn, sql, [owner, self.from, self.to])?.unwrap_or(0));
        }
        Ok(submitted)
    }

    fn count(&self, conn: &Connection, states: &[WorkState]) -> rusqlite::Result<u64> {
        // A work that was retried ends more than once: it counts once, and as what it is now.
        let sql = "SELECT count(DISTINCT e.work) FROM ends e JOIN works w ON w.key = e.work AND w.state = e.state
                   WHERE e.idx >= ?1 AND e.idx < ?2 AND e.state = ?3 AND (?4 IS NULL OR e.owner = ?4)";
        let mut sum = 0;
        for state in states {
            let n = read::one(conn, sql, (self.from, self.to, state_number(*state), self.owner))?;
            sum += read::count(n.unwrap_or(0));
        }
        Ok(sum)
    }

    fn newest(&self, conn: &Connection, states: &[WorkState], parked: IsParked<'_>) -> Loaded<Vec<WorkRow>> {
        let sql = "SELECT max(e.idx), e.work FROM ends e JOIN works w ON w.key = e.work AND w.state = e.state
                   WHERE e.idx >= ?1 AND e.idx < ?2 AND e.state = ?3 AND (?4 IS NULL OR e.owner = ?4)
                   GROUP BY e.work ORDER BY 1 DESC LIMIT ?5";
        let mut ends: Vec<(i64, i64)> = Vec::new();
        for state in states {
            let of = (self.from, self.to, state_number(*state), self.owner, MAX_LISTED);
            ends.extend(read::all(conn, sql, of, |row| Ok((row.get(0)?, row.get(1)?)))?);
        }
        ends.sort_unstable_by(|a, b| b.cmp(a));
        let newest = ends.into_iter().take(usize::try_from(MAX_LISTED).unwrap_or(0));
        newest.map(|(_, work)| Stored::load(conn, work)?.row(conn, work, parked)).collect()
    }

    fn breaches(&self, conn: &Connection) -> rusqlite::Result<u64> {
        let sql = "SELECT count(*) FROM breaches WHERE idx >= ?1 AND idx < ?2 AND (?3 IS NULL OR owner = ?3)";
        Ok(read::count(read::one(conn, sql, (self.from, self.to, self.owner))?.unwrap_or(0)))
    }
}

/// Money per work, rounded up to a whole micro-USD.
fn cost_per(spent: Usd, works: u64) -> Option<Usd> {
    (works > 0).then(|| read::money(spent.0.as_micro().div_ceil(works)))
}

/// What to type next: first what waits, then why the newest failures failed.
fn next(waiting: &[WaitingForPerson], failed: &[WorkRow], parked: u64) -> Vec<String> {
    let answers = waiting.iter().map(|waits| waits.command.clone());
    let questions =
        failed.iter().filter(|work| work.state == "failed").map(|work| format!("agentctl why {}", work.short));
    let nobody = (parked > 0).then(|| "agentctl work list --state parked".to_owned());
    answers.chain(nobody).chain(questions).take(MAX_NEXT).collect()
}
