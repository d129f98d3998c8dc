//! Processes below this one: who they are, what they used, and that none stays behind.
//!
//! The caller is a *subreaper*: a process whose parent ended becomes its child, however it left its group or session. So
//! whoever is below it stays below it until it was waited for.

use std::collections::{HashMap, HashSet};
use std::io;

use rustix::process::{Pid, WaitOptions, WaitStatus};

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
        Err(rustix::io::Errno::CHILD) => Err(io::ErrorKind::NotFound.into()),
        Err(errno) => Err(errno.into()),
    }
}

/// A process below this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descendant {
    /// Its id.
    pub pid: Pid,
    /// Who started it, or who took it over.
    pub parent: Pid,
    /// Whether a signal made it stand still.
    pub stopped: bool,
    /// Whether it waits in the kernel, where no signal wakes it.
    pub waits: bool,
}

/// All processes below `root`, as `/proc` shows them at one moment; who ended in it is left out.
pub fn below(root: Pid) -> io::Result<Vec<Descendant>> {
    let mut children: HashMap<Pid, Vec<Descendant>> = HashMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else { continue };
        let Ok(stat) = std::fs::read(format!("/proc/{}/stat", pid.as_raw_pid())) else { continue };
        if let Some((parent, state)) = parse_stat(&stat) {
            let (stopped, waits) = (matches!(state, 'T' | 't'), state == 'D');
            children.entry(parent).or_default().push(Descendant { pid, parent, stopped, waits });
        }
    }
    let (mut found, mut open, mut seen) = (Vec::new(), vec![root], HashSet::new());
    while let Some(parent) = open.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            if seen.insert(child.pid) {
                open.push(child.pid);
                found.push(child);
            }
        }
    }
    Ok(found)
}

/// Parent and state, from `/proc/PID/stat`; zombies are left out. The name in it may hold anything, so
/// what counts begins behind the last parenthesis (proc_pid_stat(5)).
fn parse_stat(stat: &[u8]) -> Option<(Pid, char)> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = Pid::from_raw(fields.next()?.parse().ok()?)?;
    match state {
        'Z' | 'X' => None,
        _ => Some((parent, state)),
    }
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

    /// Parent and state.
    type Found = Option<(i32, char)>;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_lead_astray() {
        let table: [(&[u8], Found); 6] = [
            (b"7 (a b) c) S 3 7 7 0", Some((3, 'S'))),
            (b"7 (x) T 12 7", Some((12, 'T'))),
            (b"7 (x) D 12 7", Some((12, 'D'))),
            (b"7 (x) Z 12 7", None),
            (b"7 (x) S 0 7", None),
            (b"7 (\xff) R 2", Some((2, 'R'))),
        ];
        for (stat, expected) in table {
            let found = parse_stat(stat).map(|(pid, state)| (pid.as_raw_pid(), state));
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(stat));
        }
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
