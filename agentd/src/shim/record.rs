//! The record of a run: read the spec, hold the lock, write what outlives the shim.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use agentd_schemas::launch::{LOCK_FILE, LaunchSpec, MAX_SPEC_BYTES, SPEC_FILE};
use rustix::fs::{FallocateFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;

use super::ShimError;

/// Bytes of the disk that a document has before it is written: more than any outcome, whose two ends of output are six
/// times as long in JSON where they are no text.
const ROOM_BYTES: u64 = 64 << 10;

/// The record, held by this process.
pub(super) struct Record {
    folder: PathBuf,
    _lock: File,
}

impl Record {
    /// Takes the record; another living shim on it is an error.
    pub(super) fn hold(folder: &Path) -> Result<Self, ShimError> {
        let path = folder.join(LOCK_FILE);
        let lock = open(&path, OFlags::RDWR | OFlags::CREATE)?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(failed("lock", &path))?;
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    /// The path of a file in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Reads the spec and holds it against the bounds of the contract.
    pub(super) fn spec(&self) -> Result<LaunchSpec, ShimError> {
        let path = self.path(SPEC_FILE);
        let mut text = Vec::new();
        let file = open(&path, OFlags::RDONLY)?;
        file.take(MAX_SPEC_BYTES as u64 + 1).read_to_end(&mut text).map_err(failed("read", &path))?;
        let refused = |reason| ShimError::Spec { path: path.clone(), reason };
        if text.len() > MAX_SPEC_BYTES {
            return Err(refused(format!("more than {MAX_SPEC_BYTES} bytes")));
        }
        let spec: LaunchSpec = serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))?;
        spec.check().map_err(|error| refused(error.to_string()))?;
        Ok(spec)
    }

    /// Where a document is until it is whole.
    fn unfinished(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.new"))
    }

    /// Creates a file that was not there.
    pub(super) fn create(&self, name: &str) -> Result<File, ShimError> {
        open(&self.path(name), OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
    }

    /// Takes the room of a document that is written later: whoever fills the disk meanwhile does not keep it from being
    /// told. Where the file system has no such thing, the document takes what is free then.
    pub(super) fn make_room(&self, name: &str) -> Result<(), ShimError> {
        let new = self.unfinished(name);
        let file = open(&new, OFlags::WRONLY | OFlags::CREATE)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, ROOM_BYTES) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) | Ok(()) => Ok(()),
            Err(error) => Err(failed("make room for", &new)(error)),
        }
    }

    /// Writes a document so that it is on disk whole, under its name, or not at all.
    pub(super) fn write_durably(&self, name: &str, document: &impl Serialize) -> Result<(), ShimError> {
        let new = self.unfinished(name);
        let text = serde_json::to_vec(document).map_err(|error| failed("write", &new)(std::io::Error::other(error)))?;
        // Cut off only once it is written: what was cut off before would not be its own any more.
        let mut file = open(&new, OFlags::WRONLY | OFlags::CREATE)?;
        let written = file.write_all(&text).and_then(|()| file.set_len(text.len() as u64));
        written.and_then(|()| file.sync_all()).map_err(failed("write", &new))?;
        let path = self.path(name);
        std::fs::rename(&new, &path).map_err(failed("rename to", &path))?;
        let folder = File::open(&self.folder).and_then(|folder| folder.sync_all());
        folder.map_err(failed("sync", &self.folder))
    }
}

fn open(path: &Path, flags: OFlags) -> Result<File, ShimError> {
    // Not blocking, so that a FIFO in the file's place is no wait.
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR | Mode::RGRP).map_err(failed("open", path))?.into())
}

fn failed<E: Into<std::io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> ShimError {
    let path = path.to_owned();
    move |source| ShimError::Record { action, path, source: source.into() }
}
