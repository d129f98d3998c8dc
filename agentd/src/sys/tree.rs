//! Folders below one another, by descriptors alone: opened without following any link, and removed whatever is in them.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

/// What a folder within is called while the folders above it are removed.
const MOVED: &str = "removing-";

/// Opens a folder directly below another: no link, no mount point, no file of another kind.
pub fn open_folder(parent: impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open_below(parent, name, flags, Mode::empty())
}

/// The same for a folder that something may be mounted on: in a unit of its own a run's folder is.
pub fn open_mounted_folder(parent: impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    Ok(rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve)?)
}

/// Opens a file directly below a folder, and waits for nobody. What it is has to be asked of the descriptor.
pub fn open_file(parent: impl AsFd, name: &CStr, flags: OFlags) -> io::Result<OwnedFd> {
    let mode = if flags.contains(OFlags::CREATE) { Mode::RUSR | Mode::WUSR } else { Mode::empty() };
    open_below(parent, name, flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, mode)
}

fn open_below(parent: impl AsFd, name: &CStr, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    Ok(rustix::fs::openat2(parent, name, flags, mode, resolve)?)
}

/// Removes the folder `name` below `parent` with all that is in it. Links are removed and not followed, and what is mounted
/// in it is an error. A folder that is not there is removed already.
///
/// However deep it is, three descriptors are enough: folders within are moved up before they are gone through.
pub fn remove(parent: impl AsFd, name: &CStr) -> io::Result<()> {
    let parent = parent.as_fd();
    let top = match enter(parent, name) {
        Ok(top) => top,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut moved = 0;
    // A list that is read while its folder changes may leave out names, so it is read until nothing is in it.
    loop {
        let mut found = 0;
        each(top.as_fd(), |name, kind| {
            found += 1;
            if is_folder(top.as_fd(), name, kind)? {
                empty(top.as_fd(), name, &mut moved)
            } else {
                unlink(top.as_fd(), name)
            }
        })?;
        if found == 0 {
            break;
        }
    }
    gone(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR))
}

/// Moves the folders of a folder up to `top`, removes all else in it, and then itself.
fn empty(top: BorrowedFd<'_>, name: &CStr, moved: &mut u64) -> io::Result<()> {
    let folder = match enter(top, name) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    loop {
        let mut found = 0;
        each(folder.as_fd(), |name, kind| {
            found += 1;
            if is_folder(folder.as_fd(), name, kind)? {
                move_up(folder.as_fd(), name, top, moved)
            } else {
                unlink(folder.as_fd(), name)
            }
        })?;
        if found == 0 {
            return gone(rustix::fs::unlinkat(top, name, AtFlags::REMOVEDIR));
        }
    }
}

fn move_up(folder: BorrowedFd<'_>, name: &CStr, top: BorrowedFd<'_>, moved: &mut u64) -> io::Result<()> {
    // Who is moved to another folder has to be writable by who is not root.
    open_up(folder, name)?;
    loop {
        *moved += 1;
        let new = CString::new(format!("{MOVED}{moved}")).unwrap_or_default();
        match rustix::fs::renameat_with(folder, name, top, &new, RenameFlags::NOREPLACE) {
            // Somebody gave a folder this name.
            Err(Errno::EXIST) => {}
            done => return gone(done),
        }
    }
}

/// Opens a folder to be emptied, whatever mode it has.
fn enter(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    open_up(parent, name)?;
    open_folder(parent, name)
}

/// Gives a folder of ours the mode 0700. For root, who needs none, it stays as it is.
fn open_up(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = open_below(parent, name, flags, Mode::empty())?;
    // By the descriptor, so that no link in its place is followed.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&folder));
    Ok(rustix::fs::chmod(path, Mode::RWXU)?)
}

fn each(folder: BorrowedFd<'_>, mut tell: impl FnMut(&CStr, FileType) -> io::Result<()>) -> io::Result<()> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            tell(name, entry.file_type())?;
        }
    }
    Ok(())
}

fn is_folder(folder: BorrowedFd<'_>, name: &CStr, kind: FileType) -> io::Result<bool> {
    if kind != FileType::Unknown {
        return Ok(kind.is_dir());
    }
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode).is_dir()),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn unlink(folder: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    gone(rustix::fs::unlinkat(folder, name, AtFlags::empty()))
}

/// What is gone already needs no removing.
fn gone(done: rustix::io::Result<()>) -> io::Result<()> {
    match done {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// The names directly below a folder that are folders.
pub fn folders_in(folder: impl AsFd) -> io::Result<Vec<CString>> {
    let folder = folder.as_fd();
    let mut found = Vec::new();
    each(folder, |name, kind| {
        if is_folder(folder, name, kind)? {
            found.push(name.to_owned());
        }
        Ok(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn removed(scratch: &Scratch) -> io::Result<()> {
        remove(File::open(scratch.path()).unwrap(), c"run")
    }

    #[test]
    fn whatever_is_in_a_folder_goes_and_nothing_beside_it() {
        let scratch = Scratch::new();
        let run = scratch.join("run");
        fs::create_dir_all(run.join("a/b/removing-1/c")).unwrap();
        fs::create_dir_all(run.join("removing-2/x")).unwrap();
        fs::create_dir(scratch.join("beside")).unwrap();
        fs::write(scratch.join("beside/file"), "kept").unwrap();
        symlink(scratch.join("beside"), run.join("a/link")).unwrap();
        symlink("/nowhere", run.join("dangling")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, run.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        for number in 0..5000 {
            fs::write(run.join(format!("a/b/{number}")), "x").unwrap();
        }
        for closed in ["a/b/removing-1", "removing-2", "a"] {
            fs::set_permissions(run.join(closed), Permissions::from_mode(0o0)).unwrap();
        }
        removed(&scratch).unwrap();
        assert!(!run.exists());
        assert_eq!(fs::read_to_string(scratch.join("beside/file")).unwrap(), "kept");
        removed(&scratch).unwrap();
    }

    #[test]
    fn a_tree_deeper_than_any_path_goes_too() {
        let scratch = Scratch::new();
        fs::create_dir(scratch.join("run")).unwrap();
        let mut at = open_folder(File::open(scratch.path()).unwrap(), c"run").unwrap();
        let name = CString::new("d".repeat(200)).unwrap();
        for _ in 0..2000 {
            rustix::fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
            at = open_folder(&at, &name).unwrap();
        }
        removed(&scratch).unwrap();
        assert!(!scratch.join("run").exists());
    }

    #[test]
    fn a_link_in_the_place_of_a_folder_is_not_opened() {
        let scratch = Scratch::new();
        fs::create_dir(scratch.join("there")).unwrap();
        symlink(scratch.join("there"), scratch.join("run")).unwrap();
        assert!(open_folder(File::open(scratch.path()).unwrap(), c"run").is_err());
        assert!(removed(&scratch).is_err());
        assert!(scratch.join("there").exists());
    }
}
