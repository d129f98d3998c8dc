//! Signed notes (c2sp.org/signed-note) and the checkpoints written in them (c2sp.org/tlog-checkpoint).
//!
//! A note is a text, a blank line and signature lines. Lines by unknown keys, such as cosignatures of witnesses, are
//! kept and carried along but prove nothing here. Ed25519 (signature type 0x01) alone is verified, strictly.
//!
//! Invariant: a [`SignedNote`] formats to the bytes that it was parsed from, and a [`Checkpoint`] is only ever taken
//! from a note after one of the caller's keys has verified it.

mod checkpoint;
mod key;

use data_encoding::BASE64;
use ed25519_dalek::{Signature, Signer, SigningKey};

pub use checkpoint::Checkpoint;
pub(super) use checkpoint::decode_hash;
pub use key::{KeyId, VerifierKey};

/// The largest note read or written, in bytes.
pub const MAX_NOTE_BYTES: usize = 128 * 1024;
/// The most signature lines in one note.
pub const MAX_SIGNATURES: usize = 32;
/// The longest key name or origin, in bytes.
pub const MAX_NAME_BYTES: usize = 255;
/// The longest signature kept, in bytes, without its key id: post-quantum signatures of witnesses fit.
pub const MAX_SIGNATURE_BYTES: usize = 8 * 1024;

/// What begins a signature line: an em dash and a space.
const SIGNATURE_START: &str = "\u{2014} ";

/// Why a note, key or checkpoint was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// More bytes than [`MAX_NOTE_BYTES`].
    #[error("note of {bytes} bytes exceeds the limit of {MAX_NOTE_BYTES}")]
    TooLong {
        /// Length of the note.
        bytes: usize,
    },
    /// More signature lines than [`MAX_SIGNATURES`].
    #[error("note has more than {MAX_SIGNATURES} signature lines")]
    TooManySignatures,
    /// The note has a control character other than the newline.
    #[error("note contains the control character U+{code:04X}")]
    Control {
        /// The character.
        code: u32,
    },
    /// The text is empty or does not end in a newline, or no blank line and signatures follow it.
    #[error("note is not a text ending in a newline, a blank line, and signature lines ending in newlines")]
    Layout,
    /// A signature line that is not `— name base64`.
    #[error("signature line {line} is not an em dash, a key name and canonical base64 of a key id and a signature")]
    SignatureLine {
        /// Position among the signature lines, from 1.
        line: usize,
    },
    /// A key name or origin that cannot be written in a note.
    #[error(
        "name {name:?} is empty, longer than {MAX_NAME_BYTES} bytes, or has a space, a plus or a control character"
    )]
    Name {
        /// The name, cut to [`MAX_NAME_BYTES`] characters.
        name: String,
    },
    /// Not a verifier key in text form.
    #[error("verifier key is not `name+id+base64`: {why}")]
    Key {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A known key's name and id stand before a signature that is not its signature.
    #[error("signature by {name} does not verify")]
    BadSignature {
        /// Name of the key.
        name: String,
    },
    /// None of the keys given has signed.
    #[error("note is signed by none of the keys that are trusted here")]
    Unsigned,
    /// The text is signed but is no checkpoint.
    #[error("note is no checkpoint: {why}")]
    Checkpoint {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Signed by a trusted key, but none that bears the log's name.
    #[error("checkpoint of {origin} is not signed by a trusted key of that name")]
    NotByOrigin {
        /// Origin that the checkpoint speaks for.
        origin: String,
    },
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// Name of the key.
    pub name: String,
    /// Id of the key.
    pub key_id: KeyId,
    /// The signature; 64 bytes for Ed25519, other lengths for algorithms that are only carried.
    pub signature: Vec<u8>,
}

impl NoteSignature {
    /// Reads a signature line without its newline. `line` is its position, for the error.
    fn parse(text: &str, line: usize) -> Result<Self, NoteError> {
        let refused = || NoteError::SignatureLine { line };
        let (name, base64) =
            text.strip_prefix(SIGNATURE_START).and_then(|rest| rest.split_once(' ')).ok_or_else(refused)?;
        check_name(name)?;
        let bytes = BASE64.decode(base64.as_bytes()).map_err(|_| refused())?;
        let (key_id, signature) = bytes.split_first_chunk::<4>().ok_or_else(refused)?;
        if signature.is_empty() || signature.len() > MAX_SIGNATURE_BYTES {
            return Err(refused());
        }
        Ok(Self { name: name.to_owned(), key_id: KeyId(*key_id), signature: signature.to_vec() })
    }
}

impl std::fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = [&self.key_id.0[..], &self.signature].concat();
        writeln!(f, "{SIGNATURE_START}{} {}", self.name, BASE64.encode(&bytes))
    }
}

