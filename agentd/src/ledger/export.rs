//! Exporting: the whole log, or what belongs to one uid with inclusion proofs, as JSON Lines that anybody can verify.
//!
//! The head of the moment signs the export; who gives an export away has the writer keep that checkpoint.

use std::borrow::Cow;
use std::io;

use agentd_schemas::log::commitment::Salt;
use agentd_schemas::log::export::{BlobLine, ExportWriter, Format, Header, Tree};
use agentd_schemas::log::note::{Checkpoint, NoteError, SignedNote};
use agentd_schemas::unit::time::WallMs;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Rows, params};
use serde::Deserialize;

use super::blobs;
use super::incarnation::{self, LogError};
use super::prove::{self, ProveError};
use super::tree::Nodes;

/// Why an export ended early. What was written of it does not verify.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database failed.
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The destination failed.
    #[error("the export cannot be written")]
    Io(#[from] io::Error),
    /// The head or a proof.
    #[error(transparent)]
    Prove(#[from] ProveError),
    /// The beginning of the incarnation.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A kept checkpoint.
    #[error("the ledger is damaged: the kept checkpoint of {size} events: {source}; verify it to find every fault")]
    Kept {
        /// Its row.
        size: u64,
        /// What is wrong.
        source: NoteError,
    },
    /// An event that cannot be read.
    #[error("the ledger is damaged: event {index}: {why}; verify it to find every fault")]
    Event {
        /// Its index.
        index: u64,
        /// What is wrong.
        why: String,
    },
}

/// What to export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Only works, agents, schedules, objectives and accounts of this uid, and what it did to the host; `None` for all.
    /// What was refused to it stays out: the record names what it may not know of.
    pub owner: Option<u32>,
    /// With content; otherwise it is withheld.
    pub content: bool,
    /// The moment of the export.
    pub at: WallMs,
}

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Events written.
    pub events: u64,
    /// Events of the log.
    pub size: u64,
}

/// The blobs of an event; what else it says is not looked at.
#[derive(Deserialize)]
struct Committed<'a> {
    #[serde(borrow, default)]
    blobs: Vec<Reference<'a>>,
}

#[derive(Deserialize)]
struct Reference<'a> {
    slot: u8,
    #[serde(borrow)]
    media_type: Cow<'a, str>,
}

/// Events of an owner. `?1` is the uid, `?2` the uid as an actor, `?3` the size of the exported tree.
const OF_OWNER: &str = "SELECT idx, body FROM events WHERE idx < ?3 AND (
        subject IN (SELECT key FROM works WHERE owner = ?1
            UNION ALL SELECT key FROM agents WHERE owner = ?1
            UNION ALL SELECT key FROM schedules WHERE owner = ?1
            UNION ALL SELECT key FROM subjects WHERE kind = 'objective' AND substr(id, 1, instr(id, '/') - 1) = ?1 || ''
            UNION ALL SELECT key FROM subjects WHERE kind = 'account' AND substr(id, 1, instr(id, '/') - 1) = 'owner:' || ?1)
        OR subject IN (SELECT key FROM subjects WHERE kind = 'host') AND json_extract(body, '$.actor') = ?2
            AND json_extract(body, '$.type') NOT IN ('AccessDenied', 'AuthenticationFailed'))
    ORDER BY idx";

/// Writes an export of one snapshot to `out` and flushes it.
pub fn export<W: io::Write>(connection: &Connection, out: W, wanted: Wanted) -> Result<Exported, ExportError> {
    let snapshot = connection.unchecked_transaction()?;
    let (note, head) = prove::head(&snapshot)?;
    let mut export = Export {
        connection: &snapshot,
        writer: ExportWriter::new(out, header(&snapshot, &head, wanted)?)?,
        nodes: Nodes::new(&snapshot),
        head,
        content: wanted.content,
    };
    let events = match wanted.owner {
        None => export.whole()?,
        Some(owner) => export.part(owner)?,
    };
    let size = export.head.size;
    export.writer.finish(&note)?;
    Ok(Exported { events, size })
}

fn header(connection: &Connection, head: &Checkpoint, wanted: Wanted) -> Result<Header, ExportError> {
    let current = incarnation::current(connection)?.ok_or(ProveError::Empty)?;
    Ok(Header {
        format: Format::V1,
        origin: current.origin,
        incarnation: current.incarnation.into(),
        log_key: current.log_key,
        exported_at: wanted.at.timestamp(),
        whole: wanted.owner.is_none(),
        tree: Tree { size: head.size, root: head.root },
        previous: current.previous,
    })
}

