//! What a verifier believes: the log's key and the checkpoints that were kept elsewhere.

use agentd_schemas::log::note::{MAX_NOTE_BYTES, SignedNote, VerifierKey};

use crate::error::Failure;
use crate::input;

/// Bytes of a key file, at most.
const MAX_KEY_BYTES: usize = 4096;

/// Reads a verifier key: `name+id+base64`, or the name of a file that holds it.
pub(crate) fn key(text: &str) -> Result<VerifierKey, Failure> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let is_file = std::path::Path::new(text).exists();
    let held = if is_file { input::text(text, MAX_KEY_BYTES)? } else { text.to_owned() };
    held.trim().parse().map_err(|error| {
        Failure::usage(format!("{text:?} is neither a log key nor a file that holds one: {error}"))
            .hint("agentctl ledger checkpoint --key > log.vkey, on the host of the log")
    })
}

/// Reads a signed checkpoint from a file.
pub(crate) fn checkpoint(file: &str) -> Result<SignedNote, Failure> {
    let text = input::text(file, MAX_NOTE_BYTES)?;
    SignedNote::parse(&text).map_err(|error| Failure::usage(format!("{file} is no checkpoint: {error}")))
}
