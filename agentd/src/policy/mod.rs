//! Who may do what: `authorize(caller, action, resource)` gives allow or deny with the ids of the rules that decided.
//!
//! Every door and every query calls it. Today's rules are built in; their ids and texts are hashed into each event, so
//! that an auditor knows which set decided. An action that no rule allows is denied, and an agent can never reach what
//! only persons may do, whatever its uid.

mod action;
mod caller;
mod presence;
mod rules;

pub use action::Action;
pub use caller::{Caller, Viewer};
pub use presence::{Presence, Proving, Witness, Witnessed};
pub use rules::{RULES, authorize, by_host, set_digest};

use agentd_schemas::unit::name::Slug;

/// What is acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// For the record: `work w-…`, `agent fixer`, `host`.
    pub name: String,
    /// The uid that it belongs to; the host belongs to nobody.
    pub owner: Option<u32>,
    /// The agent that it is, or that holds it.
    pub agent: Option<Slug>,
    /// It is shut out until an operator says otherwise.
    pub suspended: bool,
}

impl Resource {
    /// The host and its ledger.
    pub fn host() -> Self {
        Self { name: "host".to_owned(), owner: None, agent: None, suspended: false }
    }

    /// What is the caller's own: its part of a list, and what it is about to make.
    pub fn own(name: impl Into<String>, caller: &Caller) -> Self {
        Self { name: name.into(), owner: Some(caller.uid), agent: caller.agent_name().cloned(), suspended: false }
    }

    /// Something of an owner.
    pub fn owned(name: impl Into<String>, owner: u32) -> Self {
        Self { name: name.into(), owner: Some(owner), agent: None, suspended: false }
    }
}

/// The answer, and the rules that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Allowed by this rule.
    Allow(&'static str),
    /// Denied by this rule, or by `no_rule`.
    Deny(&'static str),
}
