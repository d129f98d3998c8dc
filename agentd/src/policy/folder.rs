//! The folder of a host's policies: what may lie in it, and who may have written it.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::requests::{POLICIES, REQUESTS};
use super::set::{Source, Sources};
use super::{Rejected, guard};
use crate::sys::process;

/// Files with policies, at most; as many may hold their example requests.
pub const MAX_POLICY_FILES: usize = 64;

/// The files of a folder, by name; none where there is no folder. Other files and hidden ones are left alone.
pub fn read(folder: &Path) -> Result<Sources, Rejected> {
    let shown = folder.display().to_string();
    let directory = match open(folder, OFlags::DIRECTORY) {
        Ok(directory) => directory,
        Err(error) if error == rustix::io::Errno::NOENT => return Ok(Sources::default()),
        Err(error) => return Err(unreadable(&shown, &error.into())),
    };
    let metadata = directory.metadata().map_err(|error| unreadable(&shown, &error))?;
    trusted(&shown, &shown, &metadata)?;
    let mut sources = Sources::default();
    for name in names(&shown, folder)? {
        let into = match &name {
            name if name.ends_with(REQUESTS) => &mut sources.requests,
            name if name.ends_with(POLICIES) => &mut sources.policies,
            _ => continue,
        };
        if into.len() == MAX_POLICY_FILES {
            return Err(Rejected::of(shown, format!("has more than {MAX_POLICY_FILES} files of a kind")));
        }
        into.push(Source { bytes: file(&name, &folder.join(&name))?, name });
    }
    Ok(sources)
}

/// One file, as it was when it was looked at who may write it.
fn file(name: &str, path: &Path) -> Result<Vec<u8>, Rejected> {
    let opened = open(path, OFlags::NONBLOCK).map_err(|error| match error {
        rustix::io::Errno::LOOP => Rejected::of(name, "is a link").hint("put the file itself there"),
        error => unreadable(name, &error.into()),
    })?;
    let metadata = opened.metadata().map_err(|error| unreadable(name, &error))?;
    if !metadata.is_file() {
        return Err(Rejected::of(name, "is no regular file"));
    }
    trusted(name, &path.display().to_string(), &metadata)?;
    contents(name, opened)
}

/// One file that somebody writes on, whoever that is.
pub fn draft(name: &str, path: &Path) -> Result<Vec<u8>, Rejected> {
    let opened = File::open(path).map_err(|error| unreadable(name, &error))?;
    if !opened.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(Rejected::of(name, "is no regular file"));
    }
    contents(name, opened)
}

fn contents(name: &str, opened: File) -> Result<Vec<u8>, Rejected> {
    let mut bytes = Vec::new();
    let limit = guard::MAX_POLICY_FILE_BYTES as u64 + 1;
    opened.take(limit).read_to_end(&mut bytes).map_err(|error| unreadable(name, &error))?;
    Ok(bytes)
}

fn open(path: &Path, more: OFlags) -> rustix::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | more;
    rustix::fs::open(path, flags, Mode::empty()).map(File::from)
}

fn unreadable(name: &str, error: &io::Error) -> Rejected {
    Rejected::of(name, format!("cannot be read: {}", crate::sys::os_error::without_numbers(&error.to_string())))
}

fn names(shown: &str, folder: &Path) -> Result<Vec<String>, Rejected> {
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(shown, &error))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| unreadable(shown, &error))?.file_name();
        let name = name.into_string().map_err(|name| {
            Rejected::of(shown, format!("has a file whose name is not UTF-8: {:?}", name.to_string_lossy()))
        })?;
        if name.starts_with('.') || !(name.ends_with(POLICIES) || name.ends_with(REQUESTS)) {
            continue;
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !name.chars().all(fits) {
            return Err(Rejected::of(shown, format!("has a file with a name that may be read in two ways: {name:?}"))
                .hint("name it with: a-z A-Z 0-9 . _ -"));
        }
        names.push(name);
    }
    names.sort();
    Ok(names)
}

/// Root's or the daemon's own, and nobody else's to write.
fn trusted(name: &str, path: &str, metadata: &Metadata) -> Result<(), Rejected> {
    let (owner, own, mode) = (metadata.uid(), process::effective_uid(), metadata.mode() & 0o7777);
    if owner != 0 && owner != own {
        return Err(Rejected::of(name, format!("belongs to uid {owner}, who is neither root nor agentd (uid {own})"))
            .hint(format!("chown root {path}")));
    }
    if mode & 0o022 != 0 {
        return Err(Rejected::of(name, format!("can be written by others (mode {mode:04o})"))
            .hint(format!("chmod go-w {path}")));
    }
    Ok(())
}
