//! Which queues have nobody able to serve them. It changes only when agents do, or a queue is new.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use agentd_schemas::problem::Problem;
use rusqlite::Connection;

use crate::engine::Inner;
use crate::ledger::query;

/// The last answer, with what it depended on.
#[derive(Default)]
pub struct ParkedCache {
    last: Mutex<Option<(u64, u64, Arc<HashSet<i64>>)>>,
}

impl Inner {
    /// Queues without an able agent.
    pub(crate) fn parked(&self, conn: &Connection) -> Result<Arc<HashSet<i64>>, Problem> {
        let agents = self.agents_changed.load(Ordering::Relaxed);
        let queues: u64 = conn
            .prepare_cached("SELECT coalesce(max(id), 0) + count(*) FROM queues WHERE ready > 0")
            .and_then(|mut count| count.query_row([], |row| row.get(0)))
            .map_err(Problem::internal)?;
        let mut last = self.parked.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((of_agents, of_queues, parked)) = &*last
            && (*of_agents, *of_queues) == (agents, queues)
        {
            return Ok(parked.clone());
        }
        let parked = Arc::new(query::parked::parked_queues(conn, &self.defaults)?);
        *last = Some((agents, queues, parked.clone()));
        Ok(parked)
    }
}
