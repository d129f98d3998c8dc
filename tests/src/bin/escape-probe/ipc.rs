//! Memory and queues that have names: whoever shares the namespace shares them.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use crate::attempt::{Attempt, Row, contained, row};
use crate::sys::{self, answer, c_path, call};
use crate::target::{Target, need};

/// The table.
pub(crate) const ATTEMPTS: &[Row] = &[
    row("shm-file", "leave /dev/shm/agentd-probe-TOKEN for the host to find", shm_file),
    row("sysv-memory", "make a segment of System V memory in the host's namespace", sysv_memory),
    row("sysv-queue", "make a System V message queue in the host's namespace", sysv_queue),
    row("posix-queue", "make a POSIX message queue in the host's namespace", posix_queue),
];

/// Made is made; whose it is shows the namespace.
fn made(target: &Target, what: &str) -> Attempt {
    if target.shares("self", "ipc") {
        Ok(format!("{what} was made"))
    } else {
        contained(format!("{what} was made in a namespace of our own"))
    }
}

/// The file stays: only the host can tell whether it is there, and the host removes it.
fn shm_file(target: &Target) -> Attempt {
    let token = need(target.shm_token.as_ref(), "--shm-token")?;
    let path = PathBuf::from(format!("/dev/shm/agentd-probe-{token}"));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
    file.write_all(b"agentd-probe\n")?;
    if target.is_of_the_host(&path) {
        Ok(format!("{} was made; whether the host sees it, the host must look", path.display()))
    } else {
        contained("it was made on a file system that is not the host's")
    }
}

fn sysv_memory(target: &Target) -> Attempt {
    let none = std::ptr::null::<u8>();
    let segment = call!(SYS_shmget, libc::IPC_PRIVATE, 4096_usize, libc::IPC_CREAT | 0o600)?;
    let _ = call!(SYS_shmctl, segment, libc::IPC_RMID, none);
    made(target, "a segment")
}

fn sysv_queue(target: &Target) -> Attempt {
    let none = std::ptr::null::<u8>();
    let queue = call!(SYS_msgget, libc::IPC_PRIVATE, libc::IPC_CREAT | 0o600)?;
    let _ = call!(SYS_msgctl, queue, libc::IPC_RMID, none);
    made(target, "a queue")
}

fn posix_queue(target: &Target) -> Attempt {
    let name = c_path(format!("/agentd-probe-{}", sys::pid()));
    // SAFETY: the name outlives the calls; no attributes are passed.
    unsafe {
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
        answer(libc::mq_open(name.as_ptr(), flags, 0o600, std::ptr::null::<libc::mq_attr>()))?;
        libc::mq_unlink(name.as_ptr());
    }
    made(target, "a queue")
}
