//! What a spec mounts, as it was when it was checked: held, so that it can be told from whatever is put in its place.
//!
//! Between the check of a path and its mount by bubblewrap, or the rule of Landlock for it, a link can be put there. So the
//! file that was checked is kept open, which keeps its number from being given to another, and the one inside compares.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use agentd_schemas::launch::{Access, LaunchSpec, overlap};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use serde::{Deserialize, Serialize};

use super::record::Record;
use super::{ShimError, system};

/// Files that the kernel makes. Given to a program they would show it the host's processes and groups.
const KERNEL: &[&str] = &["/proc", "/sys"];

/// One mount, checked.
#[derive(Debug)]
pub(super) struct Source {
    /// The path without links.
    pub(super) path: PathBuf,
    /// What has to be there inside.
    pub(super) seen: Seen,
    _held: OwnedFd,
}

/// What has to be at a place inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    target: PathBuf,
    device: u64,
    inode: u64,
    pub(super) writable: bool,
}

fn not_started(reason: String) -> ShimError {
    ShimError::NotStarted(reason)
}

/// Follows the links of each mount once, and refuses those that would show the program its own record, the binary that
/// confines it, what the kernel makes, or what the spec keeps out.
pub(super) fn open(spec: &LaunchSpec, record: &Record, shim: &Path) -> Result<Vec<Source>, ShimError> {
    let mut closed: Vec<(PathBuf, String)> = Vec::new();
    for own in [&record.path(""), shim] {
        let path = own.canonicalize().map_err(|error| not_started(format!("cannot use {}: {error}", own.display())))?;
        closed.push((path, format!("the shim's own {}", own.display())));
    }
    closed.extend(KERNEL.iter().map(|path| (PathBuf::from(path), format!("the kernel's {path}"))));
    for place in &spec.keep_out {
        let name = format!("{}, which is kept out", place.display());
        closed.extend([(place.clone(), name.clone()), (without_links(place), name)]);
    }
    spec.mounts.iter().map(|mount| hold(&mount.source, &mount.target, mount.access, &closed)).collect()
}

fn hold(source: &Path, target: &Path, access: Access, closed: &[(PathBuf, String)]) -> Result<Source, ShimError> {
    let unusable = |error: std::io::Error| not_started(format!("cannot use {}: {error}", source.display()));
    let path = source.canonicalize().map_err(unusable)?;
    if let Some((_, name)) = closed.iter().find(|(place, _)| overlap(&path, place)) {
        return Err(not_started(format!("{} is not mounted: it overlaps {name}", source.display())));
    }
    // The path has no links now. Whoever puts one there from here on has it refused.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = rustix::fs::openat2(CWD, &path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
        .map_err(|errno| unusable(errno.into()))?;
    let stat = rustix::fs::fstat(&held).map_err(system("inspect a mount"))?;
    let writable = access == Access::Write;
    let seen = Seen { target: target.to_owned(), device: stat.st_dev, inode: stat.st_ino, writable };
    Ok(Source { path, seen, _held: held })
}

/// The path with its links followed as far as this user may look. A place that is kept out may be closed to it.
fn without_links(path: &Path) -> PathBuf {
    let resolved = |above: &Path| Some(above.canonicalize().ok()?.join(path.strip_prefix(above).ok()?));
    path.ancestors().find_map(resolved).unwrap_or_else(|| path.to_owned())
}

impl Seen {
    /// Opens what is there now, and refuses another than was checked.
    pub(super) fn open(&self) -> Result<OwnedFd, ShimError> {
        let place = self.target.display();
        let file = rustix::fs::open(&self.target, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| not_started(format!("cannot use {place}: {}", std::io::Error::from(errno))))?;
        let stat = rustix::fs::fstat(&file).map_err(system("inspect a mount"))?;
        if (stat.st_dev, stat.st_ino) == (self.device, self.inode) {
            return Ok(file);
        }
        Err(not_started(format!("{place} was exchanged after it had been checked")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_put_in_the_place_of_a_checked_mount_is_told_from_it() {
        let scratch = Scratch::new();
        let (place, secret) = (scratch.join("place"), scratch.join("secret"));
        fs::create_dir(&place).unwrap();
        fs::create_dir(&secret).unwrap();
        let source = hold(&place, &place, Access::Read, &[]).unwrap();
        source.seen.open().unwrap();
        fs::rename(&place, scratch.join("away")).unwrap();
        symlink(&secret, &place).unwrap();
        assert!(source.seen.open().unwrap_err().to_string().contains("exchanged"));
        fs::remove_file(&place).unwrap();
        fs::create_dir(&place).unwrap();
        assert!(source.seen.open().unwrap_err().to_string().contains("exchanged"));
        fs::remove_dir(&place).unwrap();
        fs::rename(scratch.join("away"), &place).unwrap();
        source.seen.open().unwrap();
    }

    #[test]
    fn a_place_that_is_kept_out_is_kept_out_under_each_name() {
        let scratch = Scratch::new();
        let (keys, link) = (scratch.join("keys"), scratch.join("link"));
        fs::create_dir(&keys).unwrap();
        symlink(&keys, &link).unwrap();
        for (kept, source) in [(&link, &keys), (&keys, &link), (&keys, &keys), (&link, &scratch.path().to_owned())] {
            let closed = [(kept.clone(), String::new()), (without_links(kept), "kept out".to_owned())];
            assert!(hold(source, source, Access::Read, &closed).is_err(), "{kept:?} {source:?}");
        }
        let beside = scratch.join("beside");
        fs::create_dir(&beside).unwrap();
        hold(&beside, &beside, Access::Read, &[(without_links(&link), String::new())]).unwrap();
        assert_eq!(without_links(&link.join("not/there")), keys.canonicalize().unwrap().join("not/there"));
    }
}
