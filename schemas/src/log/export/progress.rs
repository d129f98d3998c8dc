//! What a verifier keeps and checks while the events of an export pass.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use data_encoding::BASE64;
use serde::Deserialize;

use super::error::{BlobFault, Fault};
use super::line::{BlobLine, BlobState, EventLine, Header, ProofLine};
use super::versions::Versions;
use super::{MAX_BLOB_BYTES, MAX_EVENT_BYTES};
use crate::event::Event;
use crate::log::announced::{Announced, AnnouncedError};
use crate::log::commitment::BlobCommitment;
use crate::log::note::Checkpoint;
use crate::log::proof::{ProofError, root_from_inclusion};
use crate::log::tree::{Frontier, Hash, leaf_hash};

/// What a verified export holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportReport {
    /// The header; its origin, key and tree are confirmed by the last checkpoint.
    pub header: Header,
    /// Events verified.
    pub events: u64,
    /// Subjects whose versions were followed.
    pub subjects: u64,
    /// Blobs that are what their events commit to.
    pub blobs: u64,
    /// Blobs that the export says were erased from the log.
    pub erased: u64,
    /// Blobs that the export leaves out.
    pub withheld: u64,
    /// Older checkpoints in the export that the events lead to.
    pub checkpoints: u64,
    /// Checkpoints given from outside that the events lead to.
    pub given: u64,
    /// What the current incarnation announced; a partial export has no event that says it.
    pub announced: Option<Announced>,
    /// The incarnation from which on this authority has certified the keys; 0 in a partial export.
    pub authority_since: u32,
}

/// A fault, and the events concerned where these are not the ones that the place in the export tells.
pub(super) type Located = (Option<RangeInclusive<u64>>, Fault);

impl From<Fault> for Located {
    fn from(fault: Fault) -> Self {
        (None, fault)
    }
}

/// What is kept while the events pass.
#[derive(Clone)]
pub(super) struct Progress {
    pub(super) report: ExportReport,
    frontier: Frontier,
    /// Events up to here are confirmed by a checkpoint.
    confirmed: u64,
    /// The least index that the next event can have.
    next: u64,
    current: Option<Current>,
    versions: Versions,
}

/// The event whose proof and blobs are being read.
#[derive(Clone)]
struct Current {
    index: u64,
    leaf: Hash,
    proven: bool,
    blobs: VecDeque<BlobCommitment>,
}

/// The members of an event that verification reads.
#[derive(Deserialize)]
struct Envelope {
    v: u64,
    index: u64,
    subject: String,
    id: String,
    version: u64,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    blobs: Vec<BlobCommitment>,
}

impl Progress {
    pub(super) fn new(header: Header) -> Self {
        let report = ExportReport {
            header,
            events: 0,
            subjects: 0,
            blobs: 0,
            erased: 0,
            withheld: 0,
            checkpoints: 0,
            given: 0,
            announced: None,
            authority_since: 0,
        };
        let (frontier, versions) = (Frontier::new(), Versions::default());
        Self { report, frontier, confirmed: 0, next: 0, current: None, versions }
    }

    fn whole(&self) -> bool {
        self.report.header.whole
    }

    fn size(&self) -> u64 {
        self.report.header.tree.size
    }

    pub(super) fn event(&mut self, line: &EventLine<'_>) -> Result<(), Located> {
        self.complete("event")?;
        self.check_position(line.index)?;
        let here = line.index..=line.index;
        let blobs = self.check_body(line).map_err(|fault| (Some(here), fault))?;
        if self.whole() {
            self.frontier.push(line.leaf);
        }
        self.current = Some(Current { index: line.index, leaf: line.leaf, proven: self.whole(), blobs: blobs.into() });
        self.next = line.index + 1;
        self.report.events += 1;
        Ok(())
    }

    /// The event that the next line should belong to.
    pub(super) fn expected(&self) -> Option<RangeInclusive<u64>> {
        let index = match &self.current {
            Some(current) if !current.is_complete() => current.index,
            _ if self.whole() && self.next < self.size() => self.next,
            _ => return None,
        };
        Some(index..=index)
    }

    /// The report, once everything has been read.
    pub(super) fn report(&self) -> ExportReport {
        ExportReport { subjects: self.versions.subjects(), ..self.report.clone() }
    }

