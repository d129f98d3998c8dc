//! Processes below this one: who they are, what they used, and that none stays behind.
//!
//! The caller is a *subreaper*: a process whose parent ended becomes its child, however it left its group or session. So
//! whoever is below it stays below it until it was waited for.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};

/// Makes this process the parent of those below it whose own parent ends.
pub fn become_subreaper() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Has this process killed when its parent ends. A parent that has ended already is an error.
pub fn die_with_parent(parent: Pid) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Waits for one ended child, without blocking: who it was and how it ended.
///
/// # Errors
///
/// `ECHILD` (as [`io::ErrorKind::NotFound`]) where no child is left.
pub fn reap() -> io::Result<Option<(Pid, WaitStatus)>> {
    match rustix::process::wait(WaitOptions::NOHANG) {
        Ok(ended) => Ok(ended),
        Err(rustix::io::Errno::INTR) => Ok(None),
        Err(rustix::io::Errno::CHILD) => Err(io::ErrorKind::NotFound.into()),
        Err(errno) => Err(errno.into()),
    }
}

/// A child, held so that a signal reaches it or nobody: its id may be given to another once it was waited for.
#[derive(Debug)]
pub struct Held {
    pid: Pid,
    fd: OwnedFd,
}

impl Held {
    /// Holds a process that is there.
    pub fn open(pid: Pid) -> io::Result<Self> {
        Ok(Self { pid, fd: rustix::process::pidfd_open(pid, PidfdFlags::empty())? })
    }

    /// Holds the process that a descriptor of it came with, by a number that may be no process.
    pub fn of(pid: u32, fd: OwnedFd) -> Option<Self> {
        Some(Self::with(Pid::from_raw(i32::try_from(pid).ok()?)?, fd))
    }

    /// Holds the process that a descriptor of it came with.
    pub(super) fn with(pid: Pid, fd: OwnedFd) -> Self {
        Self { pid, fd }
    }

    /// Its id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether it has not ended. Who only waits to be waited for has.
    pub fn lives(&self) -> bool {
        let mut asked = [PollFd::new(&self.fd, PollFlags::IN)];
        // A process descriptor is readable from the end on; what cannot be asked is no sign of life.
        matches!(rustix::event::poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
    }

    /// Sends it a signal. Who ended needs none.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match rustix::process::pidfd_send_signal(&self.fd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// A process below this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descendant {
    /// Its id.
    pub pid: Pid,
    /// Who started it, or who took it over.
    pub parent: Pid,
    /// Whether all of it ended, and it only waits to be waited for.
    pub ended: bool,
    /// Whether a signal made it stand still, each thread that it has.
    pub stopped: bool,
    /// Whether a thread of it waits in the kernel, where no signal wakes it.
    pub waits: bool,
}

/// All processes below `root`, as `/proc` shows them at one moment. Who ended in it is there as long as nobody waited for
/// it: a process whose first thread ended looks the same, and may have children.
pub fn below(root: Pid) -> io::Result<Vec<Descendant>> {
    let mut children: HashMap<Pid, Vec<(Pid, Stat)>> = HashMap::new();
    for pid in numbers("/proc")? {
        if let Some(stat) = read_stat(&format!("/proc/{}/stat", pid.as_raw_pid())) {
            children.entry(stat.parent).or_default().push((pid, stat));
        }
    }
    let (mut found, mut open, mut seen) = (Vec::new(), vec![root], HashSet::new());
    while let Some(parent) = open.pop() {
        for (pid, stat) in children.remove(&parent).unwrap_or_default() {
            if seen.insert(pid) {
                open.push(pid);
                found.push(descendant(pid, stat));
            }
        }
    }
    Ok(found)
}

fn descendant(pid: Pid, stat: Stat) -> Descendant {
    let states = if stat.threads > 1 { states_of_threads(pid) } else { vec![stat.state] };
    let gone = |state: &char| matches!(state, 'Z' | 'X');
    Descendant {
        pid,
        parent: stat.parent,
        ended: gone(&stat.state) && stat.threads <= 1,
        stopped: !states.is_empty() && states.iter().all(|state| matches!(state, 'T' | 't') || gone(state)),
        waits: states.contains(&'D'),
    }
}

fn states_of_threads(pid: Pid) -> Vec<char> {
    let folder = format!("/proc/{}/task", pid.as_raw_pid());
    let stat = |thread: Pid| read_stat(&format!("{folder}/{}/stat", thread.as_raw_pid()));
    // Who is gone in the meantime has no state.
    numbers(&folder).into_iter().flatten().filter_map(stat).map(|stat| stat.state).collect()
}

/// The names in a folder that are numbers of processes.
fn numbers(folder: &str) -> io::Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        found.extend(name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw));
    }
    Ok(found)
}

/// The parent of a process; `None` where it has none here, or is not there.
pub(super) fn parent(pid: Pid) -> Option<Pid> {
    read_stat(&format!("/proc/{}/stat", pid.as_raw_pid())).map(|stat| stat.parent)
}

