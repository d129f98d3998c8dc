//! What waits for a person, with the command that answers it.

use agentd_schemas::event::{WaitReason, WorkState};
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::WaitingForPerson;
use rusqlite::Connection;

use crate::domain::account::raise_command;
use crate::ledger::query::works::{Stored, Wanted, scan};
use crate::ledger::query::{QueryError, read, resolve};
use crate::policy::Viewer;

/// Things that are listed, at most.
pub const MAX_WAITING: usize = 50;
/// Waiting runs that are looked at, at most: those that stand still under a freeze ask nobody.
const MAX_RUNS: usize = 200;

/// Results to judge, then runs that wait for budget or for an answer; the newest works first.
pub fn waiting(conn: &Connection, viewer: &Viewer) -> Result<Vec<WaitingForPerson>, QueryError> {
    let mut waiting = Vec::new();
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
            if waiting.len() == MAX_WAITING {
                return Ok(waiting);
            }
            waiting.extend(one(conn, &Stored::load(conn, hit.key)?)?);
        }
    }
    Ok(waiting)
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
