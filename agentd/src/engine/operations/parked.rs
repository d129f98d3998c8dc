//! Which queues have nobody able to serve them. It changes when agents do, when their results are judged, and when a
//! queue gets its first ready work or loses its last.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use agentd_schemas::problem::Problem;
use rusqlite::Connection;

use crate::engine::Inner;
use crate::ledger::query;

/// Queues without an able agent, as of a version of the agents and for these queues with ready works.
struct Parked {
    agents: u64,
    ready: Vec<i64>,
    ids: Arc<HashSet<i64>>,
}

/// The last answer, with what it depended on.
#[derive(Default)]
pub struct ParkedCache {
    last: Mutex<Option<Parked>>,
}

impl Inner {
    /// Queues without an able agent. To be asked first on a connection: the version of the agents must not be newer than
    /// the snapshot.
    pub(crate) fn parked(&self, conn: &Connection) -> Result<Arc<HashSet<i64>>, Problem> {
        let agents = self.agents_changed.load(Ordering::Relaxed);
        let ready = query::parked::ready_queues(conn)?;
        let mut last = self.parked.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = &*last
            && known.agents == agents
            && known.ready == ready
        {
            return Ok(known.ids.clone());
        }
        let ids = Arc::new(query::parked::parked_queues(conn, &self.defaults.get())?);
        *last = Some(Parked { agents, ready, ids: ids.clone() });
        Ok(ids)
    }
}

#[cfg(test)]
mod tests;
