//! Continuity of each subject's versions, over parts of the log that are read side by side.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use super::fault::EventFault;
use super::prefix::Prefix;

/// What a part of the log has of one subject.
#[derive(Debug, Clone, Copy)]
struct Track {
    /// Index of the subject's first event, as the column has it.
    subject: u64,
    /// Index of the first event in this part.
    first: u64,
    /// Its version.
    first_version: u64,
    /// Version of the last event in this part.
    last_version: u64,
}

/// The subjects of one part. Keys are hashes of kind and id under a random key, so that two subjects are taken for one
/// another once in 2⁶⁴ pairs, and nobody can prepare such a pair.
pub(super) struct Subjects<'a> {
    hasher: &'a RandomState,
    tracks: HashMap<u64, Track, BuildHasherDefault<AsIs>>,
}

/// A fault and the event that has it.
pub(super) type Found = (u64, EventFault);

impl<'a> Subjects<'a> {
    /// No subject yet. Parts that are joined share their hasher.
    pub(super) fn new(hasher: &'a RandomState) -> Self {
        Self { hasher, tracks: HashMap::default() }
    }

    /// Makes room for as many more.
    pub(super) fn reserve(&mut self, subjects: usize) {
        self.tracks.reserve(subjects);
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.tracks.len() as u64
    }

    /// Takes the next event of this part; `subject` is the column beside it.
    pub(super) fn advance(&mut self, prefix: &Prefix<'_>, subject: u64) -> Result<(), EventFault> {
        let Prefix { index, version, .. } = *prefix;
        if version == 1 && subject != index {
            return Err(EventFault::Column { column: "subject", found: subject, expected: index });
        }
        let new = Track { subject, first: index, first_version: version, last_version: version };
        match self.tracks.entry(self.hasher.hash_one(prefix.subject)) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(new);
                Ok(())
            }
            std::collections::hash_map::Entry::Occupied(mut entry) => {
                follows(entry.get(), &new)?;
                entry.get_mut().last_version = version;
                Ok(())
            }
        }
    }

    /// Joins the part that comes after this one. The fault with the smallest index is told.
    pub(super) fn join(&mut self, later: Self) -> Result<(), Found> {
        let mut faults: Vec<Found> = Vec::new();
        for (key, new) in later.tracks {
            let fault = match self.tracks.get(&key) {
                Some(track) => follows(track, &new).err(),
                None => begins(&new).err(),
            };
            faults.extend(fault.map(|fault| (new.first, fault)));
            let first = self.tracks.get(&key).map_or(new.first, |track| track.first);
            self.tracks.insert(key, Track { first, ..new });
        }
        faults.into_iter().min_by_key(|(index, _)| *index).map_or(Ok(()), Err)
    }

    /// Checks that every subject of the first part begins in it.
    pub(super) fn check_start(&self) -> Result<(), Found> {
        let faults = self.tracks.values().filter_map(|track| Some((track.first, begins(track).err()?)));
        faults.min_by_key(|(index, _)| *index).map_or(Ok(()), Err)
    }
}

fn begins(new: &Track) -> Result<(), EventFault> {
    if new.first_version == 1 { Ok(()) } else { Err(EventFault::Version { last: 0, version: new.first_version }) }
}

fn follows(before: &Track, new: &Track) -> Result<(), EventFault> {
    if new.first_version != before.last_version + 1 {
        return Err(EventFault::Version { last: before.last_version, version: new.first_version });
    }
    if new.subject != before.subject {
        return Err(EventFault::Column { column: "subject", found: new.subject, expected: before.subject });
    }
    Ok(())
}

/// Takes a hash for what it is.
#[derive(Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Index, subject id, column, version.
    type Row = (u64, &'static str, u64, u64);

    /// The verdict on the rows, cut before `at`.
    fn verdict(rows: &[Row], at: usize) -> Result<u64, String> {
        let hasher = RandomState::new();
        let part = |rows: &[Row]| -> Result<Subjects<'_>, Found> {
            let mut part = Subjects::new(&hasher);
            for (index, id, subject, version) in rows {
                let prefix = Prefix { index: *index, subject: id.as_bytes(), version: *version, kind: b"T" };
                part.advance(&prefix, *subject).map_err(|fault| (*index, fault))?;
            }
            Ok(part)
        };
        let joined = || {
            let mut all = part(&rows[..at])?;
            all.check_start()?;
            all.join(part(&rows[at..])?)?;
            Ok(all.len())
        };
        joined().map_err(|(index, fault): Found| format!("{index}: {fault}"))
    }

    #[test]
    fn versions_are_followed_wherever_the_log_is_cut() {
        let good = [(0, "a", 0, 1), (1, "b", 1, 1), (2, "a", 0, 2), (3, "b", 1, 2), (4, "a", 0, 3)];
        let skipped = [(0, "a", 0, 1), (1, "b", 1, 1), (2, "a", 0, 3)];
        let repeated = [(0, "a", 0, 1), (1, "a", 0, 2), (2, "a", 0, 2)];
        let twice_new = [(0, "a", 0, 1), (1, "b", 1, 1), (2, "a", 2, 1)];
        let headless = [(0, "a", 0, 1), (1, "b", 0, 2)];
        let column = [(0, "a", 0, 1), (1, "b", 1, 1), (2, "a", 1, 2)];
        let own = [(0, "a", 0, 1), (1, "b", 0, 1)];
        for at in 0..=good.len() {
            assert_eq!(verdict(&good, at), Ok(2), "{at}");
        }
        let cases: [(&[Row], &str); 6] = [
            (&skipped, "2: its subject goes from version 1 to version 3"),
            (&repeated, "2: its subject goes from version 2 to version 2"),
            (&twice_new, "2: its subject goes from version 1 to version 1"),
            (&headless, "1: its subject goes from version 0 to version 2"),
            (&column, "2: column subject says 1, its bytes say 0"),
            (&own, "1: column subject says 0, its bytes say 1"),
        ];
        for (rows, says) in cases {
            for at in 0..=rows.len() {
                assert_eq!(verdict(rows, at), Err(says.to_owned()), "{at}");
            }
        }
    }
}
