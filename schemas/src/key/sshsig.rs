//! SSHSIG: the detached signature of `ssh-keygen -Y sign`, which git uses for commits.
//!
//! Format: OpenSSH's PROTOCOL.sshsig, version 1. The signer signs `SSHSIG`, namespace, hash name and hash of the
//! message; the armored blob carries its public key, which proves nothing: a verifier names the key it expects.

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256, Sha512};

use super::{
    armor::{self, ArmorError},
    openssh::{KEY_TYPE, KeyError, PrivateKey, PublicKey},
    wire::{Reader, put_string},
};

/// Most bytes of an armored signature.
pub const MAX_SIGNATURE_BYTES: usize = 4096;

/// Most bytes of a namespace.
pub const MAX_NAMESPACE_BYTES: usize = 128;

const LABEL: &str = "SSH SIGNATURE";
const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;

/// Why an SSHSIG was not made or not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SshsigError {
    /// Not an armored SSH signature.
    #[error("signature is not an armored SSH signature (`ssh-keygen -Y sign` makes one)")]
    Armor(#[source] ArmorError),
    /// The armored blob does not have the layout of version 1.
    #[error("SSH signature is malformed: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A version other than 1.
    #[error("SSH signature has version {found}, only version 1 is supported")]
    Version {
        /// The version found.
        found: u32,
    },
    /// The message hash is neither sha512 nor sha256.
    #[error("SSH signature hashes its message with an unsupported algorithm: use sha512 or sha256")]
    Hash,
    /// The key in the signature is no usable Ed25519 key.
    #[error("SSH signature carries a key that is refused")]
    Key(#[source] KeyError),
    /// Signed by another key than expected.
    #[error("SSH signature is by key {found}, expected {expected}")]
    OtherKey {
        /// Fingerprint of the expected key.
        expected: String,
        /// Fingerprint of the key in the signature.
        found: String,
    },
    /// Signed for another purpose.
    #[error("SSH signature has namespace `{found}`, expected `{expected}` (`ssh-keygen -Y sign -n {expected}`)")]
    Namespace {
        /// The namespace that the verifier asks for.
        expected: String,
        /// The namespace in the signature.
        found: String,
    },
    /// A namespace that cannot be written.
    #[error("SSH signature namespace is empty, longer than 128 bytes, or not printable ASCII without spaces")]
    BadNamespace,
    /// Another message, or a changed signature.
    #[error("SSH signature does not fit the message")]
    BadSignature(#[source] KeyError),
}

/// The hash that is signed in place of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageHash {
    /// SHA-256: accepted.
    Sha256,
    /// SHA-512: what ssh-keygen and agentd use.
    Sha512,
}

impl MessageHash {
    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
        }
    }
}

/// An SSHSIG by an Ed25519 key; `Display` and `FromStr` are its armored text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSignature {
    public_key: PublicKey,
    namespace: String,
    hash: MessageHash,
    signature: [u8; 64],
}

impl SshSignature {
    /// Signs `message` for `namespace` with SHA-512.
    pub fn sign(key: &PrivateKey, namespace: &str, message: &[u8]) -> Result<Self, SshsigError> {
        check_namespace(namespace)?;
        let hash = MessageHash::Sha512;
        Ok(Self {
            public_key: key.public_key(),
            namespace: namespace.to_owned(),
            hash,
            signature: key.sign(&signed_data(namespace, hash, message)),
        })
    }

    /// Verifies that `expected` signed `message` for `namespace`.
    pub fn verify(&self, expected: &PublicKey, namespace: &str, message: &[u8]) -> Result<(), SshsigError> {
        if self.public_key != *expected {
            return Err(SshsigError::OtherKey {
                expected: expected.fingerprint(),
                found: self.public_key.fingerprint(),
            });
        }
        if self.namespace != namespace {
            return Err(SshsigError::Namespace { expected: namespace.to_owned(), found: self.namespace.clone() });
        }
        expected.verify(&signed_data(namespace, self.hash, message), &self.signature).map_err(SshsigError::BadSignature)
    }