    fn check_position(&self, index: u64) -> Result<(), Fault> {
        if index < self.next || (self.whole() && index != self.next) {
            return Err(Fault::Position { index, expected: self.next });
        }
        if index >= self.size() { Err(Fault::BeyondTree { size: self.size() }) } else { Ok(()) }
    }

    /// Checks the body on its own, and that its subject's version follows.
    fn check_body(&mut self, line: &EventLine<'_>) -> Result<Vec<BlobCommitment>, Fault> {
        if line.body.len() > MAX_EVENT_BYTES {
            return Err(Fault::EventTooLong { bytes: line.body.len() });
        }
        if leaf_hash(line.body.as_bytes()) != line.leaf {
            return Err(Fault::Leaf);
        }
        let event: Envelope = serde_json::from_str(&line.body).map_err(|e| Fault::Body { why: e.to_string() })?;
        if event.v != 1 {
            return Err(Fault::EventFormat { v: event.v });
        }
        if event.index != line.index {
            return Err(Fault::BodyIndex { index: event.index });
        }
        if let Some(pair) = event.blobs.windows(2).find(|pair| pair[0].slot >= pair[1].slot) {
            return Err(Fault::Blob { slot: pair[1].slot, why: BlobFault::SlotOrder });
        }
        self.versions.advance(self.whole(), &event.subject, &event.id, event.version)?;
        if self.whole() && (line.index == 0 || event.kind == "LogStarted" || event.kind == "IncarnationStarted") {
            self.begin(&line.body)?;
        }
        Ok(event.blobs)
    }

    /// Takes note of what the first event of an incarnation announces.
    fn begin(&mut self, body: &str) -> Result<(), Fault> {
        let event = Event::from_bytes(body.as_bytes()).map_err(|error| Fault::Body { why: error.to_string() })?;
        let announced = Announced::read(&event)?.ok_or(AnnouncedError::NoStart)?;
        announced.check()?;
        announced.check_place(self.report.announced.as_ref())?;
        if let Some(previous) = announced.previous.as_ref().filter(|previous| previous.root != self.frontier.root()) {
            let (size, root) = (previous.size, self.frontier.root());
            return Err(Fault::Root { size, root, by: "the end of the incarnation before" });
        }
        if self.report.announced.as_ref().is_none_or(|before| before.authority != announced.authority) {
            self.report.authority_since = announced.incarnation;
        }
        self.report.announced = Some(announced);
        Ok(())
    }

    /// Compares what the header says of the log with what its events announced. No event stands in a partial export
    /// that could say it.
    fn check_header(&self) -> Result<(), Fault> {
        if !self.whole() {
            return Ok(());
        }
        let (header, announced) = (&self.report.header, self.report.announced.as_ref());
        let announced = announced.ok_or(AnnouncedError::NoStart)?;
        let member = match () {
            () if header.origin != announced.origin => "origin",
            () if header.incarnation != u64::from(announced.incarnation) => "incarnation",
            () if header.log_key != announced.log_key => "log_key",
            () if header.previous != announced.previous => "previous",
            () => return Ok(()),
        };
        Err(Fault::Header { member, event: announced.index })
    }

    pub(super) fn proof(&mut self, line: &ProofLine) -> Result<(), Located> {
        let tree = self.report.header.tree;
        let Some(current) = self.current.as_mut().filter(|current| !current.proven) else {
            let found = Fault::Order { found: "proof", expected: "an event, a blob or a checkpoint" };
            return Err((Some(line.index..=line.index), found));
        };
        if line.index != current.index {
            return Err(Fault::Position { index: line.index, expected: current.index }.into());
        }
        let root = root_from_inclusion(current.index, tree.size, &current.leaf, &line.hashes).map_err(Fault::Proof)?;
        if root != tree.root {
            return Err(Fault::Proof(ProofError::Root).into());
        }
        current.proven = true;
        Ok(())
    }

