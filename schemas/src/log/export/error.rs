//! Why an export was refused, and where.

use std::ops::RangeInclusive;

use super::{MAX_BLOB_BYTES, MAX_EVENT_BYTES, MAX_LINE_BYTES};
use crate::log::announced::AnnouncedError;
use crate::log::note::NoteError;
use crate::log::proof::ProofError;
use crate::log::tree::Hash;

/// An export that was refused: the line, the event or events concerned, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportError {
    /// Line number, from 1.
    pub line: u64,
    /// The event that is wrong. More than one where only the root over several tells that one of them is; none where
    /// the line concerns no event.
    pub events: Option<RangeInclusive<u64>>,
    /// What is wrong.
    pub fault: Fault,
}

impl std::fmt::Display for ExportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.events {
            Some(events) if events.start() == events.end() => write!(f, "event {}", events.start()),
            Some(events) => write!(f, "one of the events {} to {}", events.start(), events.end()),
            None => write!(f, "export"),
        }?;
        write!(f, " (line {}): {}", self.line, self.fault)
    }
}

impl std::error::Error for ExportError {}

/// What is wrong with an export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A line longer than [`MAX_LINE_BYTES`].
    #[error("line exceeds the limit of {MAX_LINE_BYTES} bytes")]
    LineTooLong,
    /// The file ends within a line.
    #[error("line does not end in a newline: the export was cut off")]
    NoNewline,
    /// Not a line of the format.
    #[error("line is no line of an export: {why}")]
    Malformed {
        /// What the parser said.
        why: String,
    },
    /// A line of the format, written otherwise than the format writes it.
    #[error("line is not in the one form that an export has (member order, spacing, escapes)")]
    NotCanonical,
    /// A line that may not stand here.
    #[error("a {found} line stands where {expected} is expected")]
    Order {
        /// Kind of the line.
        found: &'static str,
        /// What should be here.
        expected: &'static str,
    },
    /// The header names a key that the caller does not trust.
    #[error("header names the log key {log_key}, which is not among the trusted keys")]
    UntrustedKey {
        /// The key in the header.
        log_key: String,
    },
    /// The key's name is not the origin.
    #[error("log key {name} is not named as the origin {origin}")]
    KeyName {
        /// The key's name.
        name: String,
        /// The header's origin.
        origin: String,
    },
    /// The header says another number than the origin.
    #[error("header says incarnation {incarnation}, which is not that of the origin {origin}")]
    Incarnation {
        /// The header's incarnation.
        incarnation: u64,
        /// The header's origin.
        origin: String,
    },
    /// The header says something else than the event that began the incarnation.
    #[error("the header's `{member}` is not what event {event} announced")]
    Header {
        /// Which member.
        member: &'static str,
        /// The event.
        event: u64,
    },
    /// The beginning of an incarnation does not hold.
    #[error("the beginning of the incarnation: {0}")]
    Announced(#[from] AnnouncedError),
    /// The tree of the header is larger than a tree can be.
    #[error("header speaks of {size} events, beyond the limit")]
    TreeTooLarge {
        /// The header's tree size.
        size: u64,
    },
    /// An event at another position than the next one.
    #[error("line says event {index}, the next event is {expected}")]
    Position {
        /// Index on the line.
        index: u64,
        /// Index that should follow, or the least that could.
        expected: u64,
    },
    /// More events than the tree has.
    #[error("the tree of the header has only {size} events")]
    BeyondTree {
        /// The header's tree size.
        size: u64,
    },
    /// An event longer than [`MAX_EVENT_BYTES`].
    #[error("body of {bytes} bytes exceeds the limit of {MAX_EVENT_BYTES}")]
    EventTooLong {
        /// Length of the body.
        bytes: usize,
    },
    /// The body is not what was hashed.
    #[error("body does not have the leaf hash that the line states")]
    Leaf,
    /// The body is no event.
    #[error("body is no event: {why}")]
    Body {
        /// What the parser said.
        why: String,
    },
    /// An event format that this verifier does not know.
    #[error("body has event format {v}, only 1 is known here: verify with a newer agentctl")]
    EventFormat {
        /// The body's `v`.
        v: u64,
    },
    /// The body says another index than the line.
    #[error("body says that it is event {index}")]
    BodyIndex {
        /// The body's `index`.
        index: u64,
    },
    /// A version of a subject is missing or repeated.
    #[error("{subject} {id} goes from version {last} to {version}")]
    Version {
        /// Subject kind.
        subject: String,
        /// Subject id.
        id: String,
        /// Version before, 0 for none.
        last: u64,
        /// Version here.
        version: u64,
    },
    /// A blob that is not as the event says.
    #[error("blob {slot}: {why}")]
    Blob {
        /// Slot within the event.
        slot: u32,
        /// What is wrong with it.
        why: BlobFault,
    },
    /// The event's inclusion is not proved.
    #[error("inclusion proof: {0}")]
    Proof(ProofError),
    /// The note of a checkpoint is refused.
    #[error("checkpoint: {0}")]
    Note(NoteError),
    /// A checkpoint of another log.
    #[error("checkpoint is of {found}, the export is of {origin}")]
    Origin {
        /// Origin of the checkpoint.
        found: String,
        /// The header's origin.
        origin: String,
    },
    /// A checkpoint line whose size is not the number of events before it.
    #[error("checkpoint of {size} events stands after {after}")]
    CheckpointPlace {
        /// Its size.
        size: u64,
        /// Events before it.
        after: u64,
    },
    /// The events do not make the root of a checkpoint: one was changed, added, removed or moved.
    #[error("the first {size} events have root {root}, which is not that of {by}")]
    Root {
        /// Size of the checkpoint.
        size: u64,
        /// Root over the events, or of the tree in the header of a partial export.
        root: Hash,
        /// Which checkpoint.
        by: &'static str,
    },
    /// The last checkpoint is not that of the header's tree.
    #[error("last checkpoint is of {size} events with root {root}, not of the tree in the header")]
    OtherTree {
        /// Its size.
        size: u64,
        /// Its root.
        root: Hash,
    },
    /// A checkpoint given from outside is ahead of the export.
    #[error(
        "export ends at {size} events, a checkpoint from outside has {outside}: events are missing, or the export is older"
    )]
    Behind {
        /// The header's tree size.
        size: u64,
        /// Size of the checkpoint from outside.
        outside: u64,
    },
    /// A checkpoint given from outside cannot be compared with a partial export.
    #[error("a partial export cannot be compared with a checkpoint of {outside} events: export the whole log")]
    NeedsWhole {
        /// Size of the checkpoint from outside.
        outside: u64,
    },
    /// The bytes are not those that were written.
    #[error("digest on the last line is not that of the lines: the export was damaged")]
    Digest,
    /// There is no last line.
    #[error("export ends before its last checkpoint: it was cut off")]
    CutOff,
}

