//! Control groups: which hierarchies there are (`hierarchy`), a set of groups for one run (`make`), the way into it
//! (`door`), and what the parent of a run does with it (`held`).
//!
//! A set has one *place* in each hierarchy that is used, `agentd/RUN/STEP` below the group of who makes it, with two groups
//! in it: `shim`, for the parent, and `program`, for all that it starts. The limits are on `program`, so that a program
//! without memory does not have its parent killed, and so that the parent does not freeze itself.
//!
//! Version 2 and the hierarchies of version 1 are both known, for many hosts have some controllers in the one and some in
//! the other. Nothing here is an error for want of a hierarchy: what is not enforced is told.

mod door;
mod held;
mod hierarchy;
mod make;
mod prime;

pub use door::{Door, HandedOn, enter_inherited};
pub use held::{GroupUsage, Groups, Holds};
pub use make::{Below, GroupLimits, Made, Owner, make, remove};
pub use prime::prime;

use std::io;
use std::path::Path;

use rustix::process::Pid;

/// The group below which all runs have theirs.
const OURS: &str = "agentd";
/// Of the parent.
const SHIM: &str = "shim";
/// Of all that it starts.
const PROGRAM: &str = "program";
/// Which processes are in a group; written to, it takes one in.
const PROCS: &str = "cgroup.procs";
/// Processor time is shared out in periods of so many microseconds.
const CPU_PERIOD_US: u64 = 100_000;

/// The number in a file of a group; `None` where there is no file, or `max` in it.
fn number(group: &Path, file: &str) -> Option<u64> {
    std::fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()
}

/// The number behind a word, in a file of such lines.
fn entry(group: &Path, file: &str, word: &str) -> Option<u64> {
    let text = std::fs::read_to_string(group.join(file)).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

/// Writes to a file of a group that is there: it is never created.
fn write(group: &Path, file: &str, text: &str) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).open(group.join(file))?;
    // One call: the kernel takes each as a request of its own.
    io::Write::write_all(&mut file, text.as_bytes())
}

/// Who is in a group.
fn processes(group: &Path) -> io::Result<Vec<Pid>> {
    let text = std::fs::read_to_string(group.join(PROCS))?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).filter_map(Pid::from_raw).collect())
}
