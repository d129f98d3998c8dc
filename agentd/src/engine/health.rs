//! What is wrong with the daemon itself, as long as it is: each thing has one line in the status of the host.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Engine;

/// What a complaint is about. There is one at a time about each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// The bus that should be served.
    Bus,
    /// The configuration file.
    Configuration,
    /// The groups of the host.
    Groups,
}

/// The complaints of the moment.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Mutex<BTreeMap<About, String>>);

impl Complaints {
    /// The lines, in the order of what they are about.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl Engine {
    /// Something is wrong from now on.
    pub fn complain(&self, about: About, line: impl Into<String>) {
        self.0.complaints.0.lock().unwrap_or_else(PoisonError::into_inner).insert(about, line.into());
    }

    /// It is not wrong any more.
    pub fn is_well(&self, about: About) {
        self.0.complaints.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&about);
    }
}
