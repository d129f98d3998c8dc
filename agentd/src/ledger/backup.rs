//! Copies of the whole ledger while it is in use: one snapshot, one file that stands alone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::incarnation::{self, LogError};
use super::open::{self, OpenError};

/// Pages copied between two reports of progress.
const STEP: i32 = 4096;

/// Why there is no copy. Nothing is left of a file that was begun.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The new file cannot be made.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Reading or writing failed.
    #[error("the copy {} failed: {source}", path.display())]
    Sqlite {
        /// The new file.
        path: PathBuf,
        /// What the database said.
        source: rusqlite::Error,
    },
    /// The copy could not be made durable.
    #[error("the copy {} cannot be made durable", path.display())]
    Io {
        /// The new file.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
    /// The copy does not hold together, so neither does the ledger.
    #[error("the copy {} is not good: {source}", path.display())]
    Log {
        /// The new file.
        path: PathBuf,
        /// What is wrong.
        source: LogError,
    },
    /// There is nothing to copy.
    #[error("the ledger has no events yet")]
    Empty,
}

/// Copies the ledger behind `source` to the new file `target` (mode 0600), then checks the copy's end against its signed
/// head. The writer goes on meanwhile. `progress` is told pages copied and pages in all. Gives the number of events.
pub fn backup(source: &Connection, target: &Path, progress: &dyn Fn(u64, u64)) -> Result<u64, BackupError> {
    copy(source, target, progress, |_| Ok(()))
}

/// Copies, lets `finish` change the copy, and checks it.
pub(super) fn copy(
    source: &Connection,
    target: &Path,
    progress: &dyn Fn(u64, u64),
    finish: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<u64, BackupError> {
    let file = open::create_private(target)?;
    let copied = copy_into(source, target, &file, progress, finish);
    if copied.is_err() {
        // The error that matters is the first one.
        drop(fs::remove_file(target));
    }
    copied
}

fn copy_into(
    source: &Connection,
    target: &Path,
    file: &File,
    progress: &dyn Fn(u64, u64),
    finish: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<u64, BackupError> {
    let path = || target.to_owned();
    let failed = |source| BackupError::Sqlite { path: path(), source };
    let mut copy = Connection::open(target).map_err(failed)?;
    pages(source, &mut copy, progress).map_err(failed)?;
    // A file in WAL mode cannot be read from a medium that cannot be written.
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).map_err(failed)?;
    finish(&copy).map_err(failed)?;
    let size = incarnation::check_end(&copy).map_err(|source| BackupError::Log { path: path(), source })?;
    copy.close().map_err(|(_, source)| failed(source))?;
    let durable = file.sync_all().and_then(|()| File::open(parent(target))?.sync_all());
    durable.map_err(|source| BackupError::Io { path: path(), source })?;
    size.ok_or(BackupError::Empty)
}

/// Copies every page of one snapshot.
fn pages(source: &Connection, copy: &mut Connection, progress: &dyn Fn(u64, u64)) -> rusqlite::Result<()> {
    let snapshot = source.unchecked_transaction()?;
    // Only reading begins the snapshot; without it every commit of the writer would begin the copy anew.
    snapshot.query_row("SELECT count(*) FROM head", [], |_| Ok(()))?;
    let backup = Backup::new(&snapshot, copy)?;
    loop {
        let step = backup.step(STEP)?;
        let at = backup.progress();
        let [all, left] = [at.pagecount, at.remaining].map(|pages| u64::try_from(pages).unwrap_or(0));
        progress(all.saturating_sub(left), all);
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            _ => return Err(busy()),
        }
    }
}

fn busy() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests;
