//! Mounts and namespaces. Whatever succeeds ends with the child.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use crate::attempt::{Attempt, Held, Row, contained, granted, prepared, row};
use crate::sys::{answer, c_path, call, owned};
use crate::target::Target;

/// The table.
pub(crate) const ATTEMPTS: &[Row] = &[
    row("unshare-user", "make a user namespace", unshare_user),
    row("clone-mount-namespace", "start a process in a mount namespace of its own", clone_mounts),
    row("mount", "mount a file system, in a mount namespace of its own", mount),
    row("mount-in-user-namespace", "the same as root of a new user namespace", mount_as_root),
    row("enter-init-mounts", "enter the mount namespace of process 1", |target| enter(target, "1")),
    row("enter-victim-mounts", "enter the mount namespace of the victim", enter_victim),
    row("chroot", "chroot to the root that there is", chroot),
    row("pivot-root", "pivot_root to a directory that is no mount, which is refused last", pivot_root),
    row("mount-setattr", "mount_setattr that sets nothing", mount_setattr),
    row("open-tree", "clone a tree of mounts", open_tree),
    row("fsopen", "open a file system that is not mounted", fsopen),
];

fn unshare(flags: i32) -> io::Result<libc::c_long> {
    // SAFETY: this child has one thread, and its namespaces are its own affair.
    answer(unsafe { libc::unshare(flags) })
}

fn unshare_user(_: &Target) -> Attempt {
    unshare(libc::CLONE_NEWUSER)?;
    Ok("it was made".to_owned())
}

fn clone_mounts(_: &Target) -> Attempt {
    let child = call!(SYS_clone, libc::CLONE_NEWNS | libc::SIGCHLD, 0_usize, 0_usize, 0_usize, 0_usize)?;
    if child == 0 {
        // SAFETY: the new process does nothing.
        unsafe { libc::_exit(0) }
    }
    Ok("it was started".to_owned())
}

/// A directory that is certainly no mount, for the time of an attempt.
struct Folder(PathBuf);

impl Folder {
    fn new(target: &Target) -> Result<Self, Held> {
        let place = target.place("folder")?;
        prepared(fs::create_dir(&place), "a directory in the workspace")?;
        Ok(Self(place))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// Mounts a small tmpfs on a directory, in the namespace that was made for it.
fn mount_tmpfs(folder: &Folder) -> io::Result<()> {
    let (root, tmpfs, place) = (c"/", c"tmpfs", c_path(&folder.0));
    // SAFETY: all names outlive the calls. Private first, so that nothing is passed on; unmounted at once.
    unsafe {
        let private = libc::MS_REC | libc::MS_PRIVATE;
        answer(libc::mount(std::ptr::null(), root.as_ptr(), std::ptr::null(), private, std::ptr::null()))?;
        let size = c"size=64k";
        answer(libc::mount(tmpfs.as_ptr(), place.as_ptr(), tmpfs.as_ptr(), 0, size.as_ptr().cast()))?;
        answer(libc::umount2(place.as_ptr(), libc::MNT_DETACH))?;
    }
    Ok(())
}

fn mount(target: &Target) -> Attempt {
    let folder = Folder::new(target)?;
    if unshare(libc::CLONE_NEWNS).is_ok() {
        mount_tmpfs(&folder)?;
        return Ok("a tmpfs was mounted".to_owned());
    }
    // Without a namespace of its own nothing may be mounted: a change of what is no mount is refused last.
    let place = c_path(&folder.0);
    let (none, flags) = (std::ptr::null(), libc::MS_REMOUNT | libc::MS_BIND);
    // SAFETY: the path outlives the call.
    let outcome = answer(unsafe { libc::mount(none, place.as_ptr(), none, flags, none.cast()) });
    granted(outcome, &[libc::EINVAL])
}

fn mount_as_root(target: &Target) -> Attempt {
    let folder = Folder::new(target)?;
    unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?;
    mount_tmpfs(&folder)?;
    Ok("a tmpfs was mounted".to_owned())
}

fn enter(target: &Target, process: &str) -> Attempt {
    let namespace = File::open(format!("/proc/{process}/ns/mnt"))?;
    let of_the_host = target.shares(process, "mnt");
    // SAFETY: it moves only this child.
    answer(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNS) })?;
    if of_the_host { Ok("it was entered".to_owned()) } else { contained("it was entered, and it is not the host's") }
}

fn enter_victim(target: &Target) -> Attempt {
    enter(target, &target.victim()?.to_string())
}

fn chroot(_: &Target) -> Attempt {
    // SAFETY: the name is a constant; the root stays what it was.
    answer(unsafe { libc::chroot(c"/".as_ptr()) })?;
    Ok("it was allowed".to_owned())
}

fn pivot_root(target: &Target) -> Attempt {
    let folder = Folder::new(target)?;
    let place = c_path(&folder.0);
    granted(call!(SYS_pivot_root, place.as_ptr(), place.as_ptr()), &[libc::EINVAL, libc::EBUSY])
}

fn mount_setattr(target: &Target) -> Attempt {
    let folder = Folder::new(target)?;
    let place = c_path(&folder.0);
    // Nothing to set, nothing to clear, no propagation, no user namespace.
    let nothing = [0_u64; 4];
    let outcome =
        call!(SYS_mount_setattr, libc::AT_FDCWD, place.as_ptr(), 0, &raw const nothing, size_of_val(&nothing));
    granted(outcome, &[libc::EINVAL])
}

fn open_tree(_: &Target) -> Attempt {
    // It is attached nowhere, and ends with its descriptor.
    let clone = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    owned(call!(SYS_open_tree, libc::AT_FDCWD, c"/".as_ptr(), clone)?)?;
    Ok("it was cloned".to_owned())
}

fn fsopen(_: &Target) -> Attempt {
    owned(call!(SYS_fsopen, c"tmpfs".as_ptr(), 1)?)?;
    Ok("it was opened".to_owned())
}
