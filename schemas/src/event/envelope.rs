//! What every event says, whatever its type.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::{Actor, EventData};
use crate::id::{RunId, ScheduleId, WorkId};
use crate::log::commitment::Commitment;
use crate::unit::name::Slug;
use crate::unit::time::WallMs;

/// Bytes of one event, at most.
pub const MAX_EVENT_BYTES: usize = 65_535;
/// The version of the envelope.
pub const EVENT_VERSION: u32 = 1;

/// What kind of thing an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// The host and its ledger.
    Host,
    /// An agent.
    Agent,
    /// A work and its runs.
    Work,
    /// A schedule.
    Schedule,
    /// A service-level objective.
    Objective,
    /// A money and token account.
    Account,
}

impl SubjectKind {
    /// As written in the envelope.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Agent => "agent",
            Self::Work => "work",
            Self::Schedule => "schedule",
            Self::Objective => "objective",
            Self::Account => "account",
        }
    }
}

/// What one event is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// The host and its ledger.
    Host,
    /// An agent by its name.
    Agent(Slug),
    /// A work.
    Work(WorkId),
    /// A schedule.
    Schedule(ScheduleId),
    /// An objective: `OWNER/NAME`.
    Objective(String),
    /// An account: `host`, `owner:UID` or `agent:NAME`, then `/day` or `/month`.
    Account(String),
}

impl Subject {
    /// The kind.
    pub const fn kind(&self) -> SubjectKind {
        match self {
            Self::Host => SubjectKind::Host,
            Self::Agent(_) => SubjectKind::Agent,
            Self::Work(_) => SubjectKind::Work,
            Self::Schedule(_) => SubjectKind::Schedule,
            Self::Objective(_) => SubjectKind::Objective,
            Self::Account(_) => SubjectKind::Account,
        }
    }

    /// The id as written in the envelope.
    pub fn id(&self) -> String {
        match self {
            Self::Host => "host".to_owned(),
            Self::Agent(name) => name.to_string(),
            Self::Work(id) => id.to_string(),
            Self::Schedule(id) => id.to_string(),
            Self::Objective(id) | Self::Account(id) => id.clone(),
        }
    }

    /// Reads kind and id back.
    pub fn parse(kind: SubjectKind, id: &str) -> Option<Self> {
        Some(match kind {
            SubjectKind::Host => Self::Host,
            SubjectKind::Agent => Self::Agent(id.parse().ok()?),
            SubjectKind::Work => Self::Work(id.parse().ok()?),
            SubjectKind::Schedule => Self::Schedule(id.parse().ok()?),
            SubjectKind::Objective => Self::Objective(id.to_owned()),
            SubjectKind::Account => Self::Account(id.to_owned()),
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Work(id) => write!(f, "work {id}"),
            other => write!(f, "{} {}", other.kind().as_str(), other.id()),
        }
    }
}

/// How sure the daemon is of who called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assurance {
    /// The daemon itself.
    Internal,
    /// The kernel named the uid of the connection.
    Session,
    /// The same, and the uid is a named automation's: no person was there.
    Unattended,
    /// A key was proved on this connection or token, and the uid fits it.
    Key,
    /// The person was asked again.
    Reauth,
    /// A key in hardware signed.
    Hardware,
}

/// Which rules decided, and the digest of the set they belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// Ids of the rules that allowed it.
    pub rules: Vec<String>,
    /// SHA-256 of the rule set, hex.
    pub set: String,
}

/// The idempotency key of the command that made this event, with the digest of its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestKey {
    /// The key, at most 128 bytes.
    pub key: String,
    /// SHA-256 of the command's body, hex.
    pub digest: String,
    /// Events of the command, this one included.
    pub events: u32,
}

/// A salted commitment to content that is kept beside the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// Which of the event's blobs.
    pub slot: u8,
    /// SHA-256(salt ‖ content), hex.
    pub commitment: Commitment,
    /// Bytes of the content.
    pub size: u64,
    /// Media type of the content.
    pub media_type: String,
}

/// The envelope without its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Place in the log.
    pub index: u64,
    /// What it is about.
    pub subject: Subject,
    /// 1 for the subject's first event, then one more each.
    pub version: u64,
    /// Wall time.
    pub time: WallMs,
    /// Boot of the kernel that wrote it, 32 hex.
    pub boot: String,
    /// Milliseconds since that boot, sleep included.
    pub boot_ms: u64,
    /// Who did it.
    pub actor: Actor,
    /// For whom, when that is somebody else: the owner of an agent, of a schedule.
    pub on_behalf: Option<Actor>,
    /// How sure the daemon is of the actor.
    pub assurance: Assurance,
    /// The run that it belongs to.
    pub run: Option<RunId>,
    /// The model epoch of the agent.
    pub epoch: Option<u32>,
    /// The decision that allowed it.
    pub decided: Option<Decided>,
    /// The command's idempotency key, on its first event.
    pub request: Option<RequestKey>,
    /// The event that caused it, when one did.
    pub cause: Option<u64>,
    /// Commitments to content.
    pub blobs: Vec<BlobRef>,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The envelope.
    pub envelope: Envelope,
    /// What happened.
    pub data: EventData,
}

