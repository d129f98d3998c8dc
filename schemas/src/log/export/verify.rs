//! Verifying an export, fed line by line.

use std::collections::VecDeque;
use std::io::{BufRead, Read};
use std::ops::RangeInclusive;

use sha2::{Digest, Sha256};

use super::MAX_LINE_BYTES;
use super::error::{ExportError, Fault, ReadError};
use super::line::{CheckpointLine, ExportLine, Header};
use super::progress::{ExportReport, Located, Progress};
use super::write::seal;
use crate::log::announced::parse_origin;
use crate::log::note::{Checkpoint, NoteError, SignedNote, VerifierKey};
use crate::log::tree::MAX_TREE_SIZE;

/// Verifies an export in one pass. Feed every line to [`ExportVerifier::line`], then ask [`ExportVerifier::finish`];
/// only its report says that the export holds. The first error is final: every later call repeats it.
#[derive(Clone)]
pub struct ExportVerifier {
    keys: Vec<VerifierKey>,
    /// Checkpoints from outside that are yet to be compared, the smallest first.
    given: VecDeque<Checkpoint>,
    digest: Sha256,
    line: u64,
    /// The event that an error in the current line concerns, unless the check that fails knows better.
    about: Option<RangeInclusive<u64>>,
    failed: Option<ExportError>,
    scratch: Vec<u8>,
    state: State,
}

/// Where in an export the verifier is.
#[derive(Clone)]
enum State {
    Start,
    Body(Box<Progress>),
    Sealed(Box<ExportReport>),
}

impl ExportVerifier {
    /// A verifier that trusts `keys` and holds the export against the checkpoints `given` from outside, which are what
    /// shows that a log was cut back or written anew. Refused when one of those is not signed by one of `keys`. A
    /// checkpoint of an earlier incarnation needs that incarnation's key among them, and a whole export.
    pub fn new(keys: Vec<VerifierKey>, given: &[SignedNote]) -> Result<Self, NoteError> {
        let mut given = given.iter().map(|note| Checkpoint::open(note, &keys)).collect::<Result<Vec<_>, _>>()?;
        given.sort_by_key(|checkpoint| checkpoint.size);
        Ok(Self {
            keys,
            given: given.into(),
            digest: Sha256::new(),
            line: 0,
            about: None,
            failed: None,
            scratch: Vec::new(),
            state: State::Start,
        })
    }

    /// Takes the next line, without its newline.
    pub fn line(&mut self, line: &[u8]) -> Result<(), ExportError> {
        self.advance();
        self.accept(line).map_err(|(events, fault)| self.fail(events, fault))
    }

