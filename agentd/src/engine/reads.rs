//! How often something was read. Reading changes nothing and is no event; that it happens is counted.

use std::sync::atomic::{AtomicU64, Ordering};

use agentd_schemas::view::Reads as Counts;

use crate::policy::{Action, Caller, Resource};

/// Reads since the start.
#[derive(Default)]
pub(crate) struct Reads {
    own: AtomicU64,
    others: AtomicU64,
}

impl Reads {
    /// Counts one: of what is the reader's own, or of what belongs to others.
    pub(crate) fn count(&self, others: bool) {
        let counter = if others { &self.others } else { &self.own };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts since the start.
    pub(crate) fn counts(&self) -> Counts {
        Counts { own: self.own.load(Ordering::Relaxed), others: self.others.load(Ordering::Relaxed) }
    }
}

/// Whether an allowed action reads, and then whether it reads what belongs to others.
pub(super) fn read(caller: &Caller, action: Action, resource: &Resource) -> Option<bool> {
    match action {
        Action::WorkRead | Action::AgentRead | Action::ScheduleRead | Action::ObjectiveRead => {
            Some(resource.owner.is_some_and(|owner| owner != caller.uid))
        }
        Action::HostRead | Action::HostExamine | Action::LedgerReadOwn => Some(false),
        Action::LedgerReadAll | Action::LedgerBackup => Some(true),
        _ => None,
    }
}