struct Export<'c, W> {
    connection: &'c Connection,
    nodes: Nodes<'c>,
    writer: ExportWriter<W>,
    head: Checkpoint,
    content: bool,
}

impl<W: io::Write> Export<'_, W> {
    fn whole(&mut self) -> Result<u64, ExportError> {
        let connection = self.connection;
        let mut kept = connection.prepare("SELECT size, note FROM checkpoints WHERE size < ?1 ORDER BY size")?;
        let mut kept = kept.query([self.head.size])?;
        let mut next = self.kept(&mut kept)?;
        let mut events = connection.prepare("SELECT idx, body FROM events WHERE idx < ?1 ORDER BY idx")?;
        let mut rows = events.query([self.head.size])?;
        for index in 0..self.head.size {
            let row = rows.next()?.ok_or_else(|| damaged(index, "it is missing"))?;
            let at: u64 = row.get(0)?;
            if at != index {
                return Err(damaged(index, "it is missing"));
            }
            self.event(index, row.get_ref(1)?, false)?;
            while let Some((size, note)) = &next {
                if *size > index + 1 {
                    break;
                }
                self.writer.checkpoint(note)?;
                next = self.kept(&mut kept)?;
            }
        }
        Ok(self.head.size)
    }

    fn part(&mut self, owner: u32) -> Result<u64, ExportError> {
        let mut events = self.connection.prepare(OF_OWNER)?;
        let mut rows = events.query(params![owner, format!("uid:{owner}"), self.head.size])?;
        let mut written = 0;
        while let Some(row) = rows.next()? {
            self.event(row.get(0)?, row.get_ref(1)?, true)?;
            written += 1;
        }
        Ok(written)
    }

    /// The next kept checkpoint that the current incarnation signed.
    fn kept(&self, rows: &mut Rows<'_>) -> Result<Option<(u64, SignedNote)>, ExportError> {
        while let Some(row) = rows.next()? {
            let (size, note): (u64, String) = (row.get(0)?, row.get(1)?);
            let fault = |source| ExportError::Kept { size, source };
            let note = SignedNote::parse(&note).map_err(fault)?;
            if Checkpoint::from_text(note.text()).map_err(fault)?.origin == self.head.origin {
                return Ok(Some((size, note)));
            }
        }
        Ok(None)
    }

    /// Writes an event, its proof where asked for, and a line for each of its blobs.
    fn event(&mut self, index: u64, body: ValueRef<'_>, proof: bool) -> Result<(), ExportError> {
        let body = body.as_str().map_err(|error| damaged(index, error.to_string()))?;
        let committed: Committed<'_> = serde_json::from_str(body).map_err(|error| damaged(index, error.to_string()))?;
        self.writer.event(index, body)?;
        if proof {
            let hashes = prove::inclusion(&mut self.nodes, self.connection, index, &self.head)?;
            self.writer.proof(index, hashes)?;
        }
        committed.blobs.iter().try_for_each(|blob| self.blob(index, blob))
    }

    fn blob(&mut self, index: u64, blob: &Reference<'_>) -> Result<(), ExportError> {
        let mut query = self.connection.prepare_cached("SELECT salt, data FROM blobs WHERE id = ?1")?;
        let mut rows = query.query([blobs::id(index, blob.slot)])?;
        let row = rows.next()?.ok_or_else(|| damaged(index, format!("blob {} is missing", blob.slot)))?;
        let slot = blob.slot.into();
        let line = match (row.get_ref(0)?, row.get_ref(1)?) {
            (ValueRef::Blob(_), ValueRef::Blob(_)) if !self.content => BlobLine::withheld(index, slot),
            (ValueRef::Blob(salt), ValueRef::Blob(data)) => {
                let salt = salt.try_into().map_err(|_| damaged(index, format!("blob {slot} has no whole salt")))?;
                BlobLine::content(index, slot, Salt(salt), &blob.media_type, data)
            }
            _ => BlobLine::erased(index, slot),
        };
        Ok(self.writer.blob(line)?)
    }
}

fn damaged(index: u64, why: impl Into<String>) -> ExportError {
    ExportError::Event { index, why: why.into() }
}

#[cfg(test)]
mod tests;
