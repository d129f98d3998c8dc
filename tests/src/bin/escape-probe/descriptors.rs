//! What the probe was started with: a descriptor that was left open leads past every namespace.

use std::fs;
use std::path::{Path, PathBuf};

use crate::attempt::{Attempt, Row, contained, row};
use crate::target::Target;

/// The table.
pub(crate) const ATTEMPTS: &[Row] =
    &[row("inherited-descriptors", "find a descriptor above 2 that leads out of the workspace", lead_outside)];

/// A descriptor that was open at the start.
#[derive(Debug)]
pub(crate) struct Inherited {
    number: i32,
    /// What it is open on, as `/proc` has it; empty without `/proc`.
    link: PathBuf,
    is_pipe: bool,
}

/// Every descriptor above 2. To be called before the program opens anything.
pub(crate) fn inherited() -> Vec<Inherited> {
    // SAFETY: it only asks.
    let is_open = |number: &i32| unsafe { libc::fcntl(*number, libc::F_GETFD) } != -1;
    let mut numbers: Vec<i32> = match fs::read_dir("/proc/self/fd") {
        Ok(entries) => entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
            .collect(),
        Err(_) => (0..4096).collect(),
    };
    // The descriptor of the listing itself is closed by now.
    numbers.retain(|number| *number > 2 && is_open(number));
    numbers.into_iter().map(about).collect()
}

fn about(number: i32) -> Inherited {
    // SAFETY: all zero is a stat, which the call fills.
    let mode = unsafe {
        let mut about: libc::stat = std::mem::zeroed();
        libc::fstat(number, &raw mut about);
        about.st_mode
    };
    let link = fs::read_link(format!("/proc/self/fd/{number}")).unwrap_or_default();
    Inherited { number, link, is_pipe: mode & libc::S_IFMT == libc::S_IFIFO }
}

fn lead_outside(target: &Target) -> Attempt {
    let harmless = |each: &Inherited| {
        each.is_pipe
            || each.link == Path::new("/dev/null")
            || target.workspace.as_ref().is_some_and(|workspace| each.link.starts_with(workspace))
    };
    let outside: Vec<String> = target
        .inherited
        .iter()
        .filter(|each| !harmless(each))
        .map(|each| format!("{} is {}", each.number, each.link.display()))
        .collect();
    if outside.is_empty() {
        contained(format!("{} were open above 2, none leads outside", target.inherited.len()))
    } else {
        Ok(outside.join(", "))
    }
}
