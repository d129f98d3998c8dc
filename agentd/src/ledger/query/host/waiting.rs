//! What waits for a person, with the command that answers it.

use agentd_schemas::event::{WaitReason, WorkState};
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::WaitingForPerson;
use rusqlite::Connection;

use crate::domain::account::raise_command;
use crate::ledger::project::state_number;
use crate::ledger::query::works::{Stored, Wanted, scan};
use crate::ledger::query::{QueryError, read, resolve};
use crate::policy::Viewer;

/// Things that are listed, at most.
pub const MAX_WAITING: usize = 50;
/// Waiting runs that are looked at, at most: those that stand still under a freeze ask nobody.
const MAX_RUNS: usize = 200;

/// What people are waited for.
const KINDS: [&str; 3] = ["accept", "budget", "answer"];

/// Results to judge, then runs that wait for budget or for an answer; the newest works first. Where there are more than are listed,
/// no kind hides another.
pub fn waiting(conn: &Connection, viewer: &Viewer) -> Result<Vec<WaitingForPerson>, QueryError> {
    let mut waiting: Vec<WaitingForPerson> = Vec::new();
    if viewer.agent.is_some() && !viewer.all {
        return Ok(waiting);
    }
    for (state, most) in [(WorkState::Verifying, MAX_WAITING), (WorkState::Waiting, MAX_RUNS)] {
        let wanted = Wanted::in_states(viewer, &[state]);
        let found = match scan(conn, &wanted, &|_| false, i64::MAX, most) {
            Ok(found) => found.hits,
            Err(QueryError::TooBroad { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        for hit in found {
            waiting.extend(one(conn, &Stored::load(conn, hit.key)?)?);
        }
    }
    let counts = KINDS.map(|kind| waiting.iter().filter(|item| item.what == kind).count());
    let mut shares = shares(counts, MAX_WAITING);
    waiting.retain(|item| {
        let share = KINDS.iter().position(|kind| *kind == item.what).and_then(|kind| shares.get_mut(kind));
        share.is_some_and(|share| {
            let fits = *share > 0;
            *share = share.saturating_sub(1);
            fits
        })
    });
    Ok(waiting)
}

/// How many of each are listed where so many fit in all: each as many as another, or all that it has.
fn shares<const N: usize>(counts: [usize; N], all: usize) -> [usize; N] {
    let mut shares = [0; N];
    let mut left = all;
    while left > 0 && shares != counts {
        for (share, count) in shares.iter_mut().zip(counts) {
            if left > 0 && *share < count {
                *share += 1;
                left -= 1;
            }
        }
    }
    shares
}

/// Since when the work that has waited longest waits for a person, of all on this host.
pub fn oldest_waiting(conn: &Connection) -> Result<Option<WallMs>, QueryError> {
    let sql = "SELECT min(since) FROM (
                   SELECT min(coalesce(r.ended_ms, w.changed)) AS since FROM works w LEFT JOIN runs r ON r.key = w.run
                   WHERE w.state = ?1
                   UNION ALL
                   SELECT min(w.changed) FROM works w JOIN runs r ON r.key = w.run
                   WHERE w.state = ?2 AND r.waiting IS NOT NULL)";
    let states = [WorkState::Verifying, WorkState::Waiting].map(state_number);
    let since: Option<Option<i64>> = read::one(conn, sql, states)?;
    Ok(since.flatten().map(WallMs::saturating))
}

fn one(conn: &Connection, work: &Stored) -> Result<Option<WaitingForPerson>, QueryError> {
    let short = resolve::short(conn, &work.id)?;
    let (what, command) = match work.waiting_for(conn)? {
        None if work.state == WorkState::Verifying => ("accept", format!("agentctl work accept {short}")),
        Some(WaitReason::Person) => ("answer", format!("agentctl work answer {short} …")),
        Some(WaitReason::Budget { account, .. }) => ("budget", raise_command(&short, &account)),
        None => return Ok(None),
    };
    let since = if what == "accept" { judged_at(conn, work)? } else { None };
    Ok(Some(WaitingForPerson {
        work: work.id,
        short,
        what: what.to_owned(),
        since: since.unwrap_or(work.changed),
        command,
    }))
}

/// When the result came that waits for a person: its run was over then.
fn judged_at(conn: &Connection, work: &Stored) -> rusqlite::Result<Option<WallMs>> {
    let ended: Option<Option<i64>> = read::one(conn, "SELECT ended_ms FROM runs WHERE key = ?1", [work.run])?;
    Ok(ended.flatten().map(WallMs::saturating))
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn no_kind_hides_another_and_none_leaves_a_place_empty_that_another_has_use_for() {
        for (counts, listed) in [
            ([200, 0, 1], [49, 0, 1]),
            ([200, 200, 200], [17, 17, 16]),
            ([50, 3, 40], [24, 3, 23]),
            ([1, 2, 3], [1, 2, 3]),
            ([0, 0, 0], [0, 0, 0]),
        ] {
            assert_eq!(shares(counts, 50), listed);
        }
    }
}