/// A text and the signatures under it, well-formed but not necessarily verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Signs `text`, which must end in a newline, under the name `key_name`.
    pub fn sign(text: String, key_name: &str, key: &SigningKey) -> Result<Self, NoteError> {
        check_characters(&text)?;
        if text.len() < 2 || !text.ends_with('\n') {
            return Err(NoteError::Layout);
        }
        let verifier = VerifierKey::new(key_name, key.verifying_key())?;
        let signature = NoteSignature {
            name: key_name.to_owned(),
            key_id: verifier.id(),
            signature: key.sign(text.as_bytes()).to_bytes().to_vec(),
        };
        let note = Self { text, signatures: vec![signature] };
        note.bounded()
    }

    /// Reads a note. Only its form is checked; nothing in it may be believed before [`SignedNote::verify`].
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong { bytes: note.len() });
        }
        check_characters(note)?;
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Layout)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Layout)?;
        if text.is_empty() {
            return Err(NoteError::Layout);
        }
        let mut signatures = Vec::new();
        for (at, line) in lines.split('\n').enumerate() {
            if at == MAX_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            signatures.push(NoteSignature::parse(line, at + 1)?);
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// The signed text, with its final newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines in their order, by known and unknown keys.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature line, such as a witness's, unverified.
    pub fn with_signature(mut self, signature: NoteSignature) -> Result<Self, NoteError> {
        check_name(&signature.name)?;
        if signature.signature.is_empty() || signature.signature.len() > MAX_SIGNATURE_BYTES {
            return Err(NoteError::SignatureLine { line: self.signatures.len() + 1 });
        }
        self.signatures.push(signature);
        self.bounded()
    }

    /// Verifies every line by one of `keys` and gives those keys that have signed. Lines whose name and id together
    /// are unknown are passed over. Refused when a known key's signature is wrong or when no known key has signed.
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<Vec<&'k VerifierKey>, NoteError> {
        let mut signers = Vec::new();
        for line in &self.signatures {
            let Some(key) = keys.iter().find(|key| key.name() == line.name && key.id() == line.key_id) else {
                continue;
            };
            let bad = || NoteError::BadSignature { name: line.name.clone() };
            let signature = Signature::from_slice(&line.signature).map_err(|_| bad())?;
            key.key().verify_strict(self.text.as_bytes(), &signature).map_err(|_| bad())?;
            if !signers.contains(&key) {
                signers.push(key);
            }
        }
        if signers.is_empty() { Err(NoteError::Unsigned) } else { Ok(signers) }
    }

    fn bounded(self) -> Result<Self, NoteError> {
        if self.signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let signatures: usize =
            self.signatures.iter().map(|s| s.name.len() + (s.signature.len() + 4) * 4 / 3 + 12).sum();
        let bytes = self.text.len() + signatures;
        if bytes > MAX_NOTE_BYTES { Err(NoteError::TooLong { bytes }) } else { Ok(self) }
    }
}

impl std::fmt::Display for SignedNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| line.fmt(f))
    }
}

impl std::str::FromStr for SignedNote {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        Self::parse(note)
    }
}

fn check_characters(text: &str) -> Result<(), NoteError> {
    match text.chars().find(|c| c.is_control() && *c != '\n') {
        Some(c) => Err(NoteError::Control { code: c.into() }),
        None => Ok(()),
    }
}

/// Key names and origins share one rule, so that an origin can always name the key that signs for it.
fn check_name(name: &str) -> Result<(), NoteError> {
    let refused = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(refused) {
        return Err(NoteError::Name { name: name.chars().take(MAX_NAME_BYTES).collect() });
    }
    Ok(())
}

/// Reads a decimal number as notes and proofs write it: ASCII digits, no sign, no leading zero, at most `limit`.
pub(super) fn parse_decimal(text: &str, limit: u64) -> Option<u64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok().filter(|number| *number <= limit)
}

#[cfg(test)]
mod tests;
