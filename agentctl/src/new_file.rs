//! Files that agentctl makes: readable by their owner alone, whole or not there.
//!
//! They are written under another name in the same directory and take their own once everything is on disk, so that
//! nobody finds half of one, and nothing is replaced unless that was asked for.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::RenameFlags;

use crate::error::Failure;

/// A file under way; it is gone when this is dropped before [`NewFile::keep`].
#[derive(Debug)]
pub(crate) struct NewFile {
    file: File,
    beside: PathBuf,
    path: PathBuf,
    replace: bool,
    kept: bool,
}

impl NewFile {
    /// Begins a file with mode 0600. Without `replace` a file that is there already is refused, now and in the end.
    pub(crate) fn create(path: &Path, replace: bool) -> Result<Self, Failure> {
        let name = path.file_name().ok_or_else(|| Failure::usage(format!("{} is no file name", path.display())))?;
        if !replace && path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
        let random = data_encoding::HEXLOWER.encode(&crate::ambient::random::<6>()?);
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{random}"));
        let beside = path.with_file_name(hidden);
        let mut options = std::fs::OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(&beside);
        let file = file.map_err(|error| Failure::file(path, "create", &error))?;
        Ok(Self { file, beside, path: path.to_owned(), replace, kept: false })
    }

    /// The descriptor, to hand to somebody who writes.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Writes bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|error| Failure::file(&self.path, "write", &error))
    }

    /// Puts everything on disk and gives the file its name; gives its size in bytes.
    pub(crate) fn keep(mut self) -> Result<u64, Failure> {
        let failed = |error: std::io::Error| Failure::file(&self.path, "write", &error);
        self.file.sync_all().map_err(failed)?;
        let size = self.file.metadata().map_err(failed)?.len();
        let flags = if self.replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        let here = rustix::fs::CWD;
        rustix::fs::renameat_with(here, &self.beside, here, &self.path, flags).map_err(|error| match error {
            rustix::io::Errno::EXIST => exists(&self.path),
            other => failed(other.into()),
        })?;
        self.kept = true;
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
        Ok(size)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing can be done about a file that does not go away; its name says whose it is.
            let _ = std::fs::remove_file(&self.beside);
        }
    }
}

fn exists(path: &Path) -> Failure {
    Failure::local(format!("{} exists already", path.display())).hint("choose another name, or replace it with --force")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let random = data_encoding::HEXLOWER.encode(&crate::ambient::random::<8>().unwrap());
        let dir = std::env::temp_dir().join(format!("agentctl-{random}"));
        std::fs::create_dir(&dir).unwrap();
        dir.join(name)
    }

    #[test]
    fn a_file_is_its_owners_alone_and_whole() {
        let path = scratch("backup");
        let mut file = NewFile::create(&path, false).unwrap();
        file.write(b"abc").unwrap();
        assert!(!path.exists());
        assert_eq!(file.keep().unwrap(), 3);
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_file_that_is_there_is_replaced_only_with_force() {
        let path = scratch("export");
        std::fs::write(&path, "old").unwrap();
        assert_eq!(NewFile::create(&path, false).unwrap_err().exit(), 1);
        let mut file = NewFile::create(&path, true).unwrap();
        file.write(b"new").unwrap();
        file.keep().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_file_that_appeared_meanwhile_is_not_replaced_and_nothing_is_left_behind() {
        let path = scratch("proof");
        let file = NewFile::create(&path, false).unwrap();
        std::fs::write(&path, "theirs").unwrap();
        assert!(file.keep().unwrap_err().message().ends_with("exists already"));
        assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
