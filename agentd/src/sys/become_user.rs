//! Becoming another program as another user, with nothing of this process left: no privilege, no descriptor, no variable,
//! no signal that is held back.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// The user and group that a process shall have and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

fn step(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> io::Error {
    move |errno| {
        let error = io::Error::from(errno);
        io::Error::new(error.kind(), format!("{what}: {error}"))
    }
}

/// Gives up everything that makes this process more than `user`, for good: supplementary groups, the user and group that
/// it has, had and could go back to, and every capability. It must have one thread.
///
/// # Errors
///
/// The kernel refused a step, or did it and something is left. The process must not go on then.
pub fn become_user(user: User) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    if rustix::process::geteuid().is_root() {
        rustix::thread::set_thread_groups(&[]).map_err(step("cannot drop groups"))?;
        rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(step("cannot take the group"))?;
        rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(step("cannot take the user"))?;
    }
    // Who was not root keeps its groups: they cannot be dropped, and are its own.
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).map_err(step("cannot drop capabilities"))?;
    let is = (real_and_saved_uids()?, rustix::thread::capabilities(None).map_err(step("cannot read capabilities"))?);
    let expected = ([[user.uid; 3], [user.gid; 3]], none);
    if is == expected { Ok(()) } else { Err(io::Error::other(format!("something is left of the privileges: {is:?}"))) }
}

/// Real, effective and saved ids, of the user and of the group.
#[allow(unsafe_code)]
fn real_and_saved_uids() -> io::Result<[[u32; 3]; 2]> {
    let (mut users, mut groups) = ([0; 3], [0; 3]);
    let ([ruid, euid, suid], [rgid, egid, sgid]) = (users.each_mut(), groups.each_mut());
    // SAFETY: all six pointers are to numbers of the right size that live through the calls.
    let done = unsafe { libc::getresuid(ruid, euid, suid) | libc::getresgid(rgid, egid, sgid) };
    if done == 0 { Ok([users, groups]) } else { Err(io::Error::last_os_error()) }
}

/// Whether `user` may execute the file at `path`, asked as that user.
///
/// # Errors
///
/// It may not, or the way back to who this process was failed (the process must not go on then either).
pub fn may_execute(user: User, path: &std::path::Path) -> io::Result<()> {
    let ask = || {
        let execute = rustix::fs::Access::EXEC_OK;
        Ok(rustix::fs::accessat(rustix::fs::CWD, path, execute, rustix::fs::AtFlags::EACCESS)?)
    };
    let (was_user, was_group) = (rustix::process::geteuid(), rustix::process::getegid());
    if !was_user.is_root() {
        return ask();
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let (all_users, all_groups) = (rustix::process::getuid(), rustix::process::getgid());
    rustix::thread::set_thread_res_gid(all_groups, gid, was_group).map_err(step("cannot try the group"))?;
    rustix::thread::set_thread_res_uid(all_users, uid, was_user).map_err(step("cannot try the user"))?;
    let answer = ask();
    rustix::thread::set_thread_res_uid(all_users, was_user, was_user).map_err(step("cannot go back"))?;
    rustix::thread::set_thread_res_gid(all_groups, was_group, was_group).map_err(step("cannot go back"))?;
    answer
}

/// Undoes what a parent may have set for signals: each has its own meaning again, and none is held back. A parent that
/// ignores the end of its children would otherwise have ours do so.
#[allow(unsafe_code)]
pub fn reset_signals() {
    /// The largest number of a signal, on each machine that Linux runs on but MIPS.
    const LAST: libc::c_int = 64;
    for signal in 1..=LAST {
        // SAFETY: the default action is no function of this process. For the two that cannot be set the call fails.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    super::signals::unblock();
}

/// The kernel takes no less of this process than of others when it needs memory. A daemon may have been spared; a run is
/// not.
pub fn be_no_exception_for_the_oom_killer() {
    const FILE: &str = "/proc/self/oom_score_adj";
    let is_spared = std::fs::read_to_string(FILE).is_ok_and(|text| text.starts_with('-'));
    if is_spared {
        let _ = std::fs::write(FILE, "0");
    }
}

/// Has nothing but the standard streams inherited by what this process becomes.
///
/// # Errors
///
/// The kernel knows of no such call.
pub fn leave_nothing_open() -> io::Result<()> {
    super::confine::close_on_exec().map_err(|error| io::Error::other(error.to_string()))
}

/// Becomes a program with these variables alone, and comes back only where that failed.
pub fn replace(mut command: Command) -> io::Error {
    command.exec()
}
