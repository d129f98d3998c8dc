//! Who asks, as the door learned it from the kernel and from proofs.

use std::sync::Arc;

use agentd_schemas::event::{Actor, Assurance};
use agentd_schemas::id::RunId;
use agentd_schemas::unit::name::Slug;

use super::Witnessed;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who stands in the event.
    pub actor: Actor,
    /// The uid that the kernel named.
    pub uid: u32,
    /// Root, the daemon's own uid, or a member of the operator group. Never an agent.
    pub operator: bool,
    /// A member of the auditor group. Never an agent.
    pub auditor: bool,
    /// How sure the daemon is.
    pub assurance: Assurance,
    /// The run that speaks, at its own socket, and nobody else for it.
    pub run: Option<RunId>,
    /// On a host that serves all its users, who is in none of agentd's groups: the group that it would have to be in.
    pub outside: Option<Arc<str>>,
    /// The group of the host's operators, for who is told that they alone may.
    pub operators: Option<Arc<str>>,
    /// Who proves that it is there, where an operator has to.
    pub presence: Witnessed,
}

impl Caller {
    /// The daemon itself: timers, recovery, effects.
    pub const fn host() -> Self {
        let (operator, auditor) = (false, false);
        Self::of(Actor::Host, u32::MAX, operator, auditor, Assurance::Internal)
    }

    const fn of(actor: Actor, uid: u32, operator: bool, auditor: bool, assurance: Assurance) -> Self {
        let presence = Witnessed::nobody();
        Self { actor, uid, operator, auditor, assurance, run: None, outside: None, operators: None, presence }
    }

    /// A person or a program of theirs.
    pub const fn person(uid: u32, operator: bool, auditor: bool) -> Self {
        Self::of(Actor::Uid(uid), uid, operator, auditor, Assurance::Session)
    }

    /// The same person, who is in none of agentd's groups and would have to be in this one.
    #[must_use]
    pub fn outside_of(self, group: Arc<str>) -> Self {
        Self { outside: Some(group), ..self }
    }

    /// The same person, on a host whose operators are in this group.
    #[must_use]
    pub fn governed_by(self, operators: Arc<str>) -> Self {
        Self { operators: Some(operators), ..self }
    }

    /// The same uid, where nobody sits: a named automation's.
    #[must_use]
    pub fn unattended(self) -> Self {
        Self { assurance: Assurance::Unattended, ..self }
    }

    /// An agent that proved possession of its key.
    pub const fn agent(name: Slug, uid: u32) -> Self {
        let (operator, auditor) = (false, false);
        Self::of(Actor::Agent(name), uid, operator, auditor, Assurance::Key)
    }

    /// A run that agentd started, for its agent. The kernel says that it is the run; no key was proved.
    pub fn run(agent: Slug, owner: u32, run: RunId) -> Self {
        Self { assurance: Assurance::Session, run: Some(run), ..Self::agent(agent, owner) }
    }

    /// The agent's name, when an agent asks.
    pub const fn agent_name(&self) -> Option<&Slug> {
        match &self.actor {
            Actor::Agent(name) => Some(name),
            _ => None,
        }
    }

    /// What it may see.
    pub fn viewer(&self) -> Viewer {
        let all = self.operator || self.auditor || self.actor == Actor::Host;
        Viewer { uid: self.uid, all, agent: self.agent_name().cloned() }
    }
}

/// What somebody may see: everything, or what belongs to a uid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// The uid.
    pub uid: u32,
    /// Operators and auditors see everything.
    pub all: bool,
    /// An agent sees what it works on.
    pub agent: Option<Slug>,
}

impl Viewer {
    /// Sees everything: what the daemon looks with to tell what is hidden from what never was. Its findings go into the
    /// record and to nobody else.
    pub const fn everything() -> Self {
        Self { uid: u32::MAX, all: true, agent: None }
    }

    /// Whether it may see what belongs to this uid.
    pub const fn sees(&self, owner: u32) -> bool {
        self.all || (self.agent.is_none() && self.uid == owner)
    }
}
