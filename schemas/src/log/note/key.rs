//! Verifier keys of signed notes: `name+id+base64(0x01 ‖ Ed25519 public key)`.

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::VerifyingKey;
use sha2::{Digest, Sha256};

use super::{NoteError, check_name};

/// Signature type of Ed25519 over the note text.
const ED25519: u8 = 0x01;

/// The first four bytes of SHA-256(name ‖ newline ‖ 0x01 ‖ public key). It finds a key; it does not prove one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; 4]);

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// A name, its Ed25519 public key, and the id that follows from both. In text and JSON it is the vkey form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: KeyId,
    key: VerifyingKey,
}

impl VerifierKey {
    /// Names a public key. Keys of small order, under which anything verifies, are refused.
    pub fn new(name: &str, key: VerifyingKey) -> Result<Self, NoteError> {
        check_name(name)?;
        if key.is_weak() {
            return Err(NoteError::Key { why: "the public key is weak" });
        }
        let digest =
            Sha256::new().chain_update(name).chain_update([b'\n', ED25519]).chain_update(key.as_bytes()).finalize();
        let id = KeyId([digest[0], digest[1], digest[2], digest[3]]);
        Ok(Self { name: name.to_owned(), id, key })
    }

    /// The name: for a log, its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id that signature lines bear.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The public key.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }
}

impl std::fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = [&[ED25519][..], self.key.as_bytes()].concat();
        write!(f, "{}+{}+{}", self.name, self.id, BASE64.encode(&key))
    }
}

impl std::str::FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let refused = |why| NoteError::Key { why };
        // Base64 may contain a plus; name and id cannot.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(base64)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(refused("three parts joined by a plus are expected"));
        };
        let bytes = BASE64.decode(base64.as_bytes()).map_err(|_| refused("the last part is not canonical base64"))?;
        let Some((&ED25519, key)) = bytes.split_first() else {
            return Err(refused("the key is not of type 0x01, Ed25519"));
        };
        let key = key.try_into().map_err(|_| refused("the public key is not 32 bytes long"))?;
        let key = VerifyingKey::from_bytes(key).map_err(|_| refused("the public key is no point of the curve"))?;
        let parsed = Self::new(name, key)?;
        if parsed.id.to_string() != id {
            return Err(refused("the id is not that of this name and key, in lower-case hex"));
        }
        Ok(parsed)
    }
}

impl serde::Serialize for VerifierKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for VerifierKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