    /// The report on an export that has come to its end and holds.
    pub fn finish(mut self) -> Result<ExportReport, ExportError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if let State::Sealed(report) = self.state {
            return Ok(*report);
        }
        self.advance();
        Err(self.fail(None, Fault::CutOff))
    }

    /// Takes all that `reader` gives and finishes.
    pub fn read(mut self, mut reader: impl BufRead) -> Result<ExportReport, ReadError> {
        let (mut line, limit) = (Vec::new(), MAX_LINE_BYTES as u64 + 1);
        loop {
            line.clear();
            if reader.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
                return Ok(self.finish()?);
            }
            if line.pop_if(|last| *last == b'\n').is_none() {
                let fault = if line.len() > MAX_LINE_BYTES { Fault::LineTooLong } else { Fault::NoNewline };
                self.advance();
                return Err(self.fail(None, fault).into());
            }
            self.line(&line)?;
        }
    }

    fn advance(&mut self) {
        self.line += 1;
        self.about = self.state.expected();
    }

    fn fail(&mut self, events: Option<RangeInclusive<u64>>, fault: Fault) -> ExportError {
        let events = events.or_else(|| self.about.take());
        self.failed.get_or_insert(ExportError { line: self.line, events, fault }).clone()
    }

    fn accept(&mut self, bytes: &[u8]) -> Result<(), Located> {
        if let Some(error) = &self.failed {
            return Err((error.events.clone(), error.fault.clone()));
        }
        let line = parse(bytes, &mut self.scratch)?;
        match (&mut self.state, line) {
            (State::Start, ExportLine::Header(header)) => self.begin(*header)?,
            (State::Body(progress), ExportLine::Event(line)) => {
                progress.event(&line)?;
                progress.compare(&mut self.given)?;
            }
            (State::Body(progress), ExportLine::Proof(line)) => progress.proof(&line)?,
            (State::Body(progress), ExportLine::Blob(line)) => progress.blob(&line)?,
            (State::Body(_), ExportLine::Checkpoint(line)) => self.checkpoint(&line)?,
            (state, line) => return Err(misplaced(&line, state.wanted())),
        }
        self.digest.update(bytes);
        self.digest.update(b"\n");
        Ok(())
    }

    fn begin(&mut self, header: Header) -> Result<(), Fault> {
        if !self.keys.contains(&header.log_key) {
            return Err(Fault::UntrustedKey { log_key: header.log_key.to_string() });
        }
        if header.log_key.name() != header.origin {
            return Err(Fault::KeyName { name: header.log_key.name().to_owned(), origin: header.origin });
        }
        if parse_origin(&header.origin).is_none_or(|(_, number)| u64::from(number) != header.incarnation) {
            return Err(Fault::Incarnation { incarnation: header.incarnation, origin: header.origin });
        }
        let size = header.tree.size;
        if size > MAX_TREE_SIZE {
            return Err(Fault::TreeTooLarge { size });
        }
        for given in &self.given {
            // Incarnations continue one tree, each under an origin and a key of its own: who trusts the key of an earlier
            // one may hold its checkpoints against what the log became.
            if !(header.whole && header.incarnation > 1) {
                same_origin(&given.origin, &header.origin)?;
            }
            if given.size > size {
                return Err(Fault::Behind { size, outside: given.size });
            }
            if !header.whole && given.size < size {
                return Err(Fault::NeedsWhole { outside: given.size });
            }
        }
        let mut progress = Progress::new(header);
        progress.compare(&mut self.given).map_err(|(_, fault)| fault)?;
        self.state = State::Body(Box::new(progress));
        Ok(())
    }

    fn checkpoint(&mut self, line: &CheckpointLine<'_>) -> Result<(), Located> {
        let State::Body(progress) = &mut self.state else {
            return Ok(());
        };
        progress.complete("checkpoint")?;
        self.about = None;
        let checkpoint = SignedNote::parse(&line.note).and_then(|note| Checkpoint::open(&note, &self.keys));
        let checkpoint = checkpoint.map_err(Fault::Note)?;
        same_origin(&checkpoint.origin, &progress.report.header.origin)?;
        let Some(stated) = line.digest else {
            return progress.older_checkpoint(&checkpoint);
        };
        progress.last_checkpoint(&checkpoint)?;
        if seal(&self.digest, &line.note) != stated {
            return Err(Fault::Digest.into());
        }
        self.state = State::Sealed(Box::new(progress.report()));
        Ok(())
    }
}

impl State {
    /// The event that the next line should belong to.
    fn expected(&self) -> Option<RangeInclusive<u64>> {
        match self {
            State::Body(progress) => progress.expected(),
            State::Start | State::Sealed(_) => None,
        }
    }

    fn wanted(&self) -> &'static str {
        match self {
            State::Start => "the header",
            State::Body(_) => "an event or a checkpoint",
            State::Sealed(_) => "the end of the export",
        }
    }
}

/// Verifies the export that `reader` gives, holding one line at a time. For the arguments see [`ExportVerifier::new`].
pub fn verify_export(
    reader: impl BufRead,
    keys: Vec<VerifierKey>,
    given: &[SignedNote],
) -> Result<ExportReport, ReadError> {
    ExportVerifier::new(keys, given).map_err(ReadError::Given)?.read(reader)
}

/// Reads a line and checks that writing it again gives the same bytes.
fn parse<'a>(bytes: &'a [u8], scratch: &mut Vec<u8>) -> Result<ExportLine<'a>, Fault> {
    if bytes.len() > MAX_LINE_BYTES {
        return Err(Fault::LineTooLong);
    }
    let malformed = |e: serde_json::Error| Fault::Malformed { why: e.to_string() };
    let line: ExportLine<'_> = serde_json::from_slice(bytes).map_err(malformed)?;
    scratch.clear();
    serde_json::to_writer(&mut *scratch, &line).map_err(malformed)?;
    if scratch == bytes { Ok(line) } else { Err(Fault::NotCanonical) }
}

fn misplaced(line: &ExportLine<'_>, expected: &'static str) -> Located {
    Fault::Order { found: line.name(), expected }.into()
}

fn same_origin(found: &str, origin: &str) -> Result<(), Fault> {
    if found == origin {
        return Ok(());
    }
    Err(Fault::Origin { found: found.to_owned(), origin: origin.to_owned() })
}
