//! Verifying a ledger: the live one, a backup, a copy.
//!
//! Every body is hashed again, on several threads, and compared with its leaf hash, its columns, the stored nodes, the
//! head, every kept checkpoint and every checkpoint from outside. What was cut off or restored shows only against a
//! checkpoint from outside. [`deep`] also compares tables and content. The first fault is told, and the event that has
//! it.

mod compare;
mod content;
pub mod deep;
pub mod export;
mod fault;
mod prefix;
mod roots;
mod scan;
mod signed;
mod subjects;

use std::hash::RandomState;
use std::path::Path;

use agentd_schemas::event::Event;
use agentd_schemas::log::note::{Checkpoint, SignedNote};
use agentd_schemas::log::tree::Hash;
use rusqlite::{Connection, OptionalExtension as _};

pub use fault::{BlobFault, CheckpointFault, EventFault, VerifyError};

use super::checkpoint;
use super::incarnation::{self, Announced};
use super::open;
use roots::{Incarnations, Roots, check_nodes};
use scan::{Part, Scan};

/// What a ledger that holds is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Events.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// Subjects whose versions were followed.
    pub subjects: u64,
    /// Incarnations with their origins and keys, the first one first. Compare the last key with the one you trust.
    pub incarnations: Vec<Announced>,
    /// The signed head; `None` in a database without events.
    pub head: Option<SignedNote>,
    /// Kept checkpoints that the events lead to.
    pub kept: u64,
    /// Checkpoints from outside that the events lead to.
    pub given: usize,
    /// Number and reason of the incarnation that the next start begins, where this is a restored backup.
    pub awaited: Option<(u32, String)>,
}

