//! The victim: a process outside of the same uid. It is asked about and never disturbed.

use std::os::fd::AsRawFd as _;

use crate::attempt::{Attempt, Row, first, granted, row};
use crate::sys::{answer, call, owned};
use crate::target::Target;

/// The table.
pub(crate) const ATTEMPTS: &[Row] = &[
    row("signal-victim", "signal the victim, with the signal 0", signal),
    row("ptrace-victim", "trace the victim, without stopping it", trace),
    row("read-victim-memory", "process_vm_readv of the victim", read_memory),
    row("take-victim-descriptor", "pidfd_getfd of a descriptor of the victim", take_descriptor),
    row("renice-victim", "setpriority of the victim, to what it has", renice),
    row("move-victim", "sched_setaffinity of the victim, to what it has", move_to_processors),
    row("read-victim-limits", "prlimit of the victim, reading", limits),
];

fn signal(target: &Target) -> Attempt {
    let victim = target.victim()?;
    // SAFETY: the signal 0 only asks.
    answer(unsafe { libc::kill(victim, 0) })?;
    Ok("it may be signalled".to_owned())
}

fn trace(target: &Target) -> Attempt {
    // The victim is let go when this child ends. A seized process runs on, other than an attached one.
    call!(SYS_ptrace, libc::PTRACE_SEIZE, target.victim()?, 0, 0)?;
    Ok("it is traced".to_owned())
}

fn read_memory(target: &Target) -> Attempt {
    let victim = target.victim()?;
    let mut byte = 0_u8;
    let here = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // Nothing is mapped at so low an address: that error comes after the permission.
    let there = libc::iovec { iov_base: std::ptr::without_provenance_mut(0x1000), iov_len: 1 };
    let outcome = call!(SYS_process_vm_readv, victim, &raw const here, 1_u64, &raw const there, 1_u64, 0_u64);
    granted(outcome, &[libc::EFAULT])
}

fn take_descriptor(target: &Target) -> Attempt {
    let process = owned(call!(SYS_pidfd_open, target.victim()?, 0)?)?;
    first((0..3).map(|number| {
        let taken = call!(SYS_pidfd_getfd, process.as_raw_fd(), number, 0);
        // A descriptor that is not open there is looked for only with the permission.
        granted(taken, &[libc::EBADF])
    }))
}

fn renice(target: &Target) -> Attempt {
    let victim = target.victim()?;
    // The call, other than the function, answers 20 less the priority.
    let priority = 20 - call!(SYS_getpriority, libc::PRIO_PROCESS, victim)?;
    call!(SYS_setpriority, libc::PRIO_PROCESS, victim, priority)?;
    Ok(format!("it was set to {priority}, as it was"))
}

fn move_to_processors(target: &Target) -> Attempt {
    let victim = target.victim()?;
    let mut processors = [0_u64; 128];
    let size = size_of_val(&processors);
    let length = call!(SYS_sched_getaffinity, victim, size, &raw mut processors)?;
    call!(SYS_sched_setaffinity, victim, length, &raw const processors)?;
    Ok("its processors were set, to what they were".to_owned())
}

fn limits(target: &Target) -> Attempt {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let none = std::ptr::null::<libc::rlimit64>();
    call!(SYS_prlimit64, target.victim()?, libc::RLIMIT_NOFILE, none, &raw mut limit)?;
    Ok(format!("it may open {} files", limit.rlim_cur))
}
