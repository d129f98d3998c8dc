//! OpenSSH user certificates, by which an owner lets the host-held key of an agent sign for it for a while.
//!
//! Format: OpenSSH's PROTOCOL.certkeys, `ssh-ed25519-cert-v01@openssh.com`; `ssh-keygen -s` makes them. Of all that such a
//! certificate can say, only this is taken: a user's, by one Ed25519 key over another, for one principal, with neither
//! critical options nor extensions, for a bounded time.
//!
//! Invariant: a [`Certificate`] that exists was signed by the key that it names as its authority.

use std::{fmt, str::FromStr};

use data_encoding::BASE64;

use super::{
    openssh::{KEY_TYPE, KeyError, PublicKey},
    statement::MAX_NUMBER,
    wire::Reader,
};
use crate::unit::time::WallMs;

/// The only type of certificates, as OpenSSH names it.
pub const CERTIFICATE_TYPE: &str = "ssh-ed25519-cert-v01@openssh.com";

/// Most bytes of a certificate line, comment included.
pub const MAX_CERTIFICATE_BYTES: usize = 4096;

/// How long a certificate holds at most.
pub const MAX_CERTIFICATE_MS: i64 = 30 * 24 * 3600 * 1000;

/// How long before it is made one may begin to hold: ssh-keygen begins a minute early, on a whole minute, for clocks that
/// differ.
const MADE_EARLY_MS: i64 = 2 * 60 * 1000;

const USER: u32 = 1;
const HOST: u32 = 2;

/// Why a certificate was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not the line of a certificate over an Ed25519 key.
    #[error("it is not an OpenSSH certificate over an Ed25519 key: its type is `{found}`, not `{CERTIFICATE_TYPE}`")]
    Type {
        /// The type found, shortened and escaped.
        found: String,
    },
    /// A line or blob that does not hold together.
    #[error("it is malformed: {0}")]
    Malformed(&'static str),
    /// A certificate for hosts.
    #[error("it is a host certificate: leave out -h")]
    Host,
    /// The key that it certifies is refused.
    #[error("the key in it is refused: {0}")]
    Key(#[source] KeyError),
    /// The key that made it is refused.
    #[error("it was made with a key that is refused: {0}")]
    Authority(#[source] KeyError),
    /// Not signed by the key that it names.
    #[error("its signature is not by the key that it names")]
    Signature,
    /// It is for everybody or for several.
    #[error("it names {found} principals: exactly one is asked for, with -n")]
    Principals {
        /// How many.
        found: usize,
    },
    /// It says more than that a key is certified.
    #[error("it has {what}: make it with -O clear and no other -O")]
    Options {
        /// `critical options` or `extensions`.
        what: &'static str,
    },
    /// A serial number that JSON readers round.
    #[error("its serial number is above 2^53 - 1: choose another with -z, or leave it out")]
    Serial,
    /// Another key is certified.
    #[error("it is for the key {found}, and the agent's key is {expected}")]
    OtherKey {
        /// Fingerprint of the agent's key.
        expected: String,
        /// Fingerprint of the key in it.
        found: String,
    },
    /// Another key has signed it.
    #[error("it was made with the key {found}, and the agent was enrolled under the key {expected}")]
    OtherAuthority {
        /// Fingerprint of the owner's key.
        expected: String,
        /// Fingerprint of the key that signed.
        found: String,
    },
    /// Another agent, or an agent of another host.
    #[error("its {field} is `{found}`, not `{expected}`")]
    Name {
        /// `principal` or `key id`.
        field: &'static str,
        /// What it must be.
        expected: String,
        /// What it is, escaped.
        found: String,
    },
    /// Its time has not come.
    #[error("it does not hold before {after}")]
    NotYet {
        /// When it begins to hold.
        after: WallMs,
    },
    /// Its time is over.
    #[error("it lapsed on {before}")]
    Lapsed {
        /// When it lapsed.
        before: WallMs,
    },
    /// It holds for longer than is allowed.
    #[error("it holds until {before}, longer than 30 days: make it with -V +30d or less")]
    TooLong {
        /// When it would lapse.
        before: WallMs,
    },
}

/// What a certificate must be about.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The agent's key.
    pub key: &'a PublicKey,
    /// The owner's key.
    pub authority: &'a PublicKey,
    /// Name of the agent.
    pub name: &'a str,
    /// Trust domain of the host.
    pub trust_domain: &'a str,
}

impl Expected<'_> {
    /// The key id: `agentd:` and the name.
    pub fn key_id(&self) -> String {
        format!("agentd:{}", self.name)
    }

    /// The principal: the name at the trust domain.
    pub fn principal(&self) -> String {
        format!("{}@{}", self.name, self.trust_domain)
    }
}

/// A user certificate by one Ed25519 key over another. Text form is the line without a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    line: String,
    key: PublicKey,
    authority: PublicKey,
    serial: u64,
    key_id: String,
    principal: String,
    valid_after: WallMs,
    valid_before: WallMs,
}

impl Certificate {
    /// The key that is certified.
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The key that certifies.
    pub const fn authority(&self) -> &PublicKey {
        &self.authority
    }

    /// Its number; 0 where none was given.
    pub const fn serial(&self) -> u64 {
        self.serial
    }

    /// When it begins to hold.
    pub const fn valid_after(&self) -> WallMs {
        self.valid_after
    }

    /// When it no longer holds.
    pub const fn valid_before(&self) -> WallMs {
        self.valid_before
    }

