//! Writing an export, line by line.

use std::borrow::Cow;
use std::io;

use sha2::{Digest, Sha256};

use super::line::{BlobLine, CheckpointLine, EventLine, ExportLine, Header, ProofLine};
use crate::log::note::SignedNote;
use crate::log::tree::Hash;

/// Writes the lines of an export to `W`. The caller keeps to their order (see the head of [`super`]); the verifier, not
/// the writer, checks it.
pub struct ExportWriter<W> {
    out: W,
    digest: Sha256,
    line: Vec<u8>,
}

impl<W: io::Write> ExportWriter<W> {
    /// Begins an export with its header.
    pub fn new(out: W, header: Header) -> io::Result<Self> {
        let mut writer = Self { out, digest: Sha256::new(), line: Vec::new() };
        writer.line(&ExportLine::Header(Box::new(header)))?;
        Ok(writer)
    }

    /// Writes the event at `index` with these exact bytes.
    pub fn event(&mut self, index: u64, body: &str) -> io::Result<()> {
        self.line(&ExportLine::Event(EventLine::new(index, body)))
    }

    /// Writes the inclusion proof of the event just written; partial exports only.
    pub fn proof(&mut self, index: u64, hashes: Vec<Hash>) -> io::Result<()> {
        self.line(&ExportLine::Proof(ProofLine { index, hashes }))
    }

    /// Writes the next blob of the event just written. Each of its slots needs a line.
    pub fn blob(&mut self, blob: BlobLine<'_>) -> io::Result<()> {
        self.line(&ExportLine::Blob(blob))
    }

    /// Writes an older checkpoint, right after the last event that it covers; whole exports only.
    pub fn checkpoint(&mut self, note: &SignedNote) -> io::Result<()> {
        self.line(&ExportLine::Checkpoint(CheckpointLine { note: Cow::Owned(note.to_string()), digest: None }))
    }

    /// Ends the export with the checkpoint of the header's tree, flushes, and gives back the destination.
    pub fn finish(mut self, note: &SignedNote) -> io::Result<W> {
        let note = note.to_string();
        let digest = Some(seal(&self.digest, &note));
        self.line(&ExportLine::Checkpoint(CheckpointLine { note: Cow::Owned(note), digest }))?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn line(&mut self, line: &ExportLine<'_>) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.digest.update(&self.line);
        self.out.write_all(&self.line)
    }
}

/// The digest of the last line, from that of the lines before it.
pub(super) fn seal(lines: &Sha256, note: &str) -> Hash {
    Hash(lines.clone().chain_update(note).finalize().into())
}
