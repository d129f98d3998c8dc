//! A whole export in depth: its lines go into an empty database that lasts as long as the check, and every event is
//! replayed there, with its content and what was signed. No table stands beside an export, so none is compared.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use agentd_schemas::event::Event;
use agentd_schemas::log::export::{BlobLine, BlobState, ExportLine, ExportReport, ReadError, verify_export};
use agentd_schemas::log::note::{SignedNote, VerifierKey};
use rusqlite::{Connection, params};

use super::content::Content;
use super::deep::custody;
use super::fault::{EventFault, VerifyError};
use super::signed::{check_certificate, check_possession, check_result};
use crate::ledger::blobs::{self, SLOTS};
use crate::ledger::{open, rebuild};

/// Why an export does not hold in depth.
#[derive(Debug, thiserror::Error)]
pub enum ExportFault {
    /// It cannot be read.
    #[error("export {} cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It names no key of its own.
    #[error("{} is neither an export nor a database of agentd; agentctl ledger export makes an export", path.display())]
    NoExport {
        /// The file.
        path: PathBuf,
    },
    /// It does not hold as an export.
    #[error("{0}")]
    Export(#[from] ReadError),
    /// It is a part of a log.
    #[error("a part of a log cannot be replayed; verify it without --deep, or have the whole log exported")]
    Partial,
    /// It does not hold in depth.
    #[error(transparent)]
    Deep(#[from] VerifyError),
}

/// What an export that holds in depth is made of.
#[derive(Debug)]
pub struct ExportDepth {
    /// What verifying its lines found.
    pub report: ExportReport,
    /// Signed statements that verify under the agent's key of their time, and say what the log says.
    pub statements: u64,
    /// Proofs that somebody held a new key.
    pub possessions: u64,
    /// Certificates by which owners let keys sign.
    pub certificates: u64,
    /// Agents by who holds their keys.
    pub custody: BTreeMap<String, u64>,
}

/// Whether a file begins like a database; everything else may be an export.
pub fn is_database(path: &Path) -> io::Result<bool> {
    let mut reader = BufReader::new(File::open(path)?);
    Ok(reader.fill_buf()?.starts_with(b"SQLite format 3\0"))
}

/// Verifies the export at `path` under `keys` (under the key that it names itself where there are none), against the
/// checkpoints `given` from outside, and then in depth.
pub fn verify_export_deep(
    path: &Path,
    keys: Vec<VerifierKey>,
    given: &[SignedNote],
) -> Result<ExportDepth, ExportFault> {
    let opened = || File::open(path).map_err(|source| ExportFault::Io { path: path.to_owned(), source });
    let keys = if keys.is_empty() { vec![own_key(path, opened()?)?] } else { keys };
    let report = verify_export(BufReader::with_capacity(1 << 20, opened()?), keys, given)?;
    if !report.header.whole {
        return Err(ExportFault::Partial);
    }
    // A database without a name is a temporary file that nobody else can open.
    let mut connection = Connection::open("").map_err(VerifyError::from)?;
    open::migrate(&mut connection).map_err(VerifyError::from)?;
    let tx = connection.transaction().map_err(VerifyError::from)?;
    take_lines(&tx, path, opened()?)?;
    let mut content = Content::new(&tx);
    let (mut statements, mut possessions, mut certificates) = (0, 0, 0);
    rebuild::replay(&tx, |event| {
        let carried = content.check(event)?;
        statements += u64::from(check_result(&tx, event, &carried)?);
        possessions += check_possession(&tx, event)?;
        certificates += u64::from(check_certificate(&tx, event)?);
        Ok::<(), VerifyError>(())
    })?;
    if report.withheld == 0 {
        content.finish()?;
    }
    let custody = custody(&tx).map_err(VerifyError::from)?;
    Ok(ExportDepth { report, statements, possessions, certificates, custody })
}

fn own_key(path: &Path, file: File) -> Result<VerifierKey, ExportFault> {
    let line = BufReader::new(file).split(b'\n').next().and_then(Result::ok).unwrap_or_default();
    match serde_json::from_slice::<ExportLine<'_>>(&line) {
        Ok(ExportLine::Header(header)) => Ok(header.log_key),
        _ => Err(ExportFault::NoExport { path: path.to_owned() }),
    }
}

/// Puts events and content into the database. The lines have been verified.
fn take_lines(tx: &Connection, path: &Path, file: File) -> Result<(), ExportFault> {
    for line in BufReader::with_capacity(1 << 20, file).split(b'\n') {
        let line = line.map_err(|source| ExportFault::Io { path: path.to_owned(), source })?;
        match serde_json::from_slice::<ExportLine<'_>>(&line) {
            Ok(ExportLine::Event(line)) => event(tx, line.index, &line.leaf.0, &line.body)?,
            Ok(ExportLine::Blob(line)) => blob(tx, &line).map_err(VerifyError::from)?,
            _ => {}
        }
    }
    Ok(())
}

fn event(tx: &Connection, index: u64, leaf: &[u8; 32], body: &str) -> Result<(), VerifyError> {
    let fault = |why: String| VerifyError::Event { index, fault: EventFault::Body(why) };
    let version = Event::from_bytes(body.as_bytes()).map_err(|error| fault(error.to_string()))?.envelope.version;
    // Who the subject is stands in the body; the columns beside it only serve looking things up.
    let sql = "INSERT INTO events (idx, subject, version, leaf, body) VALUES (?1, ?1, ?2, ?3, ?4)";
    tx.prepare_cached(sql)?.execute(params![index, version, leaf, body])?;
    Ok(())
}

fn blob(tx: &Connection, line: &BlobLine<'_>) -> rusqlite::Result<()> {
    let Some(slot) = u8::try_from(line.slot()).ok().filter(|slot| *slot < SLOTS) else { return Ok(()) };
    let id = blobs::id(line.event(), slot);
    match line.state() {
        Some(BlobState::Content { salt, base64, .. }) => {
            let data = data_encoding::BASE64.decode(base64.as_bytes()).unwrap_or_default();
            blobs::insert(tx, id, &salt, &data)
        }
        _ => tx.prepare_cached("INSERT INTO blobs (id) VALUES (?1)")?.execute([id]).map(drop),
    }
}

#[cfg(test)]
mod tests;
