//! Appending: a draft gets its place, its version, its salts and its leaf, is stored and projected.
//!
//! The [`Appender`] belongs to the one writer and holds the right-hand edge of the tree. Invariant: it is exactly as far
//! as the transaction that it writes into. Who rolls a transaction or a savepoint back rolls the appender back too.

use std::collections::HashMap;

use agentd_schemas::event::envelope::EventError;
use agentd_schemas::event::{
    Actor, Assurance, BlobRef, Decided, Envelope, Event, MAX_EVENT_BYTES, RequestKey, Subject,
};
use agentd_schemas::log::commitment::{Salt, commit};
use agentd_schemas::log::export::MAX_BLOB_BYTES;
use agentd_schemas::log::note::{Checkpoint, NoteError};
use agentd_schemas::log::tree::{Frontier, Hash, leaf_hash};
use ed25519_dalek::SigningKey;
use rusqlite::{Connection, OptionalExtension, params};

use super::blobs::{self, SLOTS};
use super::checkpoint::{self, Head, Moment};
use super::{project, tree};
use crate::domain::{Draft, NewBlob};
use crate::policy::{self, Caller};

/// Why nothing was appended. All but the first two are faults of the daemon, never of a caller.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The event cannot be written; too large, mostly.
    #[error(
        "event {index} cannot be written: {source}; at most {MAX_EVENT_BYTES} bytes fit, put the rest into content"
    )]
    Event {
        /// The place that it would have had.
        index: u64,
        /// What is wrong.
        source: EventError,
    },
    /// A blob larger than an export can carry.
    #[error("content of {bytes} bytes exceeds the limit of {MAX_BLOB_BYTES}; keep it outside and commit to its digest")]
    BlobTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A slot that is taken or beyond the last one.
    #[error("blob slot {slot} of event {index} is taken or above the last one, {}", SLOTS - 1)]
    Slot {
        /// The event.
        index: u64,
        /// The slot.
        slot: u8,
    },
    /// The tables could not follow the event.
    #[error("event {index} ({kind}) cannot be projected: {source}")]
    Project {
        /// The event.
        index: u64,
        /// Its type.
        kind: &'static str,
        /// What the database said.
        source: rusqlite::Error,
    },
    /// The database failed.
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A note could not be made: the origin does not fit one.
    #[error("the checkpoint cannot be signed: {0}")]
    Note(#[from] NoteError),
}

/// What all events of one command share.
#[derive(Debug, Clone, Copy)]
pub struct Writing<'a> {
    /// Who asked.
    pub caller: &'a Caller,
    /// The decision that allowed it; stands in all events but those that are the host's by a rule of its own.
    pub decided: Option<&'a Decided>,
    /// Idempotency key and digest (hex) of the command; stand in the first event.
    pub request: Option<(&'a str, &'a str)>,
    /// When.
    pub moment: Moment,
}

/// The end of the log, ready to take events.
pub struct Appender {
    pub(super) frontier: Frontier,
    pub(super) incarnation: u32,
    pub(super) origin: String,
    pub(super) key: SigningKey,
    pub(super) boot: String,
}

/// A place to come back to.
#[derive(Debug, Clone)]
pub struct Mark(Frontier);

/// Where a subject stands: the index of its first event, and its version.
#[derive(Clone, Copy)]
struct Place {
    key: u64,
    version: u64,
}

/// An event that can be written, with all that is stored for it.
struct Ready {
    event: Event,
    bytes: Vec<u8>,
    blobs: Vec<Salted>,
    /// Index of the subject's first event.
    subject: u64,
}

/// A blob with its row and its salt.
type Salted = (u64, Salt, Vec<u8>);

impl Appender {
    /// The index that the next event gets; events so far.
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Which incarnation of the ledger this is; 1 unless restored.
    pub const fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// Origin of the checkpoints.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Remembers how far the log is. Take one per command.
    pub fn mark(&self) -> Mark {
        Mark(self.frontier.clone())
    }

