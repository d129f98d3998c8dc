//! Exports: the log, or one reader's part of it, as JSON Lines that anybody can verify with the log's key.
//!
//! ```text
//! header                                    first line
//! event, [proof], blob …                    for each event: its proof in a partial export, then a blob line for each slot
//! checkpoint                                in a whole export, older ones, each right after the last event it covers
//! checkpoint with digest                    last line
//! ```
//!
//! A **whole** export has every event from 0 on, and the tree is computed again. A **partial** one has some, each with
//! its inclusion proof. What the checkpoint does not sign (`exported_at`, cosignatures of witnesses) is held together
//! by the digest on the last line, which shows damage, not forgery.
//!
//! Invariant: an export has one byte form. Every line is JSON in the order and spelling that serialising gives, so no
//! two readers can take different things from the same bytes, and no byte can change unseen. Verification holds one
//! event at a time; only the map of the latest version of each subject grows.

mod error;
mod line;
mod progress;
mod verify;
mod versions;
mod write;

pub use error::{BlobFault, ExportError, Fault, ReadError};
pub use line::{BlobLine, BlobState, CheckpointLine, EventLine, ExportLine, Format, Header, ProofLine, Tree};
pub use progress::ExportReport;
pub use verify::{ExportVerifier, verify_export};
pub use write::ExportWriter;

/// The longest event, in bytes.
pub const MAX_EVENT_BYTES: usize = 65_535;
/// The largest blob that an export carries, in bytes.
pub const MAX_BLOB_BYTES: usize = 16 * 1024 * 1024;
/// The longest line, in bytes without its newline: a blob of the largest size in base64 and what stands around it.
pub const MAX_LINE_BYTES: usize = MAX_BLOB_BYTES.div_ceil(3) * 4 + 4096;

#[cfg(test)]
mod tests;
