//! Beginnings: of a new log, of a daemon on an existing one, and of a new incarnation after a restore.
//!
//! An incarnation is begun by an event that announces origin and log key; `meta` holds that event's index, and the mark
//! that a restore leaves. Tree and indexes go on through all incarnations.

use agentd_schemas::event::envelope::EventError;
use agentd_schemas::event::{Event, EventData, IncarnationStarted, LogStarted, Subject};
pub use agentd_schemas::log::announced::{Announced, origin};
use agentd_schemas::log::note::{Checkpoint, NoteError, SignedNote, VerifierKey};
use agentd_schemas::log::tree::Frontier;
use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::append::{AppendError, Appender, Writing};
use super::checkpoint::{self, Moment};
use super::tree::{self, TreeError};
use crate::domain::Draft;
use crate::policy::{self, Caller};

/// Key in `meta`: index of the event that began the current incarnation.
const STARTED: &str = "started";
/// Key in `meta`: the database was restored and waits for its new incarnation.
const RESTORED: &str = "restored";
/// Key in `meta`: the secret that keys the digests of requests. A backup has it, an export has not.
const REQUEST_KEY: &str = "request_key";

/// Why the log cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The database failed.
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// What is stored does not hold together.
    #[error("the ledger is damaged: {what}; verify it to find every fault, then restore a backup")]
    Corrupt {
        /// What differs from what.
        what: String,
    },
    /// The log key on disk is another one.
    #[error(
        "the log of {origin} was begun with the log key {announced}, the key at hand is {found}; bring back the key, or \
         restore a backup, which begins a new incarnation with a new key"
    )]
    OtherKey {
        /// The origin.
        origin: String,
        /// The key that the log announces.
        announced: String,
        /// The key at hand.
        found: String,
    },
}

/// Public keys of the host and what binds them to it, for the event that announces them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKeys {
    /// `ssh-ed25519 …`.
    pub authority_key: String,
    /// `ssh-ed25519 …`.
    pub issuer_key: String,
    /// Signatures (base64) of the authority over issuer and log key.
    pub key_certificates: Vec<String>,
    /// Version of agentd.
    pub agentd: String,
}

/// What a database turns out to be.
#[allow(clippy::large_enum_variant, reason = "there is one in a process, and it is taken apart at once")]
pub enum Opened {
    /// No event yet: call [`Appender::start`].
    Empty,
    /// The log goes on.
    Running(Appender),
    /// A restored backup: call [`Restored::start`].
    Restored(Box<Restored>),
}

/// A restored backup before its new incarnation begins.
pub struct Restored {
    appender: Appender,
    previous: Checkpoint,
    reason: String,
}

/// The mark of a restore.
#[derive(Debug, Serialize, Deserialize)]
struct RestoreMark {
    incarnation: u32,
    reason: String,
}

impl Appender {
    /// Finds the end of the log and checks it against the signed head. `key` signs checkpoints, `boot` is the id of the
    /// running kernel (32 hex).
    pub fn open(connection: &Connection, key: &SigningKey, boot: &str) -> Result<Opened, LogError> {
        let Some((announced, frontier)) = recover(connection)? else {
            return Ok(Opened::Empty);
        };
        let appender = |incarnation, origin, frontier| Self {
            frontier,
            incarnation,
            origin,
            key: key.clone(),
            boot: boot.to_owned(),
        };
        if let Some(mark) = restore_mark(connection)? {
            let previous = Checkpoint { origin: announced.origin, size: frontier.size(), root: frontier.root() };
            let origin = origin_of(&previous.origin, mark.incarnation);
            let appender = appender(mark.incarnation, origin, frontier);
            return Ok(Opened::Restored(Box::new(Restored { appender, previous, reason: mark.reason })));
        }
        if *announced.log_key.key() != key.verifying_key() {
            return Err(LogError::OtherKey {
                found: verifier(&announced.origin, key).map_or_else(|e| e.to_string(), |key| key.to_string()),
                announced: announced.log_key.to_string(),
                origin: announced.origin,
            });
        }
        Ok(Opened::Running(appender(announced.incarnation, announced.origin, frontier)))
    }