/// What is wrong with a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlobFault {
    /// The event has no such blob, or its lines are not in the event's order.
    #[error("the event has no blob of that slot here")]
    Slot,
    /// The slots in the event do not rise.
    #[error("the slots of the event do not rise")]
    SlotOrder,
    /// The next line is not this blob.
    #[error("its line is missing")]
    Missing,
    /// Neither content nor a reason for its absence, or both.
    #[error("salt, media type and data are expected, or erased, or withheld")]
    State,
    /// Not canonical base64, or longer than [`MAX_BLOB_BYTES`].
    #[error("data is not canonical base64 of at most {MAX_BLOB_BYTES} bytes")]
    Data,
    /// Another length than in the event.
    #[error("data has another size than the event says")]
    Size,
    /// Another media type than in the event.
    #[error("the media type is not the one in the event")]
    MediaType,
    /// Salt and data are not what the event commits to.
    #[error("salt and data are not what the event commits to")]
    Commitment,
}

/// Failure to verify a file: the export is refused, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The export is refused.
    #[error(transparent)]
    Refused(#[from] ExportError),
    /// A checkpoint from outside is refused before anything is read.
    #[error("checkpoint given from outside is refused")]
    Given(#[source] NoteError),
    /// Reading failed.
    #[error("export could not be read")]
    Io(#[from] std::io::Error),
}
