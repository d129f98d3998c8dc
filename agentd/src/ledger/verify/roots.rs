//! Roots: of the tree at any size asked for, of the stored nodes, and of every checkpoint.

use agentd_schemas::log::announced::AnnouncedError;
use agentd_schemas::log::note::{Checkpoint, SignedNote, VerifierKey};
use agentd_schemas::log::tree::{Frontier, Hash};
use rusqlite::Connection;

use super::fault::{CheckpointFault, EventFault, VerifyError};
use super::scan::Part;
use crate::ledger::incarnation::Announced;
use crate::ledger::tree::{self, BLOCK, STORED_LEVEL};

/// The tree as read, asked for its roots in ascending order.
pub(super) struct Roots<'p> {
    blocks: &'p [Hash],
    peaks: &'p [(u64, Vec<Hash>)],
    /// Covers the first `taken` blocks.
    frontier: Frontier,
    taken: usize,
}

impl<'p> Roots<'p> {
    pub(super) fn new(part: &'p Part<'_>) -> Self {
        Self { blocks: &part.blocks, peaks: &part.peaks, frontier: Frontier::new(), taken: 0 }
    }

    /// The root of the first `size` events; `None` for a size that was not asked for when they were read.
    pub(super) fn at(&mut self, size: u64) -> Option<Hash> {
        let whole = usize::try_from(size / BLOCK).ok()?;
        if whole < self.taken {
            (self.frontier, self.taken) = (Frontier::new(), 0);
        }
        for block in self.blocks.get(self.taken..whole)? {
            self.frontier.append_subtree(STORED_LEVEL, *block).ok()?;
        }
        self.taken = whole;
        if size.is_multiple_of(BLOCK) {
            return Some(self.frontier.root());
        }
        let at = self.peaks.binary_search_by_key(&size, |(size, _)| *size).ok()?;
        let mut frontier = self.frontier.clone();
        let levels = (0..STORED_LEVEL).rev().filter(|level| size >> level & 1 == 1);
        for (level, peak) in levels.zip(&self.peaks[at].1) {
            frontier.append_subtree(level, *peak).ok()?;
        }
        Some(frontier.root())
    }

    /// Compares a checkpoint with what is stored.
    pub(super) fn check(&mut self, checkpoint: &Checkpoint) -> Result<(), CheckpointFault> {
        let Checkpoint { size, root: signed, .. } = *checkpoint;
        match self.at(size) {
            Some(stored) if stored == signed => Ok(()),
            Some(stored) => Err(CheckpointFault::Root { size, signed, stored }),
            None => Err(CheckpointFault::Behind { size, stored: self.blocks.len() as u64 * BLOCK }),
        }
    }
}

/// Every incarnation of the log, the first one first.
pub(super) struct Incarnations<'p> {
    begun: &'p [Announced],
    keys: Vec<VerifierKey>,
    size: u64,
}

impl<'p> Incarnations<'p> {
    /// Checks that the log begins with one, and that each begins where the one before ended.
    pub(super) fn new(begun: &'p [Announced], size: u64, roots: &mut Roots<'_>) -> Result<Self, VerifyError> {
        let fault = |index, why: String| VerifyError::Event { index, fault: EventFault::Incarnation(why) };
        if size > 0 && begun.is_empty() {
            return Err(fault(0, AnnouncedError::NoStart.to_string()));
        }
        for (at, now) in begun.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|at| begun.get(at));
            now.check_place(before).map_err(|error| fault(now.index, error.to_string()))?;
            if let Some(previous) = &now.previous {
                roots.check(previous).map_err(|why| fault(now.index, why.to_string()))?;
            }
        }
        let keys = begun.iter().map(|announced| announced.log_key.clone()).collect();
        Ok(Self { begun, keys, size })
    }

    /// Takes the checkpoint out of a note that the log signed, in the incarnation that could sign it.
    pub(super) fn open(&self, note: &SignedNote) -> Result<Checkpoint, CheckpointFault> {
        let claimed = Checkpoint::from_text(note.text())?;
        let Some(at) = self.begun.iter().position(|announced| announced.origin == claimed.origin) else {
            return Err(CheckpointFault::Origin { origin: claimed.origin });
        };
        let checkpoint = Checkpoint::open(note, &self.keys)?;
        let Checkpoint { origin, size, .. } = &checkpoint;
        let (origin, size, first) = (origin.clone(), *size, self.begun[at].index);
        match self.begun.get(at + 1) {
            _ if size <= first => {
                let last = self.begun.get(at + 1).map_or(self.size, |next| next.index).saturating_sub(1);
                Err(CheckpointFault::Incarnation { origin, size, first, last })
            }
            Some(next) if size > next.index => Err(CheckpointFault::LostByRestore { origin, size, kept: next.index }),
            None if size > self.size => Err(CheckpointFault::Behind { size, stored: self.size }),
            _ => Ok(checkpoint),
        }
    }

    /// The current one.
    pub(super) fn last(&self) -> Option<&Announced> {
        self.begun.last()
    }
}

/// A stored node that is not what the events give.
pub(super) struct NodeFault {
    level: u8,
    index: u64,
    why: &'static str,
}

impl NodeFault {
    /// The events below it, first and last.
    pub(super) fn below(&self, size: u64) -> (u64, u64) {
        let first = self.index.checked_shl(self.level.into()).unwrap_or(u64::MAX);
        let next = first.saturating_add(1_u64.checked_shl(self.level.into()).unwrap_or(u64::MAX));
        (first, next.min(size).saturating_sub(1))
    }

    /// As an error, while the events agree with the head.
    pub(super) fn error(self, size: u64) -> VerifyError {
        let (first, last) = self.below(size);
        let Self { level, index, why } = self;
        VerifyError::Node { level, index, first, last, why }
    }
}

/// Compares all stored nodes with what the blocks give; the first difference of the lowest level is told.
pub(super) fn check_nodes(connection: &Connection, blocks: &[Hash]) -> rusqlite::Result<Option<NodeFault>> {
    let mut statement = connection.prepare("SELECT level, idx, hash FROM nodes ORDER BY level, idx")?;
    let mut rows = statement.query([])?;
    let mut level_of = blocks.to_vec();
    let (mut level, mut index) = (STORED_LEVEL, 0);
    while !level_of.is_empty() {
        let why = match rows.next()? {
            Some(row) => {
                let place: (i64, u64) = (row.get(0)?, row.get(1)?);
                let expected = (i64::from(level), index);
                match usize::try_from(index).ok().and_then(|at| level_of.get(at)) {
                    _ if place > expected => Some("it is missing"),
                    _ if place < expected => Some("a node stands before it that no event makes"),
                    Some(hash) if row.get_ref(2)?.as_bytes()? == hash.0 => None,
                    _ => Some("it is not what its events give"),
                }
            }
            None => Some("it is missing"),
        };
        if let Some(why) = why {
            return Ok(Some(NodeFault { level, index, why }));
        }
        index += 1;
        if index == level_of.len() as u64 {
            (level_of, level, index) = (tree::parents(&level_of), level + 1, 0);
        }
    }
    match rows.next()? {
        None => Ok(None),
        Some(row) => {
            let level = u8::try_from(row.get::<_, i64>(0)?).unwrap_or(u8::MAX);
            Ok(Some(NodeFault { level, index: row.get(1)?, why: "no event makes it" }))
        }
    }
}