    /// Begins a new log in an empty database, within `tx`: the first event and the first checkpoint.
    pub fn start(
        tx: &Connection,
        trust_domain: &str,
        keys: HostKeys,
        key: &SigningKey,
        boot: &str,
        moment: Moment,
    ) -> Result<(Self, Event), AppendError> {
        let origin = origin(trust_domain, 1);
        let data = LogStarted {
            log_key: verifier(&origin, key)?.to_string(),
            origin: origin.clone(),
            incarnation: 1,
            trust_domain: trust_domain.to_owned(),
            authority_key: keys.authority_key,
            issuer_key: keys.issuer_key,
            key_certificates: keys.key_certificates,
            request_key: bound(&request_key(tx)?),
            agentd: keys.agentd,
        };
        let frontier = Frontier::new();
        let mut appender = Self { frontier, incarnation: 1, origin, key: key.clone(), boot: boot.to_owned() };
        let event = appender.announce(tx, data.into(), moment)?;
        Ok((appender, event))
    }

    /// Writes the event that begins an incarnation, and its first checkpoint.
    fn announce(&mut self, tx: &Connection, data: EventData, moment: Moment) -> Result<Event, AppendError> {
        let caller = Caller::host();
        let writing = Writing { caller: &caller, decided: Some(policy::by_host()), request: None, moment };
        let index = self.size();
        let draft = Draft::new(Subject::Host, data);
        let mut events = self.append(tx, vec![draft], &writing, &mut || [0; 32])?;
        let sql = "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)";
        tx.execute(sql, (STARTED, index.to_string()))?;
        tx.execute("DELETE FROM meta WHERE key = ?1", [RESTORED])?;
        self.checkpoint(tx, moment)?;
        events.pop().ok_or_else(|| rusqlite::Error::QueryReturnedNoRows.into())
    }
}

impl Restored {
    /// The number of the new incarnation.
    pub const fn incarnation(&self) -> u32 {
        self.appender.incarnation
    }

    /// The origin of the new incarnation.
    pub fn origin(&self) -> &str {
        &self.appender.origin
    }

    /// Where the incarnation before ended.
    pub const fn previous(&self) -> &Checkpoint {
        &self.previous
    }

    /// Begins the new incarnation within `tx`: its first event and its first checkpoint.
    pub fn start(self, tx: &Connection, keys: HostKeys, moment: Moment) -> Result<(Appender, Event), AppendError> {
        let Self { mut appender, previous, reason } = self;
        let data = IncarnationStarted {
            origin: appender.origin.clone(),
            incarnation: appender.incarnation,
            previous_origin: previous.origin,
            previous_size: previous.size,
            previous_root: BASE64.encode(&previous.root.0),
            authority_key: keys.authority_key,
            issuer_key: keys.issuer_key,
            log_key: verifier(&appender.origin, &appender.key)?.to_string(),
            key_certificates: keys.key_certificates,
            request_key: bound(&request_key(tx)?),
            reason,
            agentd: keys.agentd,
        };
        let event = appender.announce(tx, data.into(), moment)?;
        Ok((appender, event))
    }
}

/// The current incarnation, as the log announces it; `None` in a database without events.
pub fn current(connection: &Connection) -> Result<Option<Announced>, LogError> {
    let Some(index) = meta(connection, STARTED)? else {
        return Ok(None);
    };
    let corrupt = |what: String| LogError::Corrupt { what };
    let number = index.parse::<u64>().ok().filter(|number| number.to_string() == index);
    let index = number.ok_or_else(|| corrupt(format!("meta says that event {index:?} began it")))?;
    let body: Option<String> = connection
        .prepare_cached("SELECT body FROM events WHERE idx = ?1")?
        .query_row([index], |row| row.get(0))
        .optional()?;
    let body = body.ok_or_else(|| corrupt(format!("event {index}, which began the incarnation, is missing")))?;
    let event = Event::from_bytes(body.as_bytes())
        .map_err(|error: EventError| corrupt(format!("event {index}, which began the incarnation: {error}")))?;
    let announced = Announced::read(&event).map_err(|why| corrupt(format!("event {index}: {why}")))?;
    announced.map(Some).ok_or_else(|| corrupt(format!("event {index} began no incarnation, and meta says that it did")))
}

/// Marks a copy of a backup, so that opening it begins incarnation `incarnation`.
pub(super) fn mark_restored(tx: &Connection, incarnation: u32, reason: &str) -> rusqlite::Result<()> {
    let mark = RestoreMark { incarnation, reason: reason.to_owned() };
    let mark = serde_json::to_string(&mark).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    tx.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", (RESTORED, mark)).map(drop)
}

