//! What `/proc` shows of processes.

use std::collections::HashSet;
use std::fs;

use super::scene::Scene;

/// Ids of the living processes with the scene's mark in their arguments.
pub(crate) fn marked(scene: &Scene) -> Vec<i32> {
    let has_mark = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.windows(scene.mark.len()).any(|part| part == scene.mark.as_bytes())
    };
    all().filter(has_mark).collect()
}

fn all() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
}

/// Name and state of each living process below `root`, however deep.
pub(crate) fn below(root: i32) -> Vec<(String, char)> {
    let mut rows: Vec<(i32, i32, String, char)> = all().filter_map(stat).collect();
    let (mut known, mut found) = (HashSet::from([root]), Vec::new());
    loop {
        let (children, rest): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, parent, ..)| known.contains(parent));
        if children.is_empty() {
            return found;
        }
        for (pid, _, name, state) in children {
            known.insert(pid);
            found.push((name, state));
        }
        rows = rest;
    }
}

fn stat(pid: i32) -> Option<(i32, i32, String, char)> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, rest) = text.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    (state != 'Z').then_some((pid, fields.next()?.parse().ok()?, name, state))
}

/// The largest resident size that a process had, in KiB.
pub(crate) fn peak_kib(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
