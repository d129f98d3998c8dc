//! Bytes under their digest: how they come to their name, and how they go.
//!
//! A file goes when nobody needed it at a look that may be minutes old. So who gives a file its name, or begins to need one
//! that is there, and who removes one hold the same lock, and what is not as it was found is left alone.

use std::fs::{File, FileTimes};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::content::{Kept, Stored};
use super::files;
use crate::sys::clock::Clock;
use crate::sys::deposit::Deposit;

/// Bytes between two looks at the room while something is taken.
pub(super) const LOOK_BYTES: u64 = 64 << 20;

/// Held by who names, touches or removes a file by digest.
static NAMES: Mutex<()> = Mutex::new(());

fn names() -> MutexGuard<'static, ()> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What bounds the bytes that a folder takes.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Below this share of free disk, in percent, nothing is taken.
    pub least_free_percent: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all files of the folder together, those on their way among them.
    pub folder_bytes: u64,
}

impl Bounds {
    /// Refuses where there is no room in a folder.
    fn check(&self, folder: &Path) -> io::Result<()> {
        check_free(folder, self.least_free_percent)?;
        if self.folder_bytes == u64::MAX {
            return Ok(());
        }
        let there = folder_bytes(folder)?;
        if there > self.folder_bytes {
            let most = self.folder_bytes;
            let text = format!("with what is under way {there} bytes would be kept here, and {most} are taken at most");
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, text));
        }
        Ok(())
    }
}

/// Refuses where less than this share of the disk below `path` is free, in percent.
pub(super) fn check_free(path: &Path, least: u64) -> io::Result<()> {
    let (free, total) = files::free_share(path)?;
    if u128::from(free) * 100 < u128::from(total) * u128::from(least) {
        let text = format!(
            "{free} of {total} bytes are free below {}, less than {least} % (runs.min_free_percent)",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::StorageFull, text));
    }
    Ok(())
}

/// Bytes of the files in a folder, unfinished ones too.
fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let there = std::fs::read_dir(folder)?.flatten().filter_map(|entry| entry.metadata().ok());
    Ok(there.filter(std::fs::Metadata::is_file).map(|found| found.len()).sum())
}

/// Bytes on their way to be kept. Dropped before its end, nothing of it is left.
#[derive(Debug)]
pub struct Keeping {
    file: Deposit,
    folder: PathBuf,
    bounds: Bounds,
    digest: Sha256,
    bytes: u64,
}

impl Keeping {
    /// Begins one in a folder of ours that is there.
    pub fn begin(folder: &Path, bounds: Bounds) -> io::Result<Self> {
        bounds.check(folder)?;
        let file = Deposit::begin(folder)?;
        Ok(Self { file, folder: folder.to_owned(), bounds, digest: Sha256::new(), bytes: 0 })
    }

    /// Takes the next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let before = self.bytes / LOOK_BYTES;
        self.bytes += bytes.len() as u64;
        if self.bytes > self.bounds.file_bytes {
            let text = format!("more than {} bytes, which is what is taken at most", self.bounds.file_bytes);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        self.file.write(bytes)?;
        self.digest.update(bytes);
        if self.bytes / LOOK_BYTES > before { self.bounds.check(&self.folder) } else { Ok(()) }
    }

    /// What it is so far.
    pub fn stored(&self) -> Stored {
        Stored { sha256: HEXLOWER.encode(&self.digest.clone().finalize()), bytes: self.bytes }
    }

    /// Gives it its name, in the place of what had it, and returns once that is durable.
    pub fn finish(self) -> io::Result<Stored> {
        let stored = self.stored();
        // It takes as long as the disk does, and nobody waits for it.
        self.file.sync()?;
        let _held = names();
        // Others on their way count as well: of two that do not fit together the first to end is refused, and gone.
        self.bounds.check(&self.folder)?;
        self.file.finish(&stored.sha256)?;
        Ok(stored)
    }
}

/// Sees to it that a file that is there is needed from now on: what was found before may not remove it. `false` where there
/// is none.
pub(super) fn touch(path: &Path) -> io::Result<bool> {
    let _held = names();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let now = Duration::from_millis(u64::try_from(Clock::system().wall_ms()).unwrap_or(0));
    file.set_times(FileTimes::new().set_modified(std::time::UNIX_EPOCH + now))?;
    Ok(true)
}

/// Which file it is, and when it was handed in last.
pub(super) fn state(found: &std::fs::Metadata) -> (u64, i64, i64) {
    (found.ino(), found.mtime(), found.mtime_nsec())
}

/// Removes a file that was found, if it is as it was and nobody needs it now; says whether it is gone.
pub fn remove(kept: &Kept, is_needed: impl FnOnce() -> io::Result<bool>) -> io::Result<bool> {
    let _held = names();
    let found = match kept.path.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    if state(&found) != kept.state || is_needed()? {
        return Ok(false);
    }
    std::fs::remove_file(&kept.path)?;
    Ok(true)
}
