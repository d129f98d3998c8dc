//! What verification can find, and where.

use agentd_schemas::event::MAX_EVENT_BYTES;
use agentd_schemas::log::note::NoteError;
use agentd_schemas::log::tree::Hash;

use crate::ledger::open::OpenError;

/// The first fault of a ledger: the event concerned, where one is, and what is wrong.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database failed outside the reading of events.
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// One event.
    #[error("event {index}: {fault}")]
    Event {
        /// Its index.
        index: u64,
        /// What is wrong with it.
        fault: EventFault,
    },
    /// One of several events: leaf hashes fit their events and do not lead to a signed root.
    #[error("one of the events {first} to {last} was changed with its leaf hash, or the nodes above: {fault}")]
    Events {
        /// The first that it can be.
        first: u64,
        /// The last that it can be.
        last: u64,
        /// The checkpoint that shows it.
        fault: CheckpointFault,
    },
    /// A stored node, while the events agree with the signed head.
    #[error(
        "node {index} of level {level}, over the events {first} to {last}: {why}; the events agree with the signed head"
    )]
    Node {
        /// Its level.
        level: u8,
        /// Its place in the level.
        index: u64,
        /// The first event below it.
        first: u64,
        /// The last event below it.
        last: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The newest checkpoint.
    #[error("the head: {0}")]
    Head(CheckpointFault),
    /// A checkpoint that was kept.
    #[error("the kept checkpoint of {size} events: {fault}")]
    Kept {
        /// The row.
        size: u64,
        /// What is wrong with it.
        fault: CheckpointFault,
    },
    /// A checkpoint from outside: what it shows is wrong with the log.
    #[error("the given checkpoint {place}: {fault}")]
    Given {
        /// Its place among those given, from 1.
        place: usize,
        /// What it shows.
        fault: CheckpointFault,
    },
    /// A table that does not follow from the events.
    #[error("table {table}, row {row}{}: {why}; rebuild the tables", about(*event))]
    Table {
        /// The table.
        table: String,
        /// Its primary key.
        row: String,
        /// An event that the row is about.
        event: Option<u64>,
        /// What differs.
        why: String,
    },
    /// Content that is not what its event commits to.
    #[error("event {event}, blob {slot}: {fault}")]
    Blob {
        /// The event.
        event: u64,
        /// The slot.
        slot: u64,
        /// What is wrong with it.
        fault: BlobFault,
    },
    /// Tables, indexes or triggers are not those of agentd.
    #[error("{what} in the database is not as agentd makes it")]
    Schema {
        /// What differs.
        what: String,
    },
    /// Pages or indexes of the file are damaged.
    #[error("the database file is damaged: {what}")]
    File {
        /// What the database found.
        what: String,
    },
}

fn about(event: Option<u64>) -> String {
    event.map(|event| format!(" (event {event})")).unwrap_or_default()
}

/// What is wrong with one event.
#[derive(Debug, thiserror::Error)]
pub enum EventFault {
    /// It is not there.
    #[error("it is missing")]
    Missing,
    /// It is there and no checkpoint covers it.
    #[error("no checkpoint covers it: it was added after the head was signed, or the head is an older one")]
    BeyondHead,
    /// The file is damaged there.
    #[error("it cannot be read: {0}")]
    Unreadable(rusqlite::Error),
    /// Body or leaf hash was changed.
    #[error("its bytes do not give its leaf hash")]
    Leaf,
    /// Not an event.
    #[error("it is no event: {0}")]
    Body(String),
    /// Longer than an event can be.
    #[error("it has {0} bytes, at most {MAX_EVENT_BYTES} are possible")]
    TooLong(usize),
    /// The bytes of another event.
    #[error("its bytes say that it is event {0}")]
    Index(u64),
    /// A column beside the body.
    #[error("column {column} says {found}, its bytes say {expected}")]
    Column {
        /// Which column.
        column: &'static str,
        /// What it says.
        found: u64,
        /// What it must say.
        expected: u64,
    },
    /// An event of its subject is missing or repeated.
    #[error("its subject goes from version {last} to version {version}")]
    Version {
        /// Version before; 0 for none.
        last: u64,
        /// Version here.
        version: u64,
    },
    /// The beginning of an incarnation that does not fit.
    #[error("as the beginning of an incarnation: {0}")]
    Incarnation(String),
    /// The projections cannot follow it.
    #[error("it cannot be projected: {0}")]
    Project(rusqlite::Error),
    /// The signed statement of a result.
    #[error("its signed statement: {0}")]
    Statement(String),
    /// The certificate of an owner.
    #[error("its certificate: {0}")]
    Certificate(String),
    /// The proof that somebody held a new key.
    #[error("its proof of possession: {0}")]
    Possession(String),
}

/// What is wrong with a checkpoint, or what it shows.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointFault {
    /// There is none, though there are events.
    #[error("it is missing")]
    Missing,
    /// The note is malformed or not signed by the log.
    #[error("{0}")]
    Note(#[from] NoteError),
    /// The row and the note differ.
    #[error("its row says {row} events, its note {note}")]
    Size {
        /// The row.
        row: u64,
        /// The note.
        note: u64,
    },
    /// The moment beside the note, which recovery compares clocks with, is not that of the last event.
    #[error("its row has another moment than event {event}")]
    Moment {
        /// The last event.
        event: u64,
    },
    /// Not a name that this log ever had.
    #[error("it is of {origin}, which this log never was")]
    Origin {
        /// The origin.
        origin: String,
    },
    /// It covers events that its incarnation did not write.
    #[error("{origin} signed {size} events, but wrote only the events {first} to {last}")]
    Incarnation {
        /// The origin.
        origin: String,
        /// Events that it covers.
        size: u64,
        /// First event of the incarnation.
        first: u64,
        /// Last event of the incarnation.
        last: u64,
    },
    /// A restore lost what the incarnation wrote after the backup.
    #[error("{origin} had {size} events when its log was restored from a backup of {kept}: the rest was lost")]
    LostByRestore {
        /// The origin before the restore.
        origin: String,
        /// Events that the checkpoint covers.
        size: u64,
        /// Events of the backup.
        kept: u64,
    },
    /// The log is shorter than it once was.
    #[error("it covers {size} events, the log has {stored}: events are missing, or this is an older copy")]
    Behind {
        /// Events that it covers.
        size: u64,
        /// Events stored.
        stored: u64,
    },
    /// The events are others.
    #[error("it has root {signed} over {size} events, the stored events have root {stored}")]
    Root {
        /// Events that it covers.
        size: u64,
        /// Its root.
        signed: Hash,
        /// The root of what is stored.
        stored: Hash,
    },
}

/// What is wrong with a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlobFault {
    /// The event commits to it, and there is no row.
    #[error("it is missing")]
    Missing,
    /// No event commits to it.
    #[error("no event commits to it")]
    Extra,
    /// Salt and content are not what the event commits to.
    #[error("salt and content are not what the event commits to")]
    Commitment,
    /// It was erased, and no event says so.
    #[error("it was erased, and no event says so")]
    Erased,
    /// An event says that it was erased.
    #[error("an event says that it was erased, and it is still here")]
    NotErased,
}
