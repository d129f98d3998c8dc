//! Ed25519 keys in the formats of OpenSSH: the one-line public key, its fingerprint, and the `openssh-key-v1` file.
//!
//! Not here: where keys are kept, who may read them, certificates (see [`certificate`](super::certificate)).
//!
//! Invariant: a [`PublicKey`] that exists is canonical and not weak, so nothing after parsing has to ask again.

use std::{cmp::Ordering, fmt, hash, str::FromStr};

use data_encoding::{BASE64, BASE64_NOPAD};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use zeroize::Zeroizing;

pub use super::armor::ArmorError;
use super::{
    armor,
    wire::{self, Reader},
};

/// The only key type, as OpenSSH names it.
pub const KEY_TYPE: &str = "ssh-ed25519";

/// Most bytes of a public key line, comment included.
pub const MAX_PUBLIC_KEY_BYTES: usize = 1024;

/// Most bytes of a comment that is written; with the key before it, the line can be read again.
pub const MAX_COMMENT_BYTES: usize = 896;

/// Most bytes of a private key file.
pub const MAX_PRIVATE_KEY_BYTES: usize = 8 * 1024;

const PRIVATE_KEY_LABEL: &str = "OPENSSH PRIVATE KEY";
const PRIVATE_KEY_MAGIC: &[u8] = b"openssh-key-v1\0";

/// Why a key was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A key of another algorithm, a certificate, or a line that begins with options.
    #[error("key type `{found}` is not supported: use an Ed25519 key (`ssh-keygen -t ed25519`)")]
    UnsupportedType {
        /// The type found, shortened and escaped.
        found: String,
    },
    /// Not the text or blob of a public key.
    #[error("public key is malformed: {reason}")]
    MalformedPublicKey {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// 32 bytes that are not the one encoding of a point on the curve.
    #[error("public key is not an Ed25519 key: its 32 bytes are not the canonical encoding of a point on the curve")]
    NotOnCurve,
    /// A key of small order, for which signatures can be made without a private key.
    #[error("public key is weak (a point of small order): anyone can sign for it, make a new key")]
    Weak,
    /// A comment that would break the line it stands in.
    #[error("key comment holds a control character or is longer than {MAX_COMMENT_BYTES} bytes")]
    Comment,
    /// Not the armored text of a private key file.
    #[error("private key is not in the OpenSSH format (`ssh-keygen -p -f <file>` rewrites it)")]
    PrivateKeyArmor(#[source] ArmorError),
    /// A private key under a passphrase.
    #[error("private key is encrypted: remove its passphrase with `ssh-keygen -p -N '' -f <file>`, or use another key")]
    Encrypted,
    /// A private key file that does not hold together.
    #[error("private key is malformed: {reason}")]
    MalformedPrivateKey {
        /// What is wrong with it; never a part of the key.
        reason: String,
    },
    /// The signature is not one of the message by this key.
    #[error("signature is not a valid signature of this message by key {fingerprint}")]
    BadSignature {
        /// Fingerprint of the key that was expected to have signed.
        fingerprint: String,
    },
}

/// An Ed25519 public key: canonical, on the curve, not of small order.
///
/// Text and serde form are the OpenSSH line without a comment: `ssh-ed25519 AAAA…`. Reading ignores a comment. Ordered
/// and hashed by its 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Takes the 32 bytes of RFC 8032 §5.1.2; refuses weak and non-canonical keys.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotOnCurve)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        // The curve library also reads y coordinates above the prime, which would give one key two fingerprints.
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::NotOnCurve);
        }
        Ok(Self(key))
    }

    /// The 32 bytes of RFC 8032 §5.1.2.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The key for `ed25519-dalek`; call nothing but `verify_strict` on it.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.0
    }

    /// Verifies a signature strictly: canonical S, no small-order R.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), KeyError> {
        self.0
            .verify_strict(message, &Signature::from_bytes(signature))
            .map_err(|_| KeyError::BadSignature { fingerprint: self.fingerprint() })
    }

    /// `SHA256:` and the unpadded base64 of the blob's digest, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest(self.to_blob())))
    }

    /// Reads an OpenSSH line and its comment; the comment is empty when there is none.
    pub fn parse_with_comment(line: &str) -> Result<(Self, &str), KeyError> {
        let malformed = |reason| KeyError::MalformedPublicKey { reason };
        if line.len() > MAX_PUBLIC_KEY_BYTES {
            return Err(malformed("longer than 1024 bytes"));
        }
        let line = line.trim_ascii();
        if line.is_empty() {
            return Err(malformed("empty"));
        }
        if line.starts_with("-----BEGIN ") {
            return Err(malformed("this is an armored text, perhaps a private key; give the line of the .pub file"));
        }
        if line.contains(char::is_control) {
            return Err(malformed("more than one line, or a control character in it"));
        }
        let (key_type, rest) = line.split_once(' ').unwrap_or((line, ""));
        if key_type != KEY_TYPE {
            return Err(KeyError::UnsupportedType { found: shown(key_type) });
        }
        let (base64, comment) = rest.split_once(' ').unwrap_or((rest, ""));
        let blob = BASE64.decode(base64.as_bytes()).map_err(|_| malformed("the second word is not valid base64"))?;
        Ok((Self::from_blob(&blob)?, comment.trim_ascii()))
    }

    /// The OpenSSH line with a comment and without a newline.
    pub fn to_line(&self, comment: &str) -> Result<String, KeyError> {
        let comment = comment.trim_ascii();
        check_comment(comment)?;
        Ok(if comment.is_empty() { self.to_string() } else { format!("{self} {comment}") })
    }

    /// The SSH blob: string `ssh-ed25519`, string of 32 bytes (RFC 8709 §4).
    pub(super) fn to_blob(self) -> Vec<u8> {
        let mut blob = Vec::with_capacity(51);
        wire::put_string(&mut blob, KEY_TYPE.as_bytes());
        wire::put_string(&mut blob, self.as_bytes());
        blob
    }

    /// Reads the SSH blob.
    pub(super) fn from_blob(blob: &[u8]) -> Result<Self, KeyError> {
        let malformed = |reason| KeyError::MalformedPublicKey { reason };
        let mut reader = Reader::new(blob);
        let key_type = reader.string().ok_or(malformed("the blob is cut short"))?;
        if key_type != KEY_TYPE.as_bytes() {
            return Err(KeyError::UnsupportedType { found: shown(&String::from_utf8_lossy(key_type)) });
        }
        let key = reader.string().ok_or(malformed("the blob is cut short"))?;
        if !reader.is_empty() {
            return Err(malformed("bytes follow the key in its blob"));
        }
        Self::from_bytes(key.try_into().map_err(|_| malformed("the key in the blob is not 32 bytes"))?)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(line: &str) -> Result<Self, KeyError> {
        Self::parse_with_comment(line).map(|(key, _)| key)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KEY_TYPE} {}", BASE64.encode(&self.to_blob()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

impl hash::Hash for PublicKey {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// An Ed25519 private key; wiped from memory when dropped, never shown by `Debug`.
#[derive(Clone)]
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// The key for signers that take it as such. It must not outlive this one.
    pub const fn signing_key(&self) -> &SigningKey {
        &self.0
    }

    /// The key of a 32-byte seed (RFC 8032 §5.1.5); the caller draws the seed and wipes its copy.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads an unencrypted `openssh-key-v1` file as written by `ssh-keygen -t ed25519 -N ''`.
    pub fn from_openssh(text: &str) -> Result<Self, KeyError> {
        let blob = armor::decode(PRIVATE_KEY_LABEL, text, MAX_PRIVATE_KEY_BYTES).map_err(KeyError::PrivateKeyArmor)?;
        check_head(&blob)?;
        let malformed = |reason: String| KeyError::MalformedPrivateKey { reason };
        let file = ssh_key::PrivateKey::from_bytes(&blob).map_err(|error| malformed(error.to_string()))?;
        let Some(pair) = file.key_data().ed25519() else {
            return Err(malformed("its two halves are of different types".to_owned()));
        };
        let key = Self::from_seed(pair.private.as_ref());
        // Signing with a public half that is not of this seed gives the seed away.
        if key.public_key().as_bytes() != &pair.public.0 {
            return Err(malformed("the public key in the file does not belong to the private key".to_owned()));
        }
        Ok(key)
    }

    /// Writes the unencrypted `openssh-key-v1` file, which ssh-keygen reads; the same key and comment give the same text.
    pub fn to_openssh(&self, comment: &str) -> Result<Zeroizing<String>, KeyError> {
        check_comment(comment)?;
        let blob = ssh_key::PrivateKey::new(
            KeypairData::Ed25519(Ed25519Keypair {
                public: ssh_key::public::Ed25519PublicKey(*self.public_key().as_bytes()),
                private: ssh_key::private::Ed25519PrivateKey::from_bytes(self.0.as_bytes()),
            }),
            comment,
        )
        .and_then(|file| file.to_bytes())
        .map_err(|error| KeyError::MalformedPrivateKey { reason: error.to_string() })?;
        Ok(armor::encode(PRIVATE_KEY_LABEL, &blob))
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        // Made from a clamped scalar and the base point: never weak, always canonical.
        PublicKey(self.0.verifying_key())
    }

    /// Signs `message` as it is (RFC 8032, without prehash); callers prefix what keeps purposes apart.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.public_key().fingerprint())
    }
}

