//! Verifying in depth: tables against what the events make of them, content against commitments, signed statements
//! against the keys of their agents.
//!
//! Every event is replayed into temporary tables that lie in front of the real ones on a read-only connection; then
//! both are compared row by row.

use std::collections::BTreeMap;
use std::path::Path;

use agentd_schemas::event::Event;
use agentd_schemas::log::note::SignedNote;
use rusqlite::Connection;

use super::compare;
use super::content::Content;
use super::fault::{CheckpointFault, EventFault, VerifyError};
use super::signed::{check_certificate, check_possession, check_result};
use super::{Report, verify_in};
use crate::ledger::rebuild::{self, Made, RebuildError};
use crate::ledger::{checkpoint, open};

/// Events between two reports of progress.
const STEP: u64 = 1 << 12;

/// What a ledger that holds in depth is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeepReport {
    /// What [`verify`](super::verify) found.
    pub report: Report,
    /// Rows of all projections.
    pub rows: u64,
    /// Blobs that are what their events commit to.
    pub blobs: u64,
    /// Blobs that were erased, as events say.
    pub erased: u64,
    /// Signed statements that verify under the agent's key of their time, and say what the ledger says.
    pub statements: u64,
    /// Proofs that somebody held a new key.
    pub possessions: u64,
    /// Certificates by which owners let keys sign, each made with the key that its agent was enrolled under.
    pub certificates: u64,
    /// Agents by who holds their keys: `resident`, `host`, `owner`.
    pub custody: BTreeMap<String, u64>,
}

impl From<RebuildError> for VerifyError {
    fn from(error: RebuildError) -> Self {
        match error {
            RebuildError::Sqlite(error) => Self::Sqlite(error),
            RebuildError::Event { index, why } => Self::Event { index, fault: EventFault::Body(why) },
            RebuildError::Project { index, source, .. } => Self::Event { index, fault: EventFault::Project(source) },
        }
    }
}

/// Verifies the ledger at `path` as [`verify`](super::verify) does, and then in depth. `progress` is told how many
/// events more were read; every event is read twice.
pub fn verify_deep(
    path: &Path,
    given: &[SignedNote],
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<DeepReport, VerifyError> {
    let mut connection = open::open_for_verify(path)?;
    let tx = connection.transaction()?;
    let report = verify_in(&tx, path, given, threads, progress)?;
    let made = rebuild::schema_made()?;
    check_schema(&tx, &made)?;
    // Pages and indexes are looked at beside the replay. A fault of the file is told first: it explains the others.
    std::thread::scope(|scope| {
        let file = scope.spawn(|| check_file(path));
        let replayed = replay(&tx, &made, progress);
        file.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let Replayed { rows, blobs, erased, statements, possessions, certificates, custody } = replayed?;
        Ok(DeepReport { report, rows, blobs, erased, statements, possessions, certificates, custody })
    })
}

/// What replaying has counted; see [`DeepReport`].
struct Replayed {
    rows: u64,
    blobs: u64,
    erased: u64,
    statements: u64,
    possessions: u64,
    certificates: u64,
    custody: BTreeMap<String, u64>,
}

/// Replays every event and compares what it makes with what is stored.
fn replay(tx: &Connection, made: &[Made], progress: &(dyn Fn(u64) + Sync)) -> Result<Replayed, VerifyError> {
    random_access(tx)?;
    shadow(tx, made)?;
    let mut content = Content::new(tx);
    let (mut statements, mut possessions, mut certificates) = (0, 0, 0);
    let mut minutes = Minutes::new(tx);
    let events = rebuild::replay(tx, |event| {
        minutes.check(event)?;
        let carried = content.check(event)?;
        statements += u64::from(check_result(tx, event, &carried)?);
        possessions += check_possession(tx, event)?;
        certificates += u64::from(check_certificate(tx, event)?);
        if (event.envelope.index + 1).is_multiple_of(STEP) {
            progress(STEP);
        }
        Ok::<(), VerifyError>(())
    })?;
    progress(events % STEP);
    let (blobs, erased) = content.finish()?;
    let mut rows = 0;
    for table in made.iter().filter(|made| made.kind == "table" && made.is_projection()) {
        rows += compare::table(tx, &table.name, "")?;
    }
    rows += compare::table(tx, "meta", "WHERE key NOT IN ('started', 'restored', 'request_key')")?;
    Ok(Replayed { rows, blobs, erased, statements, possessions, certificates, custody: custody(tx)? })
}

/// The checkpoints that must have been kept: of every minute, that of its last commit.
struct Minutes<'c> {
    connection: &'c Connection,
    last: Option<i64>,
}

impl<'c> Minutes<'c> {
    fn new(connection: &'c Connection) -> Self {
        Self { connection, last: None }
    }

    /// Takes the next event: where its minute is another one, the events before it must have a checkpoint.
    fn check(&mut self, event: &Event) -> Result<(), VerifyError> {
        let (size, minute) = (event.envelope.index, checkpoint::minute(event.envelope.time));
        if self.last.replace(minute).is_none_or(|last| last == minute) {
            return Ok(());
        }
        let here = self.connection.prepare_cached("SELECT 1 FROM main.checkpoints WHERE size = ?1")?.exists([size])?;
        if here { Ok(()) } else { Err(VerifyError::Kept { size, fault: CheckpointFault::Missing }) }
    }
}

/// Agents by who holds their keys.
pub(super) fn custody(connection: &Connection) -> rusqlite::Result<BTreeMap<String, u64>> {
    let mut statement = connection.prepare("SELECT custody, count(*) FROM agents GROUP BY custody")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// A page of a mapped file is checked anew at each visit: good for one reading from the first to the last, and dear for
/// what goes to and fro.
fn random_access(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA main.mmap_size = 0; PRAGMA main.cache_size = -65536;")
}

/// Triggers, views and indexes of somebody else would make tables say what no event says.
fn check_schema(connection: &Connection, made: &[Made]) -> Result<(), VerifyError> {
    let found = rebuild::schema(connection)?;
    let differing =
        found.iter().find(|one| !made.contains(one)).or_else(|| made.iter().find(|one| !found.contains(one)));
    match differing {
        None => Ok(()),
        Some(one) => Err(VerifyError::Schema { what: format!("{} {}", one.kind, one.name) }),
    }
}

/// Lets the database look at its pages, and at every index against its table.
fn check_file(path: &Path) -> Result<(), VerifyError> {
    let connection = open::open_for_verify(path)?;
    random_access(&connection)?;
    let what: String = connection.query_row("PRAGMA main.integrity_check(1)", [], |row| row.get(0))?;
    if what == "ok" { Ok(()) } else { Err(VerifyError::File { what }) }
}

/// Makes an empty temporary table in front of each table that projecting writes to.
fn shadow(connection: &Connection, made: &[Made]) -> rusqlite::Result<()> {
    let written = made.iter().filter(|made| made.is_projection() || matches!(made.name.as_str(), "meta" | "blobs"));
    for made in written {
        // An index follows its table: an unqualified name finds the temporary one.
        connection.execute_batch(&made.sql.replacen("CREATE TABLE", "CREATE TEMP TABLE", 1))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
