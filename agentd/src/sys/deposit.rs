//! Files that have their name only when they are whole and on disk.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::random;

/// What names of unfinished files begin with.
const UNFINISHED: &str = ".unfinished-";

/// A file that is being written. Dropped before its end, it is gone.
#[derive(Debug)]
pub struct Deposit {
    file: File,
    folder: PathBuf,
    unfinished: PathBuf,
}

impl Deposit {
    /// Begins a file in a folder of ours, mode 0600.
    pub fn begin(folder: &Path) -> io::Result<Self> {
        let random = random::bytes::<16>().map_err(io::Error::other)?;
        let unfinished = folder.join(format!("{UNFINISHED}{}", random.map(|byte| format!("{byte:02x}")).concat()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        Ok(Self { file, folder: folder.to_owned(), unfinished })
    }

    /// Writes the next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Waits until what was written is on disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Gives it its name, in the place of what had it, and returns once that is durable.
    pub fn finish(self, name: &str) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.unfinished, self.folder.join(name))?;
        File::open(&self.folder)?.sync_all()
    }
}

impl Drop for Deposit {
    fn drop(&mut self) {
        // After the end it has another name.
        let _ = std::fs::remove_file(&self.unfinished);
    }
}

/// Writes a whole file.
pub fn put(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut deposit = Deposit::begin(folder)?;
    deposit.write(bytes)?;
    deposit.finish(name)
}

/// Reads a file of at most `limit` bytes. A link in its place, or something that is no file, is an error and no wait.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file: File = rustix::fs::open(path, flags, Mode::empty())?.into();
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Makes a folder for deposits, mode 0700, where it is not there, and removes what was left unfinished in it.
pub fn ready(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_has_its_name_when_it_is_whole_and_else_it_is_gone() {
        let scratch = Scratch::new();
        put(scratch.path(), "a", b"old").unwrap();
        let mut deposit = Deposit::begin(scratch.path()).unwrap();
        deposit.write(b"new").unwrap();
        assert_eq!(std::fs::read(scratch.join("a")).unwrap(), b"old");
        deposit.finish("a").unwrap();
        assert_eq!(std::fs::read(scratch.join("a")).unwrap(), b"new");
        drop(Deposit::begin(scratch.path()).unwrap());
        assert_eq!(names(scratch.path()), ["a"]);
    }

    #[test]
    fn what_a_crash_left_unfinished_is_removed() {
        let scratch = Scratch::new();
        std::mem::forget(Deposit::begin(scratch.path()).unwrap());
        put(scratch.path(), "a", b"kept").unwrap();
        ready(scratch.path()).unwrap();
        assert_eq!(names(scratch.path()), ["a"]);
    }
}