/// Looks at cipher and key type, which stand unencrypted at the front, so that an encrypted or foreign key is refused by
/// that reason whether or not the parser knows its algorithm.
fn check_head(blob: &[u8]) -> Result<(), KeyError> {
    let cut = || KeyError::MalformedPrivateKey { reason: "it is cut short".to_owned() };
    let mut reader = Reader::new(blob);
    if reader.take(PRIVATE_KEY_MAGIC.len()) != Some(PRIVATE_KEY_MAGIC) {
        let reason = "it does not begin with openssh-key-v1".to_owned();
        return Err(KeyError::MalformedPrivateKey { reason });
    }
    if reader.string().ok_or_else(cut)? != b"none" {
        return Err(KeyError::Encrypted);
    }
    let (Some(_kdf), Some(_kdf_options), Some(_key_count), Some(public_key)) =
        (reader.string(), reader.string(), reader.number(), reader.string())
    else {
        return Err(cut());
    };
    PublicKey::from_blob(public_key).map(|_| ())
}

fn check_comment(comment: &str) -> Result<(), KeyError> {
    if comment.len() > MAX_COMMENT_BYTES || comment.contains(char::is_control) {
        return Err(KeyError::Comment);
    }
    Ok(())
}

/// At most 40 characters of a foreign word, escaped, for an error message.
fn shown(word: &str) -> String {
    word.chars().take(40).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests;
