//! Reading events: hashing each body, comparing what stands beside it, and folding leaves into blocks.

use std::hash::RandomState;
use std::ops::Range;
use std::path::Path;

use agentd_schemas::event::{Event, MAX_EVENT_BYTES};
use agentd_schemas::log::announced::AnnouncedError;
use agentd_schemas::log::tree::{Frontier, Hash, leaf_hash};
use rusqlite::{Row, params};

use super::fault::{EventFault, VerifyError};
use super::prefix;
use super::subjects::{Found, Subjects};
use crate::ledger::incarnation::Announced;
use crate::ledger::open;
use crate::ledger::tree::BLOCK;

/// Events between two reports of progress.
const STEP: u64 = 1 << 14;
/// Fewer events than this are not worth a second thread.
const PARALLEL: u64 = 1 << 16;

/// Events that a subject has, at a guess: room is made for that many subjects at once.
const EVENTS_A_SUBJECT: u64 = 3;
/// Threads, at most.
const MAX_THREADS: usize = 16;

/// What a part of the log is made of.
pub(super) struct Part<'a> {
    /// Roots of the complete blocks.
    pub(super) blocks: Vec<Hash>,
    /// For each size asked for that is no multiple of a block: the peaks below the block.
    pub(super) peaks: Vec<(u64, Vec<Hash>)>,
    /// The subjects.
    pub(super) subjects: Subjects<'a>,
    /// The incarnations begun.
    pub(super) begun: Vec<Announced>,
}

/// What every thread reads by.
pub(super) struct Scan<'a> {
    /// The database.
    pub(super) path: &'a Path,
    /// Sizes at which roots will be asked for, ascending.
    pub(super) sizes: &'a [u64],
    /// Shared by all parts.
    pub(super) hasher: &'a RandomState,
    /// Told how many events more were read.
    pub(super) progress: &'a (dyn Fn(u64) + Sync),
}

impl<'a> Scan<'a> {
    /// Reads the first `events` events on that many threads and joins what they found. The first faulty event is told.
    pub(super) fn run(&self, events: u64, threads: usize) -> Result<Part<'a>, VerifyError> {
        self.split(events, if events < PARALLEL { 1 } else { threads.clamp(1, MAX_THREADS) as u64 })
    }

    /// Reads on exactly that many threads.
    pub(super) fn split(&self, events: u64, threads: u64) -> Result<Part<'a>, VerifyError> {
        let share = events.div_ceil(BLOCK).div_ceil(threads).max(1) * BLOCK;
        let ranges = (0..threads).map(|n| (n * share).min(events)..((n + 1) * share).min(events));
        let parts: Vec<_> = std::thread::scope(|scope| {
            let spawned: Vec<_> = ranges.map(|range| scope.spawn(move || self.part(range))).collect();
            spawned
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        let mut all: Option<Part<'a>> = None;
        for part in parts {
            let part = part?;
            all = Some(match all {
                None => {
                    part.subjects.check_start().map_err(located)?;
                    part
                }
                Some(before) => join(before, part)?,
            });
        }
        Ok(all.unwrap_or_else(|| self.empty()))
    }

    fn empty(&self) -> Part<'a> {
        Part { blocks: Vec::new(), peaks: Vec::new(), subjects: Subjects::new(self.hasher), begun: Vec::new() }
    }

    fn part(&self, range: Range<u64>) -> Result<Part<'a>, VerifyError> {
        let connection = open::open_for_verify(self.path)?;
        let mut statement = connection.prepare(
            "SELECT idx, subject, version, leaf, body FROM events WHERE idx >= ?1 AND idx < ?2 ORDER BY idx",
        )?;
        let mut rows = statement.query(params![range.start, range.end])?;
        let from = self.sizes.partition_point(|size| *size <= range.start);
        let mut sizes = self.sizes[from..].iter().copied().peekable();
        let (mut part, mut block) = (self.empty(), Frontier::new());
        part.subjects.reserve(usize::try_from((range.end - range.start) / EVENTS_A_SUBJECT).unwrap_or(0));
        for index in range.clone() {
            let fault = |fault| VerifyError::Event { index, fault };
            let row = rows.next().map_err(|error| fault(EventFault::Unreadable(error)))?;
            let row = row.ok_or_else(|| fault(EventFault::Missing))?;
            let leaf = part.event(row, index, &block).map_err(fault)?;
            block.push(leaf);
            let size = index + 1;
            if sizes.next_if_eq(&size).is_some() {
                part.peaks.push((size, block.peaks()));
            }
            if size.is_multiple_of(BLOCK) {
                part.blocks.push(block.root());
                block = Frontier::new();
            }
            if size.is_multiple_of(STEP) {
                (self.progress)(STEP);
            }
        }
        (self.progress)(range.end % STEP);
        Ok(part)
    }
}

impl Part<'_> {
    /// Checks one row and gives its leaf hash. `block` holds the leaves of its block before it.
    fn event(&mut self, row: &Row<'_>, index: u64, block: &Frontier) -> Result<Hash, EventFault> {
        let unreadable = EventFault::Unreadable;
        let number = |column| row.get::<_, u64>(column).map_err(unreadable);
        if number(0)? != index {
            return Err(EventFault::Missing);
        }
        let bytes = |column| row.get_ref(column).and_then(|value| Ok(value.as_bytes()?)).map_err(unreadable);
        let body = bytes(4)?;
        let leaf = leaf_hash(body);
        if bytes(3)? != leaf.0 {
            return Err(EventFault::Leaf);
        }
        if body.len() > MAX_EVENT_BYTES {
            return Err(EventFault::TooLong(body.len()));
        }
        let prefix = prefix::read(body).map_err(EventFault::Body)?;
        if prefix.index != index {
            return Err(EventFault::Index(prefix.index));
        }
        let version = number(2)?;
        if version != prefix.version {
            return Err(EventFault::Column { column: "version", found: version, expected: prefix.version });
        }
        self.subjects.advance(&prefix, number(1)?)?;
        if matches!(prefix.kind, b"LogStarted" | b"IncarnationStarted") {
            let event = Event::from_bytes(body).map_err(|error| EventFault::Body(error.to_string()))?;
            let wrong = |error: AnnouncedError| EventFault::Incarnation(error.to_string());
            let announced = Announced::read(&event).map_err(wrong)?;
            announced.as_ref().map_or(Ok(()), Announced::check).map_err(wrong)?;
            self.begun.extend(announced);
            // The root where the incarnation before ended will be asked for.
            self.peaks.push((index, block.peaks()));
        }
        Ok(leaf)
    }
}

fn located((index, fault): Found) -> VerifyError {
    VerifyError::Event { index, fault }
}

fn join<'a>(mut before: Part<'a>, mut after: Part<'a>) -> Result<Part<'a>, VerifyError> {
    before.subjects.join(after.subjects).map_err(located)?;
    before.blocks.append(&mut after.blocks);
    before.peaks.append(&mut after.peaks);
    before.begun.append(&mut after.begun);
    Ok(before)
}
