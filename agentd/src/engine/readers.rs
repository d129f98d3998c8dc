//! Read-only connections. Short queries run where they are asked; long ones (exports, backups) open their own.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use agentd_schemas::problem::Problem;
use rusqlite::Connection;

use crate::ledger::open::{OpenError, open_reader};

/// Connections for short queries.
pub(super) const READERS: usize = 2;

/// A small pool.
pub(crate) struct Readers {
    connections: Vec<Mutex<Connection>>,
    next: AtomicUsize,
}

impl Readers {
    /// Opens the pool.
    pub(crate) fn open(database: &Path) -> Result<Self, OpenError> {
        let connections = (0..READERS).map(|_| open_reader(database).map(Mutex::new)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { connections, next: AtomicUsize::new(0) })
    }

    /// Runs a query on one snapshot.
    pub(crate) fn with<T>(&self, query: impl FnOnce(&Connection) -> Result<T, Problem>) -> Result<T, Problem> {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let conn = match self.connections[place].try_lock() {
            Ok(conn) => conn,
            Err(_) => self.connections[(place + 1) % self.connections.len()]
                .lock()
                .map_err(|_| Problem::internal("a reader was poisoned"))?,
        };
        conn.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(Problem::internal)?;
        let answer = query(&conn);
        conn.prepare_cached("COMMIT").and_then(|mut end| end.execute([])).map_err(Problem::internal)?;
        answer
    }
}
