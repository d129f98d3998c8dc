//! An event before it has a place in the log.

use agentd_schemas::event::{Actor, EventData, Subject};
use agentd_schemas::id::RunId;

/// Content that the event commits to. The ledger salts it and stores it beside the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBlob {
    /// Which of the event's blobs.
    pub slot: u8,
    /// Media type.
    pub media_type: &'static str,
    /// The exact bytes.
    pub bytes: Vec<u8>,
}

/// An event before the ledger gives it index, version, time, boot and decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// What it is about.
    pub subject: Subject,
    /// What happened.
    pub data: EventData,
    /// Who, when it is not the caller of the command.
    pub actor: Option<Actor>,
    /// For whom.
    pub on_behalf: Option<Actor>,
    /// The run that it belongs to.
    pub run: Option<RunId>,
    /// The model epoch of the agent.
    pub epoch: Option<u32>,
    /// The event that caused it.
    pub cause: Option<u64>,
    /// Content.
    pub blobs: Vec<NewBlob>,
}

impl Draft {
    /// An event about `subject`, by the caller.
    pub fn new(subject: Subject, data: impl Into<EventData>) -> Self {
        Self {
            subject,
            data: data.into(),
            actor: None,
            on_behalf: None,
            run: None,
            epoch: None,
            cause: None,
            blobs: Vec::new(),
        }
    }

    /// It happens by a rule of the daemon, whoever called.
    #[must_use]
    pub fn by_host(mut self) -> Self {
        self.actor = Some(Actor::Host);
        self
    }

    /// It happens for this uid.
    #[must_use]
    pub fn on_behalf_of(mut self, uid: u32) -> Self {
        self.on_behalf = Some(Actor::Uid(uid));
        self
    }

    /// It belongs to this run, under this model epoch.
    #[must_use]
    pub fn in_run(mut self, run: RunId, epoch: u32) -> Self {
        self.run = Some(run);
        self.epoch = Some(epoch);
        self
    }

    /// Another event caused it.
    #[must_use]
    pub fn because_of(mut self, event: u64) -> Self {
        self.cause = Some(event);
        self
    }

    /// It commits to this content.
    #[must_use]
    pub fn with_blob(mut self, slot: u8, media_type: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        self.blobs.push(NewBlob { slot, media_type, bytes: bytes.into() });
        self
    }
}