    pub(super) fn blob(&mut self, line: &BlobLine<'_>) -> Result<(), Located> {
        let fault = |why| Fault::Blob { slot: line.slot(), why };
        let place = (line.event(), line.slot());
        let Some(current) = self.current.as_mut().filter(|current| !current.is_complete()) else {
            // No event waits for a blob, so the line's own word is all there is to name.
            return Err((Some(place.0..=place.0), fault(BlobFault::Slot)));
        };
        if !current.proven {
            return Err(Fault::Order { found: "blob", expected: "the event's proof" }.into());
        }
        let expected = current.blobs.pop_front().filter(|blob| (current.index, blob.slot) == place);
        let expected = expected.ok_or(fault(BlobFault::Slot))?;
        match check_blob(line, &expected).map_err(fault)? {
            BlobState::Content { .. } => self.report.blobs += 1,
            BlobState::Erased => self.report.erased += 1,
            BlobState::Withheld => self.report.withheld += 1,
        }
        Ok(())
    }

    /// Checks that nothing of the current event is outstanding when a line of kind `found` comes.
    pub(super) fn complete(&self, found: &'static str) -> Result<(), Fault> {
        match &self.current {
            Some(current) if !current.proven => Err(Fault::Order { found, expected: "the event's proof" }),
            Some(Current { blobs, .. }) => match blobs.front() {
                Some(blob) => Err(Fault::Blob { slot: blob.slot, why: BlobFault::Missing }),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Compares the checkpoints from outside that have the size reached.
    pub(super) fn compare(&mut self, given: &mut VecDeque<Checkpoint>) -> Result<(), Located> {
        let by = "a checkpoint from outside";
        while let Some(checkpoint) = given.front() {
            let tree = self.report.header.tree;
            if self.whole() {
                if checkpoint.size != self.frontier.size() {
                    return Ok(());
                }
                self.check_root(checkpoint, by)?;
            } else if checkpoint.root != tree.root {
                return Err(Fault::Root { size: tree.size, root: tree.root, by }.into());
            }
            self.report.given += 1;
            given.pop_front();
        }
        Ok(())
    }

    pub(super) fn older_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), Located> {
        if !self.whole() {
            return Err(Fault::Order { found: "checkpoint without digest", expected: "the last checkpoint" }.into());
        }
        if checkpoint.size != self.frontier.size() {
            return Err(Fault::CheckpointPlace { size: checkpoint.size, after: self.frontier.size() }.into());
        }
        self.check_root(checkpoint, "a checkpoint in the export")?;
        self.report.checkpoints += 1;
        Ok(())
    }

    pub(super) fn last_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), Located> {
        let tree = self.report.header.tree;
        if (checkpoint.size, checkpoint.root) != (tree.size, tree.root) {
            return Err(Fault::OtherTree { size: checkpoint.size, root: checkpoint.root }.into());
        }
        if !self.whole() {
            return Ok(());
        }
        if self.frontier.size() != tree.size {
            let after = self.frontier.size();
            let missing = Some(after..=tree.size - 1);
            return Err((missing, Fault::CheckpointPlace { size: tree.size, after }));
        }
        self.check_root(checkpoint, "the last checkpoint")?;
        Ok(self.check_header()?)
    }

    /// Compares the root over all events so far. A difference lies after the last size that was confirmed.
    fn check_root(&mut self, checkpoint: &Checkpoint, by: &'static str) -> Result<(), Located> {
        let (size, root) = (checkpoint.size, self.frontier.root());
        if root != checkpoint.root {
            let events = (size > self.confirmed).then(|| self.confirmed..=size - 1);
            return Err((events, Fault::Root { size, root, by }));
        }
        self.confirmed = size;
        Ok(())
    }
}

impl Current {
    fn is_complete(&self) -> bool {
        self.proven && self.blobs.is_empty()
    }
}

fn check_blob<'a>(line: &'a BlobLine<'_>, expected: &BlobCommitment) -> Result<BlobState<'a>, BlobFault> {
    let state = line.state().ok_or(BlobFault::State)?;
    if let BlobState::Content { salt, media_type, base64 } = &state {
        let data = BASE64.decode(base64.as_bytes()).map_err(|_| BlobFault::Data)?;
        match () {
            () if data.len() > MAX_BLOB_BYTES => return Err(BlobFault::Data),
            () if data.len() as u64 != expected.size => return Err(BlobFault::Size),
            () if *media_type != expected.media_type => return Err(BlobFault::MediaType),
            () if !expected.commitment.check(salt, &data) => return Err(BlobFault::Commitment),
            () => {}
        }
    }
    Ok(state)
}
