//! Proofs that travel alone (c2sp.org/tlog-proof@v1): index, inclusion proof and checkpoint in one text, which with the
//! event's bytes and the log's key is all that an outsider needs.

use data_encoding::BASE64;

use super::note::{Checkpoint, MAX_NOTE_BYTES, NoteError, SignedNote, VerifierKey, decode_hash, parse_decimal};
use super::proof::{MAX_INCLUSION_HASHES, ProofError, verify_inclusion};
use super::tree::{Hash, MAX_TREE_SIZE, leaf_hash};

/// The first line.
const FORMAT: &str = "c2sp.org/tlog-proof@v1";
/// The most opaque extra data, in bytes.
pub const MAX_EXTRA_BYTES: usize = 64 * 1024;
/// The longest proof text read, in bytes.
pub const MAX_PROOF_BYTES: usize = MAX_NOTE_BYTES + MAX_EXTRA_BYTES / 3 * 4 + MAX_INCLUSION_HASHES * 45 + 256;

/// Why a proof was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// More bytes than [`MAX_PROOF_BYTES`].
    #[error("proof of {bytes} bytes exceeds the limit of {MAX_PROOF_BYTES}")]
    TooLong {
        /// Length of the text.
        bytes: usize,
    },
    /// Not the form of the format.
    #[error("proof is malformed at line {line}: {why}")]
    Malformed {
        /// Line number, from 1.
        line: usize,
        /// What was expected there.
        why: &'static str,
    },
    /// The checkpoint is malformed or not signed by a trusted key.
    #[error("proof of event {index} has no valid checkpoint")]
    Note {
        /// The event's index.
        index: u64,
        /// What is wrong with the checkpoint.
        source: NoteError,
    },
    /// The event is not where the proof says.
    #[error("event {index} is not proved")]
    Proof {
        /// The event's index.
        index: u64,
        /// What does not hold.
        source: ProofError,
    },
}

/// A proof in parts. Nothing in it may be believed before [`TlogProof::verify`], and `extra` not even then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Opaque data that no signature covers, at most [`MAX_EXTRA_BYTES`].
    pub extra: Option<Vec<u8>>,
    /// The event's index.
    pub index: u64,
    /// The inclusion proof, from the leaf's sibling upwards.
    pub hashes: Vec<Hash>,
    /// The checkpoint that the proof leads to.
    pub checkpoint: SignedNote,
}

impl TlogProof {
    /// Reads a proof. Only its form is checked.
    pub fn parse(text: &str) -> Result<Self, TlogProofError> {
        if text.len() > MAX_PROOF_BYTES {
            return Err(TlogProofError::TooLong { bytes: text.len() });
        }
        let mut lines = Lines { rest: text, line: 0 };
        if lines.next() != Some(FORMAT) {
            return Err(lines.refused("c2sp.org/tlog-proof@v1 is expected"));
        }
        let mut line = lines.next().unwrap_or_default();
        let mut extra = None;
        if let Some(base64) = line.strip_prefix("extra ") {
            let bytes = BASE64.decode(base64.as_bytes()).ok().filter(|bytes| bytes.len() <= MAX_EXTRA_BYTES);
            extra =
                Some(bytes.ok_or_else(|| lines.refused("the extra data is not canonical base64 within the limit"))?);
            line = lines.next().unwrap_or_default();
        }
        let index = line.strip_prefix("index ").and_then(|number| parse_decimal(number, MAX_TREE_SIZE - 1));
        let index = index.ok_or_else(|| lines.refused("`index` and a decimal number are expected"))?;
        let mut hashes = Vec::new();
        loop {
            match lines.next() {
                Some("") => break,
                Some(hash) if hashes.len() < MAX_INCLUSION_HASHES => {
                    hashes.push(decode_hash(hash).ok_or_else(|| lines.refused("a hash in base64 is expected"))?);
                }
                _ => return Err(lines.refused("at most 63 hashes and a blank line are expected")),
            }
        }
        let checkpoint = lines.rest.parse().map_err(|source| TlogProofError::Note { index, source })?;
        Ok(Self { extra, index, hashes, checkpoint })
    }

