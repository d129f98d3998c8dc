//! A ledger in memory that is told what happened: what the tests of projections and of loading stand on.

use std::collections::HashMap;

use agentd_schemas::event::{Actor, Assurance, Envelope, Event, EventData, Subject};
use agentd_schemas::unit::time::WallMs;
use rusqlite::{Connection, params};

/// Wall time of the first event; each later one comes a second after the one before.
pub(in crate::ledger) const START_MS: i64 = 1_795_334_400_000;

/// The tables, and what the next event needs.
pub(in crate::ledger) struct Told {
    pub(in crate::ledger) db: Connection,
    next: u64,
    subjects: HashMap<Subject, (u64, u64)>,
}

impl Told {
    pub(in crate::ledger) fn new() -> Self {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(&crate::ledger::open::MIGRATIONS.concat()).unwrap();
        Self { db, next: 0, subjects: HashMap::new() }
    }

    /// Writes the event and projects it; gives its index.
    pub(in crate::ledger) fn tell(&mut self, subject: Subject, data: impl Into<EventData>) -> u64 {
        self.hear(subject, data).unwrap()
    }

    /// Writes the event and projects it. What fails leaves nothing behind.
    pub(in crate::ledger) fn hear(&mut self, subject: Subject, data: impl Into<EventData>) -> rusqlite::Result<u64> {
        let index = self.next;
        let (first, version) = self.subjects.get(&subject).map_or((index, 1), |(first, last)| (*first, last + 1));
        let event = Event { envelope: envelope(index, subject.clone(), version), data: data.into() };
        let body = String::from_utf8(event.to_bytes().unwrap()).unwrap();
        let sql = "INSERT INTO events (idx, subject, version, leaf, body) VALUES (?1, ?2, ?3, zeroblob(32), ?4)";
        let tx = self.db.transaction()?;
        tx.execute(sql, params![index, first, version, body])?;
        super::project(&tx, &event)?;
        tx.commit()?;
        self.subjects.insert(subject, (first, version));
        self.next += 1;
        Ok(index)
    }

    /// Stores content of the next event.
    pub(in crate::ledger) fn content(&self, slot: u8, data: &[u8]) {
        let sql = "INSERT INTO blobs (id, salt, data) VALUES (?1 * 16 + ?2, zeroblob(32), ?3)";
        self.db.execute(sql, params![self.next, slot, data]).unwrap();
    }

    /// A work as its submit leaves it, in this state, with these labels.
    pub(in crate::ledger) fn work(&self, key: i64, id: [u8; 10], state: i64, labels: &[&str]) {
        let sql = "INSERT INTO works (key, id, version, state, owner, queue, priority, latest_start, max_attempts,
                       changed, changed_by) VALUES (?1, ?2, 1, ?3, 1000, 0, 0, 0, 2, 0, 0)";
        self.db.execute(sql, params![key, id, state]).unwrap();
        for label in labels {
            self.db.execute("INSERT INTO labels (label, work) VALUES (?1, ?2)", params![label, key]).unwrap();
        }
    }

    /// Every row of a query: its columns as SQL literals, with a comma between them.
    pub(in crate::ledger) fn rows(&self, sql: &str) -> Vec<String> {
        let mut statement = self.db.prepare(sql).unwrap();
        let columns = statement.column_count();
        let text = |row: &rusqlite::Row<'_>| {
            let values = (0..columns).map(|n| row.get_ref(n).map(literal)).collect::<rusqlite::Result<Vec<_>>>();
            values.map(|values| values.join(", "))
        };
        statement.query_map([], text).unwrap().map(Result::unwrap).collect()
    }
}

/// The wall time of an event.
pub(in crate::ledger) fn time_of(index: u64) -> WallMs {
    WallMs::saturating(START_MS.saturating_add_unsigned(index * 1000))
}

fn envelope(index: u64, subject: Subject, version: u64) -> Envelope {
    Envelope {
        index,
        subject,
        version,
        time: time_of(index),
        boot: "0".repeat(32),
        boot_ms: index,
        actor: Actor::Uid(1000),
        on_behalf: None,
        assurance: Assurance::Session,
        run: None,
        epoch: None,
        decided: None,
        request: None,
        cause: None,
        blobs: Vec::new(),
    }
}

fn literal(value: rusqlite::types::ValueRef<'_>) -> String {
    use rusqlite::types::ValueRef;
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(n) => n.to_string(),
        ValueRef::Real(n) => n.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => format!("x'{}'", data_encoding::HEXLOWER.encode(bytes)),
    }
}
