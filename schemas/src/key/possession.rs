//! Proof of possession: the text that a key holder signs to enrol, to rotate a key, and to authenticate.
//!
//! The text is fixed, so that a shell script can print it and sign it with ssh-keygen:
//!
//! ```text
//! agentd-possession-v1
//! kind: enroll
//! trust-domain: h-0123456789abcdef0123456789abcdef.agentd.internal
//! name: reviewer
//! nonce: 5tq2...
//! public-key: ssh-ed25519 AAAA...
//! ```
//!
//! Each line ends with one newline. Values are printable ASCII without spaces (the key's own single space apart), so no
//! value can end its line or look like another. `public-key` is the key whose possession is proven; in a rotation
//! that is the new key, and for kind `authority` that of the owner, which is no agent's. The old key need not agree, for it may be lost: the owner's uid decides.
//!
//! Two signatures are taken: 64 raw Ed25519 bytes over the text, in base64; or the armored output of
//! `ssh-keygen -Y sign -n agentd-<kind>`.
//!
//! Not here: making nonces, remembering which were used, and deciding who may enrol.

use std::{fmt, str::FromStr};

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    openssh::{KeyError, PrivateKey, PublicKey},
    sshsig::{SshSignature, SshsigError},
};

/// Most bytes of one value in the text.
pub const MAX_VALUE_BYTES: usize = 512;

/// Why a proof of possession was not made or not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PossessionError {
    /// A value that could be confused with the text around it.
    #[error("possession field `{field}` is empty, longer than 512 bytes, or not printable ASCII without spaces")]
    Field {
        /// Which field.
        field: &'static str,
    },
    /// Neither of the two forms of a signature.
    #[error("possession signature is neither base64 of 64 bytes nor an armored SSH signature")]
    Form,
    /// A raw signature that does not fit the text.
    #[error("possession signature does not fit the text that was to be signed")]
    Raw(#[source] KeyError),
    /// An SSH signature that was refused.
    #[error("possession signature is refused")]
    Ssh(#[source] SshsigError),
}

/// What the proof is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PossessionKind {
    /// A new agent shows that it holds its key.
    Enroll,
    /// A known agent changes its key.
    Rotate,
    /// A known agent opens a connection or asks for a token.
    Authenticate,
    /// The owner of a new agent shows that he holds the key whose certificates let the agent's key sign.
    Authority,
}

impl PossessionKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Enroll, Self::Rotate, Self::Authenticate, Self::Authority];

    /// The word in the text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enroll => "enroll",
            Self::Rotate => "rotate",
            Self::Authenticate => "authenticate",
            Self::Authority => "authority",
        }
    }

    /// The namespace of an SSH signature: `agentd-` and the word.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Enroll => "agentd-enroll",
            Self::Rotate => "agentd-rotate",
            Self::Authenticate => "agentd-authenticate",
            Self::Authority => "agentd-authority",
        }
    }
}

/// What a proof of possession speaks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Possession<'a> {
    /// What the proof is for.
    pub kind: PossessionKind,
    /// Trust domain of the host that asked, so that a proof is of no use at another.
    pub trust_domain: &'a str,
    /// Name or id of the agent.
    pub name: &'a str,
    /// The challenge, used once.
    pub nonce: &'a str,
    /// The key whose possession is proven.
    pub public_key: &'a PublicKey,
}

impl Possession<'_> {
    /// The text to sign.
    pub fn message(&self) -> Result<Vec<u8>, PossessionError> {
        for (field, value) in [("trust-domain", self.trust_domain), ("name", self.name), ("nonce", self.nonce)] {
            let fits = (1..=MAX_VALUE_BYTES).contains(&value.len());
            if !fits || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(PossessionError::Field { field });
            }
        }
        Ok(format!(
            "agentd-possession-v1\nkind: {}\ntrust-domain: {}\nname: {}\nnonce: {}\npublic-key: {}\n",
            self.kind.as_str(),
            self.trust_domain,
            self.name,
            self.nonce,
            self.public_key,
        )
        .into_bytes())
    }

    /// Signs the text as raw Ed25519; `key` is the key proven, or in a rotation also the old key.
    pub fn sign(&self, key: &PrivateKey) -> Result<PossessionSignature, PossessionError> {
        Ok(PossessionSignature::Raw(key.sign(&self.message()?)))
    }

    /// Verifies that the key proven signed the text.
    pub fn verify(&self, signature: &PossessionSignature) -> Result<(), PossessionError> {
        self.verify_by(self.public_key, signature)
    }

    /// Verifies that `signer` signed the text: the old key's consent to a rotation.
    pub fn verify_by(&self, signer: &PublicKey, signature: &PossessionSignature) -> Result<(), PossessionError> {
        let message = self.message()?;
        match signature {
            PossessionSignature::Raw(raw) => signer.verify(&message, raw).map_err(PossessionError::Raw),
            PossessionSignature::Ssh(ssh) => {
                ssh.verify(signer, self.kind.namespace(), &message).map_err(PossessionError::Ssh)
            }
        }
    }
}

/// A signature over [`Possession::message`], in either form; text and serde form are base64 or the armored text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PossessionSignature {
    /// Raw Ed25519 over the text.
    Raw([u8; 64]),
    /// SSHSIG with the kind's namespace.
    Ssh(Box<SshSignature>),
}

impl FromStr for PossessionSignature {
    type Err = PossessionError;

    fn from_str(text: &str) -> Result<Self, PossessionError> {
        let text = text.trim_ascii();
        if text.starts_with("-----BEGIN ") {
            return text.parse().map(|ssh| Self::Ssh(Box::new(ssh))).map_err(PossessionError::Ssh);
        }
        // 64 bytes are 88 characters; checked first, so that nothing long is decoded.
        if text.len() != 88 {
            return Err(PossessionError::Form);
        }
        let raw = BASE64.decode(text.as_bytes()).map_err(|_| PossessionError::Form)?;
        raw.try_into().map(Self::Raw).map_err(|_| PossessionError::Form)
    }
}

impl fmt::Display for PossessionSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw(raw) => f.write_str(&BASE64.encode(raw)),
            Self::Ssh(ssh) => ssh.fmt(f),
        }
    }
}

impl Serialize for PossessionSignature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PossessionSignature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(|error: PossessionError| de::Error::custom(with_causes(&error)))
    }
}

/// An error and its causes in one line, for readers of documents, which keep no cause.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests;
