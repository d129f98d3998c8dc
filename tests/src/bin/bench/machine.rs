//! How much of the machine others used meanwhile: total time from `/proc/stat`, our own from `/proc/PID/stat` of the
//! benchmark and of everything below it (proc(5)).

use std::collections::{HashMap, HashSet};
use std::fs;

/// Ticks of the whole machine and of ours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticks {
    total: u64,
    busy: u64,
    own: u64,
}

impl Ticks {
    /// Now.
    pub(crate) fn now() -> Self {
        let (total, busy) = machine().unwrap_or_default();
        Self { total, busy, own: own() }
    }

    /// Percent of the machine that others used since `self`.
    pub(crate) fn foreign_percent(self) -> f64 {
        let now = Self::now();
        let total = now.total.saturating_sub(self.total).max(1);
        let foreign = now.busy.saturating_sub(self.busy).saturating_sub(now.own.saturating_sub(self.own));
        100.0 * foreign as f64 / total as f64
    }
}

/// All ticks, and those that were not idle.
fn machine() -> Option<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<u64> = stat.lines().next()?.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is in user already.
    let total: u64 = fields.iter().take(8).sum();
    Some((total, total - fields.get(3)? - fields.get(4)?))
}

/// Ticks of the benchmark and of all processes below it, ended ones included.
fn own() -> u64 {
    let mut all = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if let Some(process) = process(id) {
            all.insert(id, process);
        }
    }
    let mut ours = HashSet::from([std::process::id()]);
    loop {
        let before = ours.len();
        ours.extend(all.iter().filter(|(_, (parent, _))| ours.contains(parent)).map(|(id, _)| *id).collect::<Vec<_>>());
        if ours.len() == before {
            return ours.iter().filter_map(|id| all.get(id)).map(|(_, ticks)| ticks).sum();
        }
    }
}

/// Parent, and ticks with those of children that were waited for.
fn process(id: u32) -> Option<(u32, u64)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name may hold anything; the fields after it begin with the third, the state.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let ticks = number(14)? + number(15)? + number(16)? + number(17)?;
    Some((u32::try_from(number(4)?).ok()?, ticks))
}

/// Resident memory of a process in MiB.
pub(crate) fn resident_mib(id: u32) -> anyhow::Result<f64> {
    use anyhow::Context as _;
    let status = fs::read_to_string(format!("/proc/{id}/status")).context("the memory of the daemon")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse().context("VmRSS")?;
    Ok(kib / 1024.0)
}

/// Memory of the processes of one name, in MiB, on average.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident, with all of what they share with each other.
    pub(crate) resident: f64,
    /// Their share: what several have in common is divided among them.
    pub(crate) share: f64,
}

/// What the processes of a name have in memory, from `smaps_rollup` (proc_pid_smaps(5)).
pub(crate) fn mean_memory(name: &str) -> anyhow::Result<Memory> {
    let (mut count, mut resident, mut share) = (0.0, 0.0, 0.0);
    for entry in fs::read_dir("/proc")?.flatten() {
        if !fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.trim() == name) {
            continue;
        }
        let text = fs::read_to_string(entry.path().join("smaps_rollup")).unwrap_or_default();
        if let (Some(all), Some(part)) = (kib(&text, "Rss:"), kib(&text, "Pss:")) {
            (count, resident, share) = (count + 1.0, resident + all / 1024.0, share + part / 1024.0);
        }
    }
    anyhow::ensure!(count > 0.0, "no {name} is running");
    Ok(Memory { resident: resident / count, share: share / count })
}

fn kib(text: &str, word: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(word))?.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Processors, kernel and load, in one line.
pub(crate) fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let model = read("/proc/cpuinfo");
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("")
        .trim_start_matches(['\t', ' ', ':']);
    format!(
        "{processors} processors ({model}), Linux {}, load {}",
        read("/proc/sys/kernel/osrelease"),
        read("/proc/loadavg")
    )
}
