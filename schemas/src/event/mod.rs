//! Events: the only thing that the ledger is made of.
//!
//! An event is stored once, as the exact bytes of one JSON object, and hashed as those bytes. The envelope says what
//! changed (subject and version), who did it, under which decision, and when; `data` says the rest and depends on
//! `type`. Content never stands in an event: `blobs` holds salted commitments to it. The one free text that does is a
//! `reason`, a short line that people write to be kept.
//!
//! Money is integer micro-USD, durations are milliseconds, times are RFC 3339 in UTC.

pub mod actor;
pub mod body;
pub mod envelope;

pub use actor::Actor;
pub use body::*;
pub use envelope::{Assurance, BlobRef, Decided, Envelope, Event, MAX_EVENT_BYTES, RequestKey, Subject, SubjectKind};
