//! Salted commitments: what an event says about a blob without telling anything about its content.
//!
//! The salt makes the commitment hiding: once salt and blob are erased, a short or guessable content cannot be found
//! again by trying, and every proof over the event still holds.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use super::hex::HexError;
use super::hex::hex_bytes;

hex_bytes! {
    /// SHA-256(salt ‖ data): 32 bytes, hex in text and JSON.
    Commitment
}

hex_bytes! {
    /// 32 random bytes, drawn anew for every blob and kept beside it; hex in text and JSON.
    Salt
}

/// Commits to `data` under `salt`.
pub fn commit(salt: &Salt, data: &[u8]) -> Commitment {
    Commitment(Sha256::new().chain_update(salt.0).chain_update(data).finalize().into())
}

/// What an event says of one of its blobs, as it stands in the event's `blobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobCommitment {
    /// Number of the blob within its event; slots rise.
    pub slot: u32,
    /// Commitment to the data.
    pub commitment: Commitment,
    /// Length of the data in bytes.
    pub size: u64,
    /// Media type of the data.
    pub media_type: String,
}

impl Commitment {
    /// Whether this is the commitment to `data` under `salt`.
    pub fn check(&self, salt: &Salt, data: &[u8]) -> bool {
        commit(salt, data) == *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commitment_is_the_sha256_of_salt_and_data() {
        // SHA-256 of 32 zero bytes followed by "abc", computed with another implementation (sha256sum).
        let known = "365aa7d8f7f9402c4b9434502b4cc89ddb09fe50d7cd95b493b834c62d5a5370";
        let commitment = commit(&Salt([0; 32]), b"abc");
        assert_eq!(commitment.to_string(), known);
        assert_eq!(known.parse(), Ok(commitment));
    }

    #[test]
    fn another_salt_or_another_byte_is_refused() {
        let commitment = commit(&Salt([7; 32]), b"result");
        assert!(commitment.check(&Salt([7; 32]), b"result"));
        assert!(!commitment.check(&Salt([8; 32]), b"result"));
        assert!(!commitment.check(&Salt([7; 32]), b"resulu"));
        assert!(!commitment.check(&Salt([7; 32]), b""));
    }

    #[test]
    fn only_64_lower_case_hex_digits_are_read() {
        let hex = "0123456789abcdef".repeat(4);
        let json = format!("\"{hex}\"");
        let commitment: Commitment = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&commitment).unwrap(), json);
        for bad in [String::new(), hex.to_uppercase(), hex[1..].to_owned(), format!("{hex}0"), hex.replace('a', "g")] {
            assert_eq!(bad.parse::<Commitment>(), Err(HexError { len: bad.len() }), "{bad}");
        }
    }
}