    /// Whether it is about this agent and this owner, and holds now for 30 days at most.
    pub fn check(&self, expected: &Expected<'_>, now: WallMs) -> Result<(), CertificateError> {
        if self.authority != *expected.authority {
            return Err(CertificateError::OtherAuthority {
                expected: expected.authority.fingerprint(),
                found: self.authority.fingerprint(),
            });
        }
        if self.key != *expected.key {
            let (expected, found) = (expected.key.fingerprint(), self.key.fingerprint());
            return Err(CertificateError::OtherKey { expected, found });
        }
        for (field, found, expected) in
            [("principal", &self.principal, expected.principal()), ("key id", &self.key_id, expected.key_id())]
        {
            if *found != expected {
                return Err(CertificateError::Name { field, expected, found: shown(found.as_bytes()) });
            }
        }
        let (after, before) = (self.valid_after, self.valid_before);
        if before.as_ms().saturating_sub(after.as_ms()) > MAX_CERTIFICATE_MS + MADE_EARLY_MS {
            return Err(CertificateError::TooLong { before });
        }
        if now < after {
            return Err(CertificateError::NotYet { after });
        }
        if now >= before {
            return Err(CertificateError::Lapsed { before });
        }
        Ok(())
    }

    fn read(blob: &[u8]) -> Result<Self, CertificateError> {
        let cut = CertificateError::Malformed("it is cut short");
        let mut reader = Reader::new(blob);
        let mut string = || reader.string().ok_or_else(|| cut.clone());
        let (key_type, _nonce, key) = (string()?, string()?, string()?);
        if key_type != CERTIFICATE_TYPE.as_bytes() {
            return Err(CertificateError::Type { found: shown(key_type) });
        }
        let serial = reader.long().ok_or_else(|| cut.clone())?;
        let kind = reader.number().ok_or_else(|| cut.clone())?;
        let mut string = || reader.string().ok_or_else(|| cut.clone());
        let (key_id, principals) = (string()?, string()?);
        let valid_after = reader.long().ok_or_else(|| cut.clone())?;
        let valid_before = reader.long().ok_or_else(|| cut.clone())?;
        let mut string = || reader.string().ok_or_else(|| cut.clone());
        let (critical, extensions, _reserved, authority, signature) =
            (string()?, string()?, string()?, string()?, string()?);
        if !reader.is_empty() {
            return Err(CertificateError::Malformed("bytes follow its signature"));
        }
        match kind {
            USER => {}
            HOST => return Err(CertificateError::Host),
            _ => return Err(CertificateError::Malformed("it is neither for users nor for hosts")),
        }
        let key = key.try_into().map_err(|_| CertificateError::Malformed("the key in it is not 32 bytes"))?;
        let key = PublicKey::from_bytes(key).map_err(CertificateError::Key)?;
        let authority = PublicKey::from_blob(authority).map_err(CertificateError::Authority)?;
        // Everything before the signature is signed: the blob without its last field and the field's length.
        let signed = blob.len().checked_sub(4 + signature.len()).and_then(|end| blob.get(..end)).unwrap_or_default();
        authority.verify(signed, &signature_of(signature)?).map_err(|_| CertificateError::Signature)?;
        for (what, options) in [("critical options", critical), ("extensions", extensions)] {
            if !options.is_empty() {
                return Err(CertificateError::Options { what });
            }
        }
        if serial > MAX_NUMBER {
            return Err(CertificateError::Serial);
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Self {
            line: format!("{CERTIFICATE_TYPE} {}", BASE64.encode(blob)),
            key,
            authority,
            serial,
            key_id: text(key_id),
            principal: text(only_principal(principals)?),
            valid_after: seconds(valid_after),
            valid_before: seconds(valid_before),
        })
    }
}

/// The raw signature in its blob: string `ssh-ed25519`, string of 64 bytes.
fn signature_of(blob: &[u8]) -> Result<[u8; 64], CertificateError> {
    let malformed = CertificateError::Malformed("its signature is not one of an Ed25519 key");
    let mut reader = Reader::new(blob);
    match (reader.string(), reader.string(), reader.is_empty()) {
        (Some(kind), Some(raw), true) if kind == KEY_TYPE.as_bytes() => raw.try_into().map_err(|_| malformed),
        _ => Err(malformed),
    }
}

/// The one principal in a list of them.
fn only_principal(list: &[u8]) -> Result<&[u8], CertificateError> {
    let (mut reader, mut found) = (Reader::new(list), Vec::new());
    while !reader.is_empty() {
        found.push(reader.string().ok_or(CertificateError::Malformed("its principals are cut short"))?);
    }
    match found[..] {
        [only] => Ok(only),
        _ => Err(CertificateError::Principals { found: found.len() }),
    }
}

/// Seconds since 1970; what no clock here reaches is far in the future.
fn seconds(seconds: u64) -> WallMs {
    WallMs::saturating(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000))
}

/// At most 80 characters of a foreign word, escaped, for an error message.
fn shown(word: &[u8]) -> String {
    String::from_utf8_lossy(word).chars().take(80).flat_map(char::escape_default).collect()
}

impl FromStr for Certificate {
    type Err = CertificateError;

    /// Reads a line of a `-cert.pub` file. A comment is ignored.
    fn from_str(line: &str) -> Result<Self, CertificateError> {
        let malformed = CertificateError::Malformed;
        if line.len() > MAX_CERTIFICATE_BYTES {
            return Err(malformed("longer than 4096 bytes"));
        }
        let line = line.trim_ascii();
        if line.is_empty() {
            return Err(malformed("empty"));
        }
        if line.contains(char::is_control) {
            return Err(malformed("more than one line, or a control character in it"));
        }
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        if kind != CERTIFICATE_TYPE {
            return Err(CertificateError::Type { found: shown(kind.as_bytes()) });
        }
        let base64 = rest.split_once(' ').map_or(rest, |(base64, _)| base64);
        let blob = BASE64.decode(base64.as_bytes()).map_err(|_| malformed("the second word is not valid base64"))?;
        Self::read(&blob)
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

#[cfg(test)]
mod tests;