/// The keys in `meta` that are kept beside the log; all others are projected from it.
pub(super) const KEPT: [&str; 3] = [STARTED, RESTORED, REQUEST_KEY];

/// Removes from `meta` what is projected.
pub(super) fn forget_projected(tx: &Connection) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM meta WHERE key NOT IN (?1, ?2, ?3)", KEPT).map(drop)
}

/// Checks the end of the log against its signed head. Gives the number of events; `None` when there are none.
pub(super) fn check_end(connection: &Connection) -> Result<Option<u64>, LogError> {
    Ok(recover(connection)?.map(|(_, frontier)| frontier.size()))
}

/// The end of the log, compared with its signed head.
fn recover(connection: &Connection) -> Result<Option<(Announced, Frontier)>, LogError> {
    let corrupt = |what: String| LogError::Corrupt { what };
    let last: Option<u64> = connection.query_row("SELECT max(idx) FROM events", [], |row| row.get(0))?;
    let (head, announced) = (checkpoint::head(connection)?, current(connection)?);
    let (last, head, announced) = match (last, head, announced) {
        (None, None, None) => return Ok(None),
        (Some(last), Some(head), Some(announced)) => (last, head, announced),
        (last, head, announced) => {
            let is = |there: bool| if there { "there" } else { "missing" };
            return Err(corrupt(format!(
                "events are {}, the head is {}, the beginning of the incarnation is {}",
                is(last.is_some()),
                is(head.is_some()),
                is(announced.is_some())
            )));
        }
    };
    if head.size != last + 1 {
        return Err(corrupt(format!("the head covers {} events, the last event is {last}", head.size)));
    }
    let frontier = tree::frontier(connection, head.size).map_err(|error| match error {
        TreeError::Sqlite(error) => LogError::Sqlite(error),
        other => corrupt(other.to_string()),
    })?;
    let checkpoint = SignedNote::parse(&head.note)
        .and_then(|note| Checkpoint::open(&note, std::slice::from_ref(&announced.log_key)))
        .map_err(|error| corrupt(format!("the head: {error}")))?;
    if (checkpoint.size, checkpoint.root) != (head.size, frontier.root()) {
        return Err(corrupt(format!(
            "the head is of {} events with root {}, the {} stored events have root {}",
            checkpoint.size,
            checkpoint.root,
            head.size,
            frontier.root()
        )));
    }
    Ok(Some((announced, frontier)))
}

/// The secret that keys the digests of requests.
pub fn request_key(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("SELECT value FROM meta WHERE key = ?1", [REQUEST_KEY], |row| row.get(0))
}

/// What the first event of an incarnation says of that secret: enough to find another in its place, and nothing that
/// helps to guess a digest. The text before it keeps it from being the start of such a digest.
pub(super) fn bound(request_key: &str) -> String {
    let digest = Sha256::new().chain_update("agentd-request-key-v1\n").chain_update(request_key).finalize();
    data_encoding::HEXLOWER.encode(&digest)
}

/// Number and reason of the incarnation that a restored backup waits for.
pub(super) fn awaited(connection: &Connection) -> Result<Option<(u32, String)>, LogError> {
    Ok(restore_mark(connection)?.map(|mark| (mark.incarnation, mark.reason)))
}

/// Whether the database is a restored backup that waits for its new incarnation.
pub fn is_restored(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(meta(connection, RESTORED)?.is_some())
}

fn restore_mark(connection: &Connection) -> Result<Option<RestoreMark>, LogError> {
    let Some(mark) = meta(connection, RESTORED)? else {
        return Ok(None);
    };
    let corrupt = |error: serde_json::Error| LogError::Corrupt { what: format!("the mark of the restore: {error}") };
    serde_json::from_str(&mark).map(Some).map_err(corrupt)
}

fn meta(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT value FROM meta WHERE key = ?1";
    connection.prepare_cached(sql)?.query_row([key], |row| row.get(0)).optional()
}

/// The origin of a later incarnation of the same log.
pub(super) fn origin_of(previous: &str, incarnation: u32) -> String {
    origin(previous.rsplit_once("/log/").map_or(previous, |(trust_domain, _)| trust_domain), incarnation)
}

fn verifier(origin: &str, key: &SigningKey) -> Result<VerifierKey, NoteError> {
    VerifierKey::new(origin, key.verifying_key())
}