    /// The key that the signature claims; a claim until [`Self::verify`] is given the same key.
    pub fn claimed_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The namespace that the signature claims.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The hash that the signature claims.
    pub fn hash(&self) -> MessageHash {
        self.hash
    }

    fn to_blob(&self) -> Vec<u8> {
        let mut signature = Vec::with_capacity(83);
        put_string(&mut signature, KEY_TYPE.as_bytes());
        put_string(&mut signature, &self.signature);
        let mut blob = Vec::with_capacity(384);
        blob.extend_from_slice(MAGIC);
        blob.extend_from_slice(&VERSION.to_be_bytes());
        put_string(&mut blob, &self.public_key.to_blob());
        put_string(&mut blob, self.namespace.as_bytes());
        put_string(&mut blob, b"");
        put_string(&mut blob, self.hash.name().as_bytes());
        put_string(&mut blob, &signature);
        blob
    }

    fn from_blob(blob: &[u8]) -> Result<Self, SshsigError> {
        let cut = SshsigError::Malformed { reason: "it is cut short" };
        let mut reader = Reader::new(blob);
        if reader.take(MAGIC.len()) != Some(MAGIC) {
            return Err(SshsigError::Malformed { reason: "it does not begin with SSHSIG" });
        }
        match reader.number() {
            Some(VERSION) => {}
            Some(found) => return Err(SshsigError::Version { found }),
            None => return Err(cut),
        }
        let [Some(key), Some(namespace), Some(reserved), Some(hash), Some(signature)] =
            [(); 5].map(|()| reader.string())
        else {
            return Err(cut);
        };
        if !reader.is_empty() {
            return Err(SshsigError::Malformed { reason: "bytes follow the signature" });
        }
        // Reserved bytes in the blob are covered by no signature.
        if !reserved.is_empty() {
            return Err(SshsigError::Malformed { reason: "its reserved field is not empty" });
        }
        let namespace = str::from_utf8(namespace).map_err(|_| SshsigError::BadNamespace)?;
        check_namespace(namespace)?;
        Ok(Self {
            public_key: PublicKey::from_blob(key).map_err(SshsigError::Key)?,
            namespace: namespace.to_owned(),
            hash: match hash {
                b"sha512" => MessageHash::Sha512,
                b"sha256" => MessageHash::Sha256,
                _ => return Err(SshsigError::Hash),
            },
            signature: read_signature(signature)?,
        })
    }
}

impl FromStr for SshSignature {
    type Err = SshsigError;

    fn from_str(text: &str) -> Result<Self, SshsigError> {
        Self::from_blob(&armor::decode(LABEL, text, MAX_SIGNATURE_BYTES).map_err(SshsigError::Armor)?)
    }
}

impl fmt::Display for SshSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&armor::encode(LABEL, &self.to_blob()))
    }
}

/// The inner signature: string `ssh-ed25519`, string of 64 bytes (RFC 8709 §6).
fn read_signature(blob: &[u8]) -> Result<[u8; 64], SshsigError> {
    let mut reader = Reader::new(blob);
    if reader.string() != Some(KEY_TYPE.as_bytes()) {
        return Err(SshsigError::Malformed { reason: "its signature algorithm is not ssh-ed25519" });
    }
    let signature = reader.string().and_then(|bytes| bytes.try_into().ok());
    signature
        .filter(|_| reader.is_empty())
        .ok_or(SshsigError::Malformed { reason: "its Ed25519 signature is not 64 bytes" })
}

/// What the key signs: magic, namespace, an empty reserved field, hash name, hash.
fn signed_data(namespace: &str, hash: MessageHash, message: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(256);
    data.extend_from_slice(MAGIC);
    put_string(&mut data, namespace.as_bytes());
    put_string(&mut data, b"");
    put_string(&mut data, hash.name().as_bytes());
    put_string(&mut data, &hash.digest(message));
    data
}

fn check_namespace(namespace: &str) -> Result<(), SshsigError> {
    let fits = (1..=MAX_NAMESPACE_BYTES).contains(&namespace.len());
    if fits && namespace.bytes().all(|byte| byte.is_ascii_graphic()) { Ok(()) } else { Err(SshsigError::BadNamespace) }
}

#[cfg(test)]
mod tests;
