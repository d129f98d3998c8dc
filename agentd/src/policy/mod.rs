//! Who may do what: `authorize(caller, action, resource)` gives allow or deny with the id of the rule that decided.
//!
//! Every door and every query calls it. What is forbidden always is built in (`rules`); what is allowed are policies in Cedar:
//! the defaults, which are compiled in, and a host's own (`folder`). A [`Set`] is all of them together. It never changes; another
//! takes its place as a whole. Its SHA-256 stands in each event, so that an auditor knows which set decided. An action that
//! nothing allows is denied, one whose policies err is denied, and an agent can never reach what only persons may do.

mod action;
mod caller;
mod compile;
mod facts;
pub mod folder;
mod guard;
mod presence;
mod rejected;
pub mod requests;
mod rules;
mod set;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

pub use action::Action;
pub use caller::{Caller, Viewer};
pub use compile::Known;
pub use presence::{Presence, Proving, Witness, Witnessed};
pub use rejected::Rejected;
pub use set::{BROKEN, Explained, Set, Source, Sources, UNREADABLE};

use agentd_schemas::event::Decided;
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

/// The answer, and the id of the rule that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Allowed by this rule.
    Allow(Arc<str>),
    /// Denied by this rule, or by `no_rule`.
    Deny(Arc<str>),
}

/// Every rule that is built in, and whether it forbids: id and words.
pub fn built_in_rules() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    let forbids = rules::FORBIDS.iter().map(|rule| (rule.id, rule.says, true));
    forbids.chain([(rules::HOST_ACTS.id, rules::HOST_ACTS.says, false)])
}

/// The decision that stands in what the daemon does by itself. It is made once, by what is built in, which no file changes;
/// the set that it names is the one without a host's policies.
pub fn by_host() -> &'static Decided {
    static BY_HOST: OnceLock<Decided> = OnceLock::new();
    BY_HOST.get_or_init(|| Set::built_in().decided(rules::HOST_ACTS.id))
}
