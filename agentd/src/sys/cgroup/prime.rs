//! Having the kernel ready for a move between groups when it comes.
//!
//! The first move after a quiet time waits for a grace period of the kernel, which takes 8 to 16 ms at 250 Hz; those that
//! follow soon do not (`cgroup_threadgroup_rwsem` in `kernel/cgroup/cgroup.c`). The wait needs no processor, so it is
//! begun before the rest of a start, which takes about as long. No group can be made or removed meanwhile.

use std::fs::{File, OpenOptions};
use std::io::Write as _;

use super::{PROCS, hierarchy};

/// Has a child of this process, which must have one thread, move itself to where it is already, and end. Where that cannot
/// be done nothing is lost but time.
#[allow(unsafe_code)]
pub fn prime() {
    let own = hierarchy::all().unwrap_or_default().into_iter().map(|hierarchy| hierarchy.own.join(PROCS));
    let opened: Option<File> = own.into_iter().find_map(|path| OpenOptions::new().write(true).open(path).ok());
    let Some(mut group) = opened else { return };
    // SAFETY: the process has one thread, so the child finds no lock held; it writes one byte and ends at once, without
    // anything that was to be done at the end of its parent.
    if unsafe { libc::fork() } == 0 {
        let _ = group.write_all(b"0");
        // SAFETY: the call takes an integer and does not come back.
        unsafe { libc::_exit(0) };
    }
}
