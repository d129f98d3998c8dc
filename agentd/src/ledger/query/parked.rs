//! Parked queues: ready works that nobody is able to take. It is computed from the rules, never stored.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use super::{QueryError, read};
use crate::domain::Defaults;
use crate::domain::matching::{Candidate, Demand, able};
use crate::ledger::load;

/// The queues that have ready works, in the order of their age.
pub fn ready_queues(conn: &Connection) -> Result<Vec<i64>, QueryError> {
    Ok(read::all(conn, "SELECT id FROM queues WHERE ready > 0 ORDER BY id", [], |row| row.get(0))?)
}

/// The queues that have ready works and no able agent. Costs one look at each queue with ready works and at the agents
/// of its owner: keep the answer until these queues are others, or an agent or what it showed changes.
pub fn parked_queues(conn: &Connection, defaults: &Defaults) -> Result<HashSet<i64>, QueryError> {
    let sql = "SELECT id, owner, agent, skills, started FROM queues WHERE ready > 0";
    let queues = read::all(conn, sql, [], |row| {
        let only = if row.get_ref(2)?.as_str()?.is_empty() { None } else { Some(read::parsed(row, 2)?) };
        let demand = Demand { owner: row.get(1)?, agent: only, skills: read::json(row, 3)?, started: row.get(4)? };
        Ok((row.get::<_, i64>(0)?, demand))
    })?;
    let mut agents: HashMap<u32, Vec<Candidate>> = HashMap::new();
    let mut parked = HashSet::new();
    for (queue, demand) in queues {
        let candidates = match agents.entry(demand.owner) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(unknown) => {
                unknown.insert(load::agents::candidates_for(conn, demand.owner)?)
            }
        };
        if !candidates.iter().any(|agent| able(agent, &demand, defaults).is_ok()) {
            parked.insert(queue);
        }
    }
    Ok(parked)
}