    /// Goes back to `mark`, because the transaction or savepoint begun there is rolled back.
    pub fn rollback(&mut self, mark: Mark) {
        self.frontier = mark.0;
    }

    /// Appends the events of one command within the transaction `tx`. `salts` gives 32 fresh random bytes a call. After
    /// an error the appender stands where it stood. Of an event or a blob that is too large nothing was written; after
    /// every other error the caller must roll back.
    pub fn append(
        &mut self,
        tx: &Connection,
        drafts: Vec<Draft>,
        writing: &Writing<'_>,
        salts: &mut dyn FnMut() -> [u8; 32],
    ) -> Result<Vec<Event>, AppendError> {
        let mark = self.mark();
        let appended = self.append_all(tx, drafts, writing, salts);
        if appended.is_err() {
            self.rollback(mark);
        }
        appended
    }

    /// Signs a checkpoint over all events so far and makes it the head.
    pub fn checkpoint(&self, tx: &Connection, moment: Moment) -> Result<(), AppendError> {
        let checkpoint =
            Checkpoint { origin: self.origin.clone(), size: self.frontier.size(), root: self.frontier.root() };
        let note = checkpoint.sign(&self.key)?.to_string();
        checkpoint::replace(tx, &Head { size: checkpoint.size, note, moment, boot: self.boot.clone() })?;
        Ok(())
    }

    fn append_all(
        &mut self,
        tx: &Connection,
        drafts: Vec<Draft>,
        writing: &Writing<'_>,
        salts: &mut dyn FnMut() -> [u8; 32],
    ) -> Result<Vec<Event>, AppendError> {
        let ready = self.prepare(tx, drafts, writing, salts)?;
        let mut events = Vec::with_capacity(ready.len());
        for each in ready {
            self.write(tx, &each)?;
            events.push(each.event);
        }
        Ok(events)
    }

    /// Gives every draft its place, its version, its salts and its bytes. Nothing is written yet, so that a command of
    /// which one event is too large leaves no trace.
    fn prepare(
        &self,
        tx: &Connection,
        drafts: Vec<Draft>,
        writing: &Writing<'_>,
        salts: &mut dyn FnMut() -> [u8; 32],
    ) -> Result<Vec<Ready>, AppendError> {
        let mut request = writing.request.map(|(key, digest)| RequestKey {
            key: key.to_owned(),
            digest: digest.to_owned(),
            events: u32::try_from(drafts.len()).unwrap_or(u32::MAX),
        });
        let mut ready = Vec::with_capacity(drafts.len());
        let mut places: HashMap<Subject, Place> = HashMap::new();
        for (index, mut draft) in (self.frontier.size()..).zip(drafts) {
            let before = match places.get(&draft.subject) {
                Some(place) => Some(*place),
                None => find(tx, &draft.subject)?,
            };
            let place = before.map_or(Place { key: index, version: 1 }, |p| Place { version: p.version + 1, ..p });
            places.insert(draft.subject.clone(), place);
            let (references, blobs) = salted(index, std::mem::take(&mut draft.blobs), salts)?;
            let event = self.event(draft, index, place.version, references, writing, request.take());
            let bytes = event.to_bytes().map_err(|source| AppendError::Event { index, source })?;
            ready.push(Ready { event, bytes, blobs, subject: place.key });
        }
        Ok(ready)
    }

    fn event(
        &self,
        draft: Draft,
        index: u64,
        version: u64,
        blobs: Vec<BlobRef>,
        writing: &Writing<'_>,
        request: Option<RequestKey>,
    ) -> Event {
        // What a rule of the daemon adds to a command was not decided by what allowed the command.
        let decided = if draft.actor == Some(Actor::Host) { Some(policy::by_host()) } else { writing.decided };
        let actor = draft.actor.unwrap_or_else(|| writing.caller.actor.clone());
        let assurance = if actor == Actor::Host { Assurance::Internal } else { writing.caller.assurance };
        let envelope = Envelope {
            index,
            subject: draft.subject,
            version,
            time: writing.moment.wall,
            boot: self.boot.clone(),
            boot_ms: writing.moment.boot_ms,
            actor,
            on_behalf: draft.on_behalf,
            assurance,
            run: draft.run,
            epoch: draft.epoch,
            decided: decided.cloned(),
            request,
            cause: draft.cause,
            blobs,
        };
        Event { envelope, data: draft.data }
    }

