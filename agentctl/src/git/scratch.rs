//! Places of our own beside a repository: a folder that goes away, a file without a name, a repository that borrows objects.

use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::Git;
use crate::ambient;
use crate::error::Failure;

/// A folder that only its owner sees; it is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one.
    pub(crate) fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("agentctl-{}", random()?));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| Failure::file(&path, "create", &error).hint("TMPDIR says where such folders are"))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing can be done about a folder that does not go away; its name says whose it is.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A file that has no name, for what may be large.
pub(crate) fn nameless() -> Result<File, Failure> {
    let folder = std::env::temp_dir();
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::open(&folder, flags, Mode::RUSR | Mode::WUSR) {
        return Ok(File::from(file));
    }
    // Not every file system makes such files.
    let path = folder.join(format!(".agentctl-{}", random()?));
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path);
    let file = file.map_err(|error| Failure::file(&path, "create", &error))?;
    std::fs::remove_file(&path).map_err(|error| Failure::file(&path, "remove", &error))?;
    Ok(file)
}

/// An empty repository in a scratch folder, with none of another's settings, that reads objects from `objects` too.
pub(crate) fn repository(git: &Git, scratch: &Scratch, format: &str, objects: &[&Path]) -> Result<Git, Failure> {
    let place = scratch.path().join("repository");
    let object_format = format!("--object-format={format}");
    let at = git.settings_at(scratch.path());
    at.bytes(["init", "--quiet", "--bare", "--template=", &object_format, "repository"])?;
    Ok(git.settings_at(&place).with("GIT_DIR", &place).reading(objects))
}

fn random() -> Result<String, Failure> {
    Ok(data_encoding::HEXLOWER.encode(&ambient::random::<8>()?))
}
