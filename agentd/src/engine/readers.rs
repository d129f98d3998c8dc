//! Read-only connections. Short queries run where they are asked; long ones (exports, backups) open their own, and there
//! are few at a time, because each keeps a snapshot and a thread.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use agentd_schemas::problem::{Code, Problem};
use rusqlite::Connection;

use crate::ledger::open::{OpenError, open_reader};

/// Connections for short queries.
pub(super) const READERS: usize = 2;

/// Exports and backups of one uid at a time, at most.
pub(crate) const LONG_OF_ONE: usize = 2;
/// Exports and backups at a time, at most.
pub(crate) const LONG: usize = 16;

/// How many exports and backups of each uid are under way.
#[derive(Default)]
struct UnderWay(Mutex<HashMap<u32, usize>>);

impl UnderWay {
    fn with<T>(&self, change: impl FnOnce(&mut HashMap<u32, usize>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A place for an export or a backup; free again when it is dropped.
pub(crate) struct LongRead {
    uid: u32,
    under_way: Arc<UnderWay>,
}

impl Drop for LongRead {
    fn drop(&mut self) {
        self.under_way.with(|under_way| match under_way.get_mut(&self.uid) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(under_way.remove(&self.uid)),
        });
    }
}

/// A small pool.
pub(crate) struct Readers {
    under_way: Arc<UnderWay>,
    /// Uploads have places of their own: who waits for a client keeps no backup waiting.
    uploads: Arc<UnderWay>,
    connections: Vec<Mutex<Connection>>,
    next: AtomicUsize,
}

impl Readers {
    /// Opens the pool.
    pub(crate) fn open(database: &Path) -> Result<Self, OpenError> {
        let connections = (0..READERS).map(|_| open_reader(database).map(Mutex::new)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { under_way: Arc::default(), uploads: Arc::default(), connections, next: AtomicUsize::new(0) })
    }

    /// A place for an export or a backup of a uid.
    pub(crate) fn long(&self, uid: u32) -> Result<LongRead, Problem> {
        Self::place(
            &self.under_way,
            uid,
            "exports and backups",
            "wait until one has ended, or end the program that reads it",
        )
    }

    /// A place for an upload of a uid.
    pub(crate) fn upload(&self, uid: u32) -> Result<LongRead, Problem> {
        Self::place(&self.uploads, uid, "uploads", "submit again when one of them has ended")
    }

    fn place(places: &Arc<UnderWay>, uid: u32, what: &str, hint: &str) -> Result<LongRead, Problem> {
        places.with(|under_way| {
            let own = under_way.get(&uid).copied().unwrap_or(0);
            let message = if own >= LONG_OF_ONE {
                format!("{own} {what} of uid {uid} are under way, at most {LONG_OF_ONE} may be")
            } else if under_way.values().sum::<usize>() >= LONG {
                format!("{LONG} {what} are under way, more may not be")
            } else {
                under_way.insert(uid, own + 1);
                return Ok(LongRead { uid, under_way: places.clone() });
            };
            Err(Problem::new(Code::Busy, message).hint(hint))
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_reads_are_few_for_one_and_few_for_all() {
        let readers = Readers {
            under_way: Arc::default(),
            uploads: Arc::default(),
            connections: Vec::new(),
            next: AtomicUsize::new(0),
        };
        let refused = |uid| readers.long(uid).map(drop).unwrap_err().code;
        let own: Vec<LongRead> = (0..LONG_OF_ONE).map(|_| readers.long(1000).unwrap()).collect();
        assert_eq!(refused(1000), Code::Busy);
        readers.upload(1000).unwrap();
        let others: Vec<LongRead> = (1..).take(LONG - LONG_OF_ONE).map(|uid| readers.long(uid).unwrap()).collect();
        assert_eq!(refused(70), Code::Busy);
        drop(own);
        readers.long(1000).unwrap();
        drop(others);
        assert!(readers.under_way.with(|under_way| under_way.is_empty()));
    }
}