/// A process as its descendants find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ancestor {
    /// What it calls itself.
    pub(super) name: Vec<u8>,
    /// Who started it, or who took it over; `None` where that is nobody here.
    pub(super) parent: Option<Pid>,
}

/// Who a process is; `None` where it is not there, or not shown to us.
pub(super) fn ancestor(pid: Pid) -> Option<Ancestor> {
    parse_ancestor(&std::fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?)
}

fn parse_ancestor(stat: &[u8]) -> Option<Ancestor> {
    let begin = stat.iter().position(|byte| *byte == b'(')?;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let name = stat.get(begin + 1..end)?.to_vec();
    let parent = std::str::from_utf8(stat.get(end + 1..)?).ok()?.split_whitespace().nth(1)?;
    Some(Ancestor { name, parent: Pid::from_raw(parent.parse().ok()?) })
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    state: char,
    parent: Pid,
    threads: u32,
}

fn read_stat(path: &str) -> Option<Stat> {
    parse_stat(&std::fs::read(path).ok()?)
}

/// The name in it may hold anything, so what counts begins behind the last parenthesis (proc_pid_stat(5)).
fn parse_stat(stat: &[u8]) -> Option<Stat> {
    /// Fields between the parent and the number of threads.
    const BETWEEN: usize = 15;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = Pid::from_raw(fields.next()?.parse().ok()?)?;
    let threads = fields.nth(BETWEEN)?.parse().ok()?;
    Some(Stat { state, parent, threads })
}

/// What all children that were waited for used, and those that they waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChildrenUsage {
    /// Microseconds in user mode.
    pub user_us: u64,
    /// Microseconds in the kernel.
    pub system_us: u64,
    /// Largest resident size of one of them, in bytes.
    pub peak_bytes: u64,
    /// Bytes read from storage.
    pub read_bytes: u64,
    /// Bytes written to storage.
    pub written_bytes: u64,
}

impl ChildrenUsage {
    /// What was used since `before`. The largest size is that of all time: the kernel keeps no other.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            user_us: self.user_us.saturating_sub(before.user_us),
            system_us: self.system_us.saturating_sub(before.system_us),
            peak_bytes: self.peak_bytes,
            read_bytes: self.read_bytes.saturating_sub(before.read_bytes),
            written_bytes: self.written_bytes.saturating_sub(before.written_bytes),
        }
    }
}

/// Asks the kernel (getrusage(2)) what this process's children used.
#[allow(unsafe_code)]
pub fn children_usage() -> io::Result<ChildrenUsage> {
    /// `ru_inblock` and `ru_oublock` count blocks of this size.
    const BLOCK_BYTES: u64 = 512;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a whole `rusage` that lives through the call.
    if unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the kernel has filled it in; and zeros are a valid value of it too.
    let usage = unsafe { usage.assume_init() };
    let micros = |time: libc::timeval| positive(time.tv_sec) * 1_000_000 + positive(time.tv_usec);
    Ok(ChildrenUsage {
        user_us: micros(usage.ru_utime),
        system_us: micros(usage.ru_stime),
        peak_bytes: positive(usage.ru_maxrss) * 1024,
        read_bytes: positive(usage.ru_inblock) * BLOCK_BYTES,
        written_bytes: positive(usage.ru_oublock) * BLOCK_BYTES,
    })
}

fn positive(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_lead_astray() {
        let between = "0 ".repeat(15);
        let table = [
            ("7 (a b) c) S 3", "1", Some(('S', 3, 1))),
            ("7 (x) T 12", "2", Some(('T', 12, 2))),
            ("7 (x) Z 12", "3", Some(('Z', 12, 3))),
            ("7 (x) S 0", "1", None),
            ("7 (x) R 2", "", None),
        ];
        for (start, threads, expected) in table {
            let stat = format!("{start} {between}{threads}");
            let found = parse_stat(stat.as_bytes()).map(|stat| (stat.state, stat.parent.as_raw_pid(), stat.threads));
            assert_eq!(found, expected, "{stat}");
        }
    }

    #[test]
    fn the_name_of_a_process_is_all_between_the_outer_parentheses_and_the_first_has_no_parent() {
        let found = parse_ancestor(b"7 (a) (b c) S 3 1").unwrap();
        assert_eq!((found.name.as_slice(), found.parent), (&b"a) (b c"[..], Pid::from_raw(3)));
        assert_eq!(parse_ancestor(b"1 (init) S 0 1").unwrap().parent, None);
        assert_eq!(parse_ancestor(b"1 init S 0 1"), None);
    }

    #[test]
    fn who_is_below_is_found_and_gone_when_it_ended() {
        let mut child =
            Command::new("sh").args(["-c", "sleep 60 & echo $!; wait"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        let grandchild: i32 = line.trim().parse().unwrap();
        let root = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let found: Vec<i32> = below(root).unwrap().iter().map(|found| found.pid.as_raw_pid()).collect();
        assert_eq!(found, [grandchild]);
        rustix::process::kill_process(Pid::from_raw(grandchild).unwrap(), rustix::process::Signal::KILL).unwrap();
        child.wait().unwrap();
        assert!(below(root).unwrap().is_empty());
    }
}
