//! What the first event of an incarnation announces, and what it must be to hold together: named as its number has it,
//! with keys that the host's authority has certified, and begun where the incarnation before ended.

use data_encoding::BASE64;

use super::note::{Checkpoint, NoteError, VerifierKey};
use super::tree::Hash;
use crate::event::{Event, EventData};
use crate::key::host_key::{self, CertificateError};
use crate::key::openssh::{KeyError, PublicKey};

/// What the beginning of an incarnation announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Index of the event.
    pub index: u64,
    /// Number of the incarnation, from 1.
    pub incarnation: u32,
    /// Origin of its checkpoints.
    pub origin: String,
    /// Trust domain of the host.
    pub trust_domain: String,
    /// The key that signs the checkpoints.
    pub log_key: VerifierKey,
    /// The key that certified the others.
    pub authority: PublicKey,
    /// The key for credentials of runs.
    pub issuer: PublicKey,
    /// Signatures (base64) of the authority over issuer and log key.
    pub certificates: Vec<String>,
    /// What the secret of request digests is bound by; see docs/ledger.md.
    pub request_key: String,
    /// Where the incarnation before ended.
    pub previous: Option<Checkpoint>,
}

/// Why the beginning of an incarnation does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnnouncedError {
    /// Not the form of a root.
    #[error("its previous root is not base64 of 32 bytes")]
    PreviousRoot,
    /// Not a key of a log.
    #[error("its log key: {0}")]
    LogKey(NoteError),
    /// Not a key of a host.
    #[error("its {role} key: {source}")]
    Key {
        /// Which.
        role: &'static str,
        /// What is wrong.
        source: KeyError,
    },
    /// The log key is named otherwise than the origin.
    #[error("its log key is of {name}, not of {origin}")]
    KeyName {
        /// The key's name.
        name: String,
        /// The origin.
        origin: String,
    },
    /// The origin is not made of trust domain and number.
    #[error("its origin is {found}, incarnation {incarnation} of {trust_domain} has another")]
    Origin {
        /// The origin.
        found: String,
        /// The number.
        incarnation: u32,
        /// The trust domain.
        trust_domain: String,
    },
    /// The authority did not certify the keys.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The first event begins no log.
    #[error("the log does not begin with its start")]
    NoStart,
    /// A start that is not the first event.
    #[error("the log starts a second time")]
    SecondStart,
    /// It does not go on where the one before ended.
    #[error("it follows {origin} at {size} events, not {before}")]
    Follows {
        /// What it says that it follows.
        origin: String,
        /// And where.
        size: u64,
        /// What was before it.
        before: String,
    },
    /// A number or an origin that was there before.
    #[error("it does not rise above incarnation {before}")]
    NoRise {
        /// The number before.
        before: u32,
    },
}

/// Origin of an incarnation: `<trust-domain>/log/<incarnation>`.
pub fn origin(trust_domain: &str, incarnation: u32) -> String {
    format!("{trust_domain}/log/{incarnation}")
}

/// The trust domain and the number in an origin, where it is one of agentd.
pub fn parse_origin(text: &str) -> Option<(&str, u32)> {
    let (trust_domain, number) = text.rsplit_once("/log/")?;
    let number = number.parse().ok()?;
    (origin(trust_domain, number) == text).then_some((trust_domain, number))
}

impl Announced {
    /// Reads what an event announces; `Ok(None)` when it begins no incarnation.
    pub fn read(event: &Event) -> Result<Option<Self>, AnnouncedError> {
        let key = |role, text: &str| text.parse().map_err(|source| AnnouncedError::Key { role, source });
        let log_key = |text: &str| text.parse().map_err(AnnouncedError::LogKey);
        let index = event.envelope.index;
        let announced = match &event.data {
            EventData::LogStarted(data) => Self {
                index,
                incarnation: data.incarnation,
                origin: data.origin.clone(),
                trust_domain: data.trust_domain.clone(),
                log_key: log_key(&data.log_key)?,
                authority: key("authority", &data.authority_key)?,
                issuer: key("issuer", &data.issuer_key)?,
                certificates: data.key_certificates.clone(),
                request_key: data.request_key.clone(),
                previous: None,
            },
            EventData::IncarnationStarted(data) => {
                let root = BASE64.decode(data.previous_root.as_bytes()).ok().and_then(|root| root.try_into().ok());
                let root = root.map(Hash).ok_or(AnnouncedError::PreviousRoot)?;
                let trust_domain = data.origin.rsplit_once("/log/").map_or("", |(trust_domain, _)| trust_domain);
                Self {
                    index,
                    incarnation: data.incarnation,
                    origin: data.origin.clone(),
                    trust_domain: trust_domain.to_owned(),
                    log_key: log_key(&data.log_key)?,
                    authority: key("authority", &data.authority_key)?,
                    issuer: key("issuer", &data.issuer_key)?,
                    certificates: data.key_certificates.clone(),
                    request_key: data.request_key.clone(),
                    previous: Some(Checkpoint { origin: data.previous_origin.clone(), size: data.previous_size, root }),
                }
            }
            _ => return Ok(None),
        };
        let name = announced.log_key.name();
        if name != announced.origin {
            return Err(AnnouncedError::KeyName { name: name.to_owned(), origin: announced.origin });
        }
        Ok(Some(announced))
    }

    /// Checks it on its own: the origin, and the certificates of the keys.
    pub fn check(&self) -> Result<(), AnnouncedError> {
        let Self { incarnation, trust_domain, .. } = self;
        if origin(trust_domain, *incarnation) != self.origin {
            let (found, trust_domain) = (self.origin.clone(), trust_domain.clone());
            return Err(AnnouncedError::Origin { found, incarnation: *incarnation, trust_domain });
        }
        let log = PublicKey::from_bytes(self.log_key.key().as_bytes());
        let log = log.map_err(|source| AnnouncedError::Key { role: "log", source })?;
        Ok(host_key::check(&self.certificates, &self.authority, trust_domain, &self.issuer, &log)?)
    }

    /// Checks that it goes on where the one before it ended; of the first one, that it begins the log. The root that it
    /// says the log had is the caller's to compare.
    pub fn check_place(&self, before: Option<&Self>) -> Result<(), AnnouncedError> {
        let (before, previous) = match (before, &self.previous) {
            (None, None) if self.index == 0 => return Ok(()),
            (None, _) => return Err(AnnouncedError::NoStart),
            (Some(_), None) => return Err(AnnouncedError::SecondStart),
            (Some(before), Some(previous)) => (before, previous),
        };
        if previous.origin != before.origin || previous.size != self.index {
            let (origin, size) = (previous.origin.clone(), previous.size);
            return Err(AnnouncedError::Follows { origin, size, before: before.origin.clone() });
        }
        if self.incarnation <= before.incarnation || self.origin == before.origin {
            return Err(AnnouncedError::NoRise { before: before.incarnation });
        }
        Ok(())
    }
}
