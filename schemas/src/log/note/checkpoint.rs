//! Checkpoints: the text `origin`, `size`, `root`, one a line, signed by the log under its origin's name.

use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use super::{NoteError, SignedNote, VerifierKey, check_name, parse_decimal};
use crate::log::tree::{Hash, MAX_TREE_SIZE};

/// What a log says of itself: its origin, how many leaves it has, and the root over them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Identity of the log; a restored log has a new one.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Root of the tree of that size; hex in JSON, base64 in a note.
    pub root: Hash,
}

impl Checkpoint {
    /// The note text: three lines. Nothing is checked here; [`Checkpoint::sign`] and [`Checkpoint::from_text`] do.
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(&self.root.0))
    }

    /// Reads a note text. Extension lines are refused: nobody audits them.
    pub fn from_text(text: &str) -> Result<Self, NoteError> {
        let refused = |why| NoteError::Checkpoint { why };
        let body = text.strip_suffix('\n').ok_or(refused("the last newline is missing"))?;
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(refused("origin, size and root are expected, one a line"));
        };
        if lines.next().is_some() {
            return Err(refused("extension lines are not allowed"));
        }
        check_name(origin)?;
        let size =
            parse_decimal(size, MAX_TREE_SIZE).ok_or(refused("the size is no decimal number within the limit"))?;
        let root = decode_hash(root).ok_or(refused("the root is not canonical base64 of 32 bytes"))?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// Signs under the origin's name.
    pub fn sign(&self, key: &SigningKey) -> Result<SignedNote, NoteError> {
        if self.size > MAX_TREE_SIZE {
            return Err(NoteError::Checkpoint { why: "the size is beyond the limit" });
        }
        SignedNote::sign(self.to_text(), &self.origin, key)
    }

    /// Takes the checkpoint out of a note that one of `keys` has signed as the origin. Other known keys' signatures
    /// are verified too but do not stand in for the log's own.
    pub fn open(note: &SignedNote, keys: &[VerifierKey]) -> Result<Self, NoteError> {
        let signers = note.verify(keys)?;
        let checkpoint = Self::from_text(note.text())?;
        if signers.iter().any(|key| key.name() == checkpoint.origin) {
            Ok(checkpoint)
        } else {
            Err(NoteError::NotByOrigin { origin: checkpoint.origin })
        }
    }
}

/// Reads a hash in canonical base64.
pub(in crate::log) fn decode_hash(base64: &str) -> Option<Hash> {
    if base64.len() != 44 {
        return None;
    }
    let bytes = BASE64.decode(base64.as_bytes()).ok()?;
    bytes.try_into().ok().map(Hash)
}