    /// Checks that `event` is at the proof's index under the checkpoint, and that one of `keys` signed the checkpoint as
    /// its origin. Gives the checkpoint.
    pub fn verify(&self, event: &[u8], keys: &[VerifierKey]) -> Result<Checkpoint, TlogProofError> {
        let index = self.index;
        let checkpoint =
            Checkpoint::open(&self.checkpoint, keys).map_err(|source| TlogProofError::Note { index, source })?;
        verify_inclusion(index, checkpoint.size, &leaf_hash(event), &self.hashes, &checkpoint.root)
            .map_err(|source| TlogProofError::Proof { index, source })?;
        Ok(checkpoint)
    }
}

impl std::fmt::Display for TlogProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{FORMAT}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", BASE64.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", BASE64.encode(&hash.0))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Lines that end in newlines, counted; what follows the last one taken stays in `rest`.
struct Lines<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        self.line += 1;
        let (line, rest) = self.rest.split_once('\n')?;
        self.rest = rest;
        Some(line)
    }

    fn refused(&self, why: &'static str) -> TlogProofError {
        TlogProofError::Malformed { line: self.line, why }
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::super::proof::prove_inclusion;
    use super::super::tree::tests::definition;
    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[4; 32])
    }

    fn keys() -> [VerifierKey; 1] {
        [VerifierKey::new("log.example", key().verifying_key()).unwrap()]
    }

    fn event(index: u64) -> Vec<u8> {
        format!("event {index}").into_bytes()
    }

    fn proof(index: u64, size: u64, extra: Option<Vec<u8>>) -> TlogProof {
        let leaves: Vec<_> = (0..size).map(|i| leaf_hash(&event(i))).collect();
        let node = |level: u8, at: u64| {
            let run = usize::try_from(at << level).unwrap()..usize::try_from((at + 1) << level).unwrap();
            Ok::<_, std::convert::Infallible>(definition(&leaves[run]))
        };
        let hashes = prove_inclusion(index, size, node).unwrap();
        let checkpoint = Checkpoint { origin: "log.example".to_owned(), size, root: definition(&leaves) };
        TlogProof { extra, index, hashes, checkpoint: checkpoint.sign(&key()).unwrap() }
    }

    #[test]
    fn every_event_is_proved_and_the_text_comes_back() {
        for size in 1..20 {
            for index in 0..size {
                let proof = proof(index, size, (index % 2 == 0).then(|| vec![1, 2, 3]));
                let text = proof.to_string();
                let parsed = TlogProof::parse(&text).unwrap();
                assert_eq!(parsed, proof);
                assert_eq!(parsed.to_string(), text);
                assert_eq!(parsed.verify(&event(index), &keys()).unwrap().size, size);
                assert!(matches!(parsed.verify(b"other", &keys()), Err(TlogProofError::Proof { .. })));
                assert!(matches!(parsed.verify(&event(index), &[]), Err(TlogProofError::Note { .. })));
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let text = proof(4, 7, None).to_string();
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let Ok(changed) = String::from_utf8(bytes) else {
                    continue;
                };
                let verified = TlogProof::parse(&changed).and_then(|proof| proof.verify(&event(4), &keys()));
                assert!(verified.is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn malformed_proofs_are_refused_with_the_line() {
        let good = proof(4, 7, Some(b"note".to_vec())).to_string();
        let cases = [
            ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2", 1),
            ("extra bm90ZQ==", "extra bm90ZR==", 2),
            ("extra bm90ZQ==", "Extra bm90ZQ==", 2),
            ("index 4", "index 04", 3),
            ("index 4", "index +4", 3),
            ("index 4", "index 9223372036854775807", 3),
            ("index 4", "number 4", 3),
            ("index 4\n", "index 4\n?", 4),
        ];
        for (from, to, line) in cases {
            let refused = TlogProof::parse(&good.replace(from, to));
            assert!(matches!(refused, Err(TlogProofError::Malformed { line: at, .. }) if at == line), "{to}");
        }
        let many =
            good.replace("index 4\n", &format!("index 4\n{}", format!("{}\n", BASE64.encode(&[0; 32])).repeat(64)));
        assert!(matches!(TlogProof::parse(&many), Err(TlogProofError::Malformed { line: 67, .. })));
        assert!(matches!(TlogProof::parse(&" ".repeat(MAX_PROOF_BYTES + 1)), Err(TlogProofError::TooLong { .. })));
        assert!(matches!(TlogProof::parse(""), Err(TlogProofError::Malformed { line: 1, .. })));
        assert!(matches!(TlogProof::parse(&format!("{good}x")), Err(TlogProofError::Note { index: 4, .. })));
    }
}
