//! Restoring a backup: a verified copy that goes on as a new incarnation.
//!
//! What the lost ledger promised after the backup (leases, checkpoints) must never be promised again under the same
//! name. So the copy gets a new origin, and fences of a higher incarnation, before it takes its first event.
//!
//! The number of that incarnation rises by a random step. The same backup can be restored twice, on two machines that
//! know nothing of each other; one more than the backup's own would then be two incarnations of one name, and a fence of
//! the one would hold in the other. A clock would part them as well, but a machine that was just set up has no good one.

use std::path::Path;

use super::backup::{self, BackupError};
use super::incarnation::{self, origin_of};
use super::open::{self, OpenError};
use super::verify::{self, Report, VerifyError};
use crate::sys::random;

/// How far the number of an incarnation rises at most: two restores of one backup meet once in four million times.
const STEP: u32 = 1 << 22;

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup is not good.
    #[error("the backup is not good: {0}")]
    Verify(#[from] VerifyError),
    /// The backup cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The copy failed.
    #[error(transparent)]
    Copy(#[from] BackupError),
    /// No incarnation is left.
    #[error("incarnation {0} is the last one that there can be")]
    Incarnation(u32),
    /// There are no random bytes.
    #[error(transparent)]
    Random(#[from] random::RandomError),
    /// Nothing was ever written to the backup.
    #[error("the backup has no events")]
    Empty,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredCopy {
    /// What verification found in the backup.
    pub report: Report,
    /// The incarnation that opening the copy begins.
    pub incarnation: u32,
    /// Its origin.
    pub origin: String,
}

/// Verifies the ledger at `from` and copies it to the new file `to`, marked so that opening it begins a new incarnation.
///
/// `last` is the number of the last incarnation known to have run, when it is above the backup's own. The new one is
/// above both. `reason` goes into the log.
pub fn restore(
    from: &Path,
    to: &Path,
    last: Option<u32>,
    reason: &str,
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<RestoredCopy, RestoreError> {
    let report = verify::verify(from, &[], threads, progress)?;
    let current = report.incarnations.last().ok_or(RestoreError::Empty)?;
    let before = last.unwrap_or(0).max(current.incarnation);
    let incarnation = after(before, u32::from_le_bytes(random::bytes()?)).ok_or(RestoreError::Incarnation(before))?;
    let origin = origin_of(&current.origin, incarnation);
    let source = open::open_for_verify(from)?;
    backup::copy(&source, to, &|_, _| {}, |copy| incarnation::mark_restored(copy, incarnation, reason))?;
    Ok(RestoredCopy { report, incarnation, origin })
}

/// The next incarnation by a random step. A thousand restores one after the other have room at least.
fn after(before: u32, random: u32) -> Option<u32> {
    before.checked_add(1 + random % STEP)
}

#[cfg(test)]
mod tests;
