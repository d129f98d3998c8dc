//! Continuity of each subject's versions: a version that is missing or repeated means that events were.

use std::collections::HashMap;

use super::error::Fault;

/// The latest version seen of each subject, by kind and id.
#[derive(Debug, Clone, Default)]
pub(super) struct Versions {
    latest: HashMap<Box<str>, HashMap<Box<str>, u64>>,
}

impl Versions {
    /// Takes note of a version. In a whole export it must be one more than the last, beginning with 1; in a partial one
    /// it must be larger.
    pub(super) fn advance(&mut self, whole: bool, subject: &str, id: &str, version: u64) -> Result<(), Fault> {
        let last = self.latest.get(subject).and_then(|ids| ids.get(id)).copied().unwrap_or(0);
        if version <= last || (whole && version != last + 1) {
            return Err(Fault::Version { subject: subject.to_owned(), id: id.to_owned(), last, version });
        }
        if !self.latest.contains_key(subject) {
            self.latest.insert(subject.into(), HashMap::new());
        }
        let Some(ids) = self.latest.get_mut(subject) else {
            return Ok(());
        };
        match ids.get_mut(id) {
            Some(latest) => *latest = version,
            None => drop(ids.insert(id.into(), version)),
        }
        Ok(())
    }

    /// Number of subjects seen.
    pub(super) fn subjects(&self) -> u64 {
        self.latest.values().map(|ids| ids.len() as u64).sum()
    }
}
