//! Which queues have nobody able to serve them. It changes only when agents do, or a queue is new.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use agentd_schemas::problem::Problem;
use rusqlite::Connection;

use crate::engine::Inner;
use crate::ledger::query;

/// Queues without an able agent, as of a version of the agents and of the queues.
struct Parked {
    agents: u64,
    queues: u64,
    ids: Arc<HashSet<i64>>,
}

/// The last answer, with what it depended on.
#[derive(Default)]
pub struct ParkedCache {
    last: Mutex<Option<Parked>>,
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
        if let Some(known) = &*last
            && (known.agents, known.queues) == (agents, queues)
        {
            return Ok(known.ids.clone());
        }
        let ids = Arc::new(query::parked::parked_queues(conn, &self.defaults)?);
        *last = Some(Parked { agents, queues, ids: ids.clone() });
        Ok(ids)
    }
}