    /// Stores the blobs, the event and its leaf, and lets the tables follow.
    fn write(&mut self, tx: &Connection, ready: &Ready) -> Result<(), AppendError> {
        let index = ready.event.envelope.index;
        for (id, salt, bytes) in &ready.blobs {
            blobs::insert(tx, *id, salt, bytes)?;
        }
        let leaf = leaf_hash(&ready.bytes);
        let body = std::str::from_utf8(&ready.bytes).map_err(rusqlite::Error::from)?;
        let sql = "INSERT INTO events (idx, subject, version, leaf, body) VALUES (?1, ?2, ?3, ?4, ?5)";
        tx.prepare_cached(sql)?.execute(params![index, ready.subject, ready.event.envelope.version, leaf.0, body])?;
        self.push(tx, leaf)?;
        let kind = ready.event.data.type_name();
        project::project(tx, &ready.event).map_err(|source| AppendError::Project { index, kind, source })
    }

    fn push(&mut self, tx: &Connection, leaf: Hash) -> rusqlite::Result<()> {
        let mut stored = Ok(());
        self.frontier.push_with(leaf, &mut |level, index, hash| {
            if level >= tree::STORED_LEVEL && stored.is_ok() {
                stored = tree::store(tx, level, index, &hash);
            }
        });
        stored
    }
}

/// Salts the blobs of the event at `index`; the references come in the order of their slots.
fn salted(
    index: u64,
    mut new: Vec<NewBlob>,
    salts: &mut dyn FnMut() -> [u8; 32],
) -> Result<(Vec<BlobRef>, Vec<Salted>), AppendError> {
    new.sort_by_key(|blob| blob.slot);
    let mut least = 0;
    let mut references = Vec::with_capacity(new.len());
    let mut blobs = Vec::with_capacity(new.len());
    for NewBlob { slot, media_type, bytes } in new {
        if slot < least || slot >= SLOTS {
            return Err(AppendError::Slot { index, slot });
        }
        if bytes.len() > MAX_BLOB_BYTES {
            return Err(AppendError::BlobTooLarge { bytes: bytes.len() });
        }
        least = slot + 1;
        let salt = Salt(salts());
        references.push(BlobRef {
            slot,
            commitment: commit(&salt, &bytes),
            size: bytes.len() as u64,
            media_type: media_type.to_owned(),
        });
        blobs.push((blobs::id(index, slot), salt, bytes));
    }
    Ok((references, blobs))
}

/// Where a subject stands; `None` before its first event.
fn find(tx: &Connection, subject: &Subject) -> rusqlite::Result<Option<Place>> {
    let place = |row: &rusqlite::Row<'_>| Ok(Place { key: row.get(0)?, version: row.get(1)? });
    match subject {
        Subject::Work(id) => {
            tx.prepare_cached("SELECT key, version FROM works WHERE id = ?1")?.query_row([id.as_bytes()], place)
        }
        Subject::Agent(name) => {
            tx.prepare_cached("SELECT key, version FROM agents WHERE name = ?1")?.query_row([name.as_str()], place)
        }
        Subject::Schedule(id) => {
            tx.prepare_cached("SELECT key, version FROM schedules WHERE id = ?1")?.query_row([id.as_bytes()], place)
        }
        Subject::Objective(_) | Subject::Account(_) | Subject::Host => tx
            .prepare_cached("SELECT key, version FROM subjects WHERE kind = ?1 AND id = ?2")?
            .query_row(params![subject.kind().as_str(), subject.id()], place),
    }
    .optional()
}

#[cfg(test)]
mod tests;