/// The wire form: one flat object, fields in this order.
#[derive(Serialize)]
struct Out<'a> {
    v: u32,
    index: u64,
    subject: SubjectKind,
    id: &'a str,
    version: u64,
    #[serde(rename = "type")]
    kind: &'static str,
    time: WallMs,
    boot: &'a str,
    boot_ms: u64,
    actor: &'a Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf: Option<&'a Actor>,
    assurance: Assurance,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided: Option<&'a Decided>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a RequestKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<u64>,
    #[serde(skip_serializing_if = "slice_is_empty")]
    blobs: &'a [BlobRef],
    data: &'a EventData,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn slice_is_empty<T>(slice: &&[T]) -> bool {
    slice.is_empty()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct In<'a> {
    v: u32,
    index: u64,
    subject: SubjectKind,
    #[serde(borrow)]
    id: std::borrow::Cow<'a, str>,
    version: u64,
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    time: WallMs,
    boot: String,
    boot_ms: u64,
    actor: Actor,
    #[serde(default)]
    on_behalf: Option<Actor>,
    assurance: Assurance,
    #[serde(default)]
    run: Option<RunId>,
    #[serde(default)]
    epoch: Option<u32>,
    #[serde(default)]
    decided: Option<Decided>,
    #[serde(default)]
    request: Option<RequestKey>,
    #[serde(default)]
    cause: Option<u64>,
    #[serde(default)]
    blobs: Vec<BlobRef>,
    #[serde(borrow)]
    data: &'a serde_json::value::RawValue,
}

/// Why the bytes of an event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not the JSON of an event.
    #[error("event is not readable: {0}")]
    Json(#[from] serde_json::Error),
    /// Written by a newer agentd.
    #[error("event has envelope version {0}, this agentd reads {EVENT_VERSION}")]
    Version(u32),
    /// A type that this agentd does not know.
    #[error("event has the unknown type {0:?}")]
    Type(String),
    /// Subject kind and id do not fit.
    #[error("event has the malformed subject id {0:?}")]
    Subject(String),
    /// Larger than an event may be.
    #[error("event has {0} bytes, at most {MAX_EVENT_BYTES} are allowed")]
    TooLarge(usize),
}

impl Event {
    /// The exact bytes that are stored and hashed.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EventError> {
        let envelope = &self.envelope;
        let id = envelope.subject.id();
        let out = Out {
            v: EVENT_VERSION,
            index: envelope.index,
            subject: envelope.subject.kind(),
            id: &id,
            version: envelope.version,
            kind: self.data.type_name(),
            time: envelope.time,
            boot: &envelope.boot,
            boot_ms: envelope.boot_ms,
            actor: &envelope.actor,
            on_behalf: envelope.on_behalf.as_ref(),
            assurance: envelope.assurance,
            run: envelope.run,
            epoch: envelope.epoch,
            decided: envelope.decided.as_ref(),
            request: envelope.request.as_ref(),
            cause: envelope.cause,
            blobs: &envelope.blobs,
            data: &self.data,
        };
        let mut bytes = Vec::with_capacity(640);
        serde_json::to_writer(&mut bytes, &out)?;
        if bytes.len() > MAX_EVENT_BYTES {
            return Err(EventError::TooLarge(bytes.len()));
        }
        Ok(bytes)
    }

    /// Reads the stored bytes back.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EventError> {
        let read: In<'_> = serde_json::from_slice(bytes)?;
        if read.v != EVENT_VERSION {
            return Err(EventError::Version(read.v));
        }
        let subject =
            Subject::parse(read.subject, &read.id).ok_or_else(|| EventError::Subject(read.id.clone().into_owned()))?;
        let data = EventData::parse(&read.kind, read.data.get())?;
        let envelope = Envelope {
            index: read.index,
            subject,
            version: read.version,
            time: read.time,
            boot: read.boot,
            boot_ms: read.boot_ms,
            actor: read.actor,
            on_behalf: read.on_behalf,
            assurance: read.assurance,
            run: read.run,
            epoch: read.epoch,
            decided: read.decided,
            request: read.request,
            cause: read.cause,
            blobs: read.blobs,
        };
        Ok(Self { envelope, data })
    }
}