/// Verifies the ledger at `path` on `threads` threads, against the checkpoints `given` from outside. `progress` is told
/// how many events more were read.
pub fn verify(
    path: &Path,
    given: &[SignedNote],
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Report, VerifyError> {
    let mut connection = open::open_for_verify(path)?;
    // One snapshot for everything but the bodies, which never change.
    let tx = connection.transaction()?;
    verify_in(&tx, path, given, threads, progress)
}

/// Verifies within the read transaction of `connection`, which is open on `path`.
fn verify_in(
    connection: &Connection,
    path: &Path,
    given: &[SignedNote],
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Report, VerifyError> {
    let head = checkpoint::head(connection)?;
    let stored = connection
        .query_row("SELECT max(idx) FROM events", [], |row| row.get::<_, Option<u64>>(0))?
        .map_or(0, |last| last + 1);
    let size = head.as_ref().map_or(0, |head| head.size);
    let sizes = sizes(connection, given, size)?;
    let scan = Scan { path, sizes: &sizes, hasher: &RandomState::new(), progress };
    let part = scan.run(stored.min(size), threads)?;
    match head {
        None if stored > 0 => return Err(VerifyError::Head(CheckpointFault::Missing)),
        _ if stored > size => return Err(VerifyError::Event { index: size, fault: EventFault::BeyondHead }),
        _ if stored < size => return Err(VerifyError::Event { index: stored, fault: EventFault::Missing }),
        _ => {}
    }
    let check = Check { connection, part: &part, size };
    let mut roots = Roots::new(&part);
    let incarnations = Incarnations::new(&part.begun, size, &mut roots)?;
    let kept = check.signed(&incarnations, head.as_ref(), &mut roots)?;
    let awaited = check.beginning(&incarnations)?;
    check_given(&incarnations, given, &mut roots)?;
    Ok(Report {
        size,
        root: Roots::new(&part).at(size).unwrap_or_else(agentd_schemas::log::tree::empty_root),
        subjects: part.subjects.len(),
        head: head.map(|head| SignedNote::parse(&head.note)).transpose().map_err(|e| VerifyError::Head(e.into()))?,
        kept,
        given: given.len(),
        awaited,
        incarnations: part.begun,
    })
}

/// All sizes at which a root will be compared, ascending.
fn sizes(connection: &Connection, given: &[SignedNote], head: u64) -> Result<Vec<u64>, VerifyError> {
    let mut statement = connection.prepare("SELECT size FROM checkpoints")?;
    let mut sizes = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<u64>, _>>()?;
    sizes.push(head);
    for (place, note) in (1..).zip(given) {
        let checkpoint = Checkpoint::from_text(note.text());
        sizes.push(checkpoint.map_err(|error| VerifyError::Given { place, fault: error.into() })?.size);
    }
    sizes.sort_unstable();
    sizes.dedup();
    Ok(sizes)
}

/// The comparison of what was read with what was signed.
struct Check<'c> {
    connection: &'c Connection,
    part: &'c Part<'c>,
    size: u64,
}

impl Check<'_> {
    /// Compares nodes, kept checkpoints and head. Gives the number of kept checkpoints.
    fn signed(
        &self,
        incarnations: &Incarnations<'_>,
        head: Option<&checkpoint::Head>,
        roots: &mut Roots<'_>,
    ) -> Result<u64, VerifyError> {
        let nodes = check_nodes(self.connection, &self.part.blocks)?;
        // Everything before this size is confirmed by a signature.
        let (mut confirmed, mut kept) = (0, 0);
        let mut statement = self.connection.prepare("SELECT size, note FROM checkpoints ORDER BY size")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (size, note): (u64, String) = (row.get(0)?, row.get(1)?);
            let opened = open_row(incarnations, size, &note).map_err(|fault| VerifyError::Kept { size, fault })?;
            roots.check(&opened).map_err(|fault| self.changed(confirmed, size, nodes.as_ref(), fault))?;
            (confirmed, kept) = (size, kept + 1);
        }
        if let Some(head) = head {
            let opened = open_row(incarnations, head.size, &head.note).map_err(VerifyError::Head)?;
            if incarnations.last().is_none_or(|last| last.origin != opened.origin) {
                return Err(VerifyError::Head(CheckpointFault::Origin { origin: opened.origin }));
            }
            roots.check(&opened).map_err(|fault| self.changed(confirmed, head.size, nodes.as_ref(), fault))?;
            self.moment(head)?;
        }
        if let Some(fault) = nodes {
            return Err(fault.error(self.size));
        }
        Ok(kept)
    }

    /// The head was written with the last event, and no signature covers the moment beside it.
    fn moment(&self, head: &checkpoint::Head) -> Result<(), VerifyError> {
        let Some(index) = head.size.checked_sub(1) else { return Ok(()) };
        let sql = "SELECT body FROM main.events WHERE idx = ?1";
        let body: String = self.connection.query_row(sql, [index], |row| row.get(0))?;
        let event = Event::from_bytes(body.as_bytes())
            .map_err(|error| VerifyError::Event { index, fault: EventFault::Body(error.to_string()) })?;
        let last = &event.envelope;
        let same = (last.time, last.boot_ms) == (head.moment.wall, head.moment.boot_ms) && last.boot == head.boot;
        if same { Ok(()) } else { Err(VerifyError::Head(CheckpointFault::Moment { event: index })) }
    }

    /// What `meta` keeps beside the log: where the current incarnation began, the secret of request digests, and the
    /// mark of a restore, which is given.
    fn beginning(&self, incarnations: &Incarnations<'_>) -> Result<Option<(u32, String)>, VerifyError> {
        let last = incarnations.last();
        let wrong = |row: &str, why: String| VerifyError::Table {
            table: "meta".to_owned(),
            row: row.to_owned(),
            event: last.map(|last| last.index),
            why,
        };
        let current = incarnation::current(self.connection).map_err(|error| wrong("started", error.to_string()))?;
        if current.as_ref() != last {
            let why = "it does not name the event that began the current incarnation";
            return Err(wrong("started", why.to_owned()));
        }
        let Some(last) = last else { return Ok(None) };
        let secret = incarnation::request_key(self.connection).optional()?;
        if secret.is_none_or(|secret| incarnation::bound(&secret) != last.request_key) {
            return Err(wrong("request_key", "it is not the secret that the event announced".to_owned()));
        }
        let awaited = incarnation::awaited(self.connection).map_err(|error| wrong("restored", error.to_string()))?;
        if let Some((number, _)) = awaited.as_ref().filter(|(number, _)| *number <= last.incarnation) {
            let why = format!("it waits for incarnation {number}, and {} has begun", last.incarnation);
            return Err(wrong("restored", why));
        }
        Ok(awaited)
    }

    /// A root that is wrong: an event since the last one that was right, in the block whose node is wrong as well.
    fn changed(
        &self,
        confirmed: u64,
        size: u64,
        nodes: Option<&roots::NodeFault>,
        fault: CheckpointFault,
    ) -> VerifyError {
        if confirmed >= size {
            return VerifyError::Head(fault);
        }
        let (mut first, mut last) = (confirmed, size - 1);
        if let Some((from, to)) =
            nodes.map(|node| node.below(self.size)).filter(|(from, to)| *from <= last && *to >= first)
        {
            (first, last) = (first.max(from), last.min(to));
        }
        VerifyError::Events { first, last, fault }
    }
}

/// Compares the checkpoints from outside.
fn check_given(
    incarnations: &Incarnations<'_>,
    given: &[SignedNote],
    roots: &mut Roots<'_>,
) -> Result<(), VerifyError> {
    for (place, note) in (1..).zip(given) {
        let checked = incarnations.open(note).and_then(|checkpoint| roots.check(&checkpoint));
        checked.map_err(|fault| VerifyError::Given { place, fault })?;
    }
    Ok(())
}

/// Opens a stored checkpoint and compares its row.
fn open_row(incarnations: &Incarnations<'_>, row: u64, note: &str) -> Result<Checkpoint, CheckpointFault> {
    let opened = incarnations.open(&SignedNote::parse(note)?)?;
    if opened.size == row { Ok(opened) } else { Err(CheckpointFault::Size { row, note: opened.size }) }
}

#[cfg(test)]
mod tests;
