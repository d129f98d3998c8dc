//! One attempt in a child of its own.

use std::io::{self, Read as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::sleep;
use std::time::Duration;

use crate::attempt::{Attempt, Held, Row, contained, unavailable};
use crate::target::Target;

/// Less than a pipe holds, so that the child never waits for its reader.
const MAX_DETAIL: usize = 1000;
/// Between two looks at the child.
const LOOK: Duration = Duration::from_millis(2);

/// Runs an attempt, waits for it and ends whatever it started.
pub(crate) fn run(row: &Row, target: &Target, seconds: u32) -> Attempt {
    let (mut reader, writer) = match io::pipe() {
        Ok(ends) => ends,
        Err(error) => return unavailable(format!("no pipe for the child: {error}")),
    };
    // SAFETY: the probe has one thread, so the child may do everything that its parent may.
    let child = unsafe { libc::fork() };
    match child {
        -1 => return unavailable(format!("no child for the attempt: {}", io::Error::last_os_error())),
        0 => {
            drop(reader);
            attempt(row, target, seconds, writer)
        }
        _ => drop(writer),
    }
    let ended = wait(child, seconds);
    let mut told = Vec::new();
    if ended.is_some() {
        // Whatever held the other end has ended, in the group. What left the group and holds it still would hang us.
        told = vec![0; MAX_DETAIL * 4 + 1];
        let length = if pending(&reader) { reader.read(&mut told).unwrap_or(0) } else { 0 };
        told.truncate(length);
    }
    outcome(ended, &told, seconds)
}

/// In the child: does not return.
fn attempt(row: &Row, target: &Target, seconds: u32, mut writer: io::PipeWriter) -> ! {
    // SAFETY: a group of its own for the attempt and what it starts, and an end to it.
    unsafe {
        libc::setpgid(0, 0);
        libc::alarm(seconds);
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| (row.run)(target)));
    let (mark, detail) = match outcome {
        Ok(Ok(detail)) => ('E', detail),
        Ok(Err(Held::Contained(detail))) => ('C', detail),
        Ok(Err(Held::Unavailable(detail))) => ('U', detail),
        Err(_) => ('U', "the probe itself failed".to_owned()),
    };
    let detail: String = detail.chars().take(MAX_DETAIL).collect();
    let _ = writer.write_all(format!("{mark}{detail}").as_bytes());
    // SAFETY: nothing of the parent, such as what it has not yet written, is finished here.
    unsafe { libc::_exit(0) }
}

/// How the child ended; none when it had to be ended from here. Its group ends with it, before its number is free.
fn wait(child: i32, seconds: u32) -> Option<i32> {
    // The alarm of the child rings first; this is for one that does not hear it.
    let mut looks = (Duration::from_secs(u64::from(seconds) + 2)).as_millis() / LOOK.as_millis();
    let mut ended = false;
    while looks > 0 && !ended {
        // SAFETY: all zero is a siginfo_t; the call fills it.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: it asks about our own child, and leaves it to be waited for.
        unsafe { libc::waitid(libc::P_PID, child.cast_unsigned(), &raw mut info, options) };
        // SAFETY: the call filled it, or left it zero.
        ended = unsafe { info.si_pid() } == child;
        if !ended {
            sleep(LOOK);
            looks -= 1;
        }
    }
    let mut status = 0;
    // SAFETY: the child is ours and not yet waited for, so its number and its group are nobody else's.
    unsafe {
        libc::kill(-child, libc::SIGKILL);
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, &raw mut status, 0);
    }
    ended.then_some(status)
}

fn pending(reader: &io::PipeReader) -> bool {
    use std::os::fd::AsRawFd as _;
    let mut poll = libc::pollfd { fd: reader.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry, as said.
    unsafe { libc::poll(&raw mut poll, 1, 0) == 1 && poll.revents & libc::POLLIN != 0 }
}

/// A child that was killed, crashed or hung got nowhere.
fn outcome(ended: Option<i32>, told: &[u8], seconds: u32) -> Attempt {
    let Some(status) = ended else {
        return contained(format!("it hung, deaf to its alarm of {seconds} s"));
    };
    if libc::WIFSIGNALED(status) {
        return match libc::WTERMSIG(status) {
            libc::SIGALRM => contained(format!("it hung for {seconds} s")),
            libc::SIGSYS => contained("killed by a seccomp filter (SIGSYS)"),
            libc::SIGXFSZ => contained("killed by the limit of a file's size (SIGXFSZ)"),
            libc::SIGKILL => contained("killed (SIGKILL), as by the limit of memory"),
            signal => contained(format!("killed by signal {signal}")),
        };
    }
    let text = String::from_utf8_lossy(told);
    match text.split_at_checked(1) {
        Some(("E", detail)) => Ok(detail.to_owned()),
        Some(("C", detail)) => contained(detail),
        Some(("U", detail)) => unavailable(detail),
        _ => contained(format!("it ended without a word, with {}", libc::WEXITSTATUS(status))),
    }
}
