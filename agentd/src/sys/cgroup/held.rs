//! A set of groups as its parent uses it: what it starts goes into the groups `program`, which it freezes, kills and
//! reads.

use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::make::GroupLimits;
use super::{CPU_PERIOD_US, Door, entry, number, processes, write};

/// How often is looked whether all stand still.
const FREEZE_LOOKS: usize = 1000;
/// Between two looks.
const FREEZE_PAUSE: Duration = Duration::from_millis(2);

/// The groups for what this process starts.
#[derive(Debug, Default)]
pub struct Groups {
    program: Vec<PathBuf>,
    /// Open until this process has entered.
    doors: Vec<Door>,
}

/// What the kernel enforces for a run as a whole, read back from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own, and all combinations happen")]
pub struct Holds {
    /// Nobody outruns a freeze.
    pub freeze: bool,
    /// Memory of all together.
    pub memory: bool,
    /// Swap too; true where the host has none that is counted.
    pub swap: bool,
    /// Processes and threads.
    pub tasks: bool,
    /// Processor time; true where it is not to be bounded.
    pub cpu: bool,
}

/// What all processes of a run used, as far as its groups count it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupUsage {
    /// Most bytes at once.
    pub peak_bytes: Option<u64>,
    /// Microseconds in user mode and in the kernel.
    pub cpu_us: Option<(u64, u64)>,
    /// Whether one was killed for want of memory.
    pub oom_killed: bool,
}

impl Groups {
    /// Those that this process is to be the parent of. It is in none of them yet.
    pub fn new(doors: Vec<Door>) -> Self {
        Self { program: doors.iter().map(|door| door.program.clone()).collect(), doors }
    }

    /// Their paths.
    pub fn paths(&self) -> &[PathBuf] {
        &self.program
    }

    /// Has the program that is started next inherit the ways in.
    pub fn leave_open(&self) -> io::Result<()> {
        self.doors.iter().try_for_each(Door::leave_open)
    }

    /// Takes this process into the groups of the parent, closes the ways in, and gives the descriptors by which who
    /// inherited them is to enter. A hierarchy that does not let this process in is left out.
    pub fn enter(&mut self) -> Vec<RawFd> {
        self.doors.retain(|door| door.enter().is_ok());
        self.program = self.doors.iter().map(|door| door.program.clone()).collect();
        std::mem::take(&mut self.doors).iter().map(Door::inner).collect()
    }

    /// What of the limits holds.
    pub fn holds(&self, limits: &GroupLimits) -> Holds {
        let least = |files: &[&str]| {
            self.program.iter().flat_map(|group| files.iter().filter_map(|file| number(group, file))).min()
        };
        let swap_is_bounded = |group: &PathBuf| {
            let both = number(group, "memory.memsw.limit_in_bytes");
            number(group, "memory.swap.max") == Some(0) || both.is_some_and(|both| both <= limits.memory_bytes)
        };
        let swap_is_counted = |group: &PathBuf| {
            ["memory.swap.max", "memory.memsw.limit_in_bytes"].iter().any(|file| group.join(file).exists())
        };
        let counted: Vec<_> = self.program.iter().filter(|group| swap_is_counted(group)).collect();
        Holds {
            freeze: self.freezer().is_some(),
            memory: least(&["memory.max", "memory.limit_in_bytes"]).is_some_and(|least| least <= limits.memory_bytes),
            swap: !counted.is_empty() && counted.into_iter().all(swap_is_bounded),
            tasks: least(&["pids.max"]).is_some_and(|least| least <= limits.tasks),
            cpu: limits
                .cpu_percent
                .is_none_or(|percent| self.cpu_share().is_some_and(|share| share <= f64::from(percent))),
        }
    }

    /// Percent of one processor that the kernel lets the program have.
    fn cpu_share(&self) -> Option<f64> {
        let unified = |group: &PathBuf| {
            let text = std::fs::read_to_string(group.join("cpu.max")).ok()?;
            let (quota, period) = text.trim().split_once(' ')?;
            Some((quota.parse::<u32>().ok()?, period.parse::<u32>().ok()?))
        };
        let legacy = |group: &PathBuf| {
            let quota = number(group, "cpu.cfs_quota_us")?;
            let period = number(group, "cpu.cfs_period_us").unwrap_or(CPU_PERIOD_US);
            Some((u32::try_from(quota).ok()?, u32::try_from(period).ok()?))
        };
        let (quota, period) = self.program.iter().find_map(|group| unified(group).or_else(|| legacy(group)))?;
        Some(f64::from(quota) * 100.0 / f64::from(period.max(1)))
    }

    /// The group that can stand still, and whether that is by version 2.
    fn freezer(&self) -> Option<(&PathBuf, bool)> {
        let has = |file: &str| self.program.iter().find(|group| group.join(file).exists());
        has("cgroup.freeze").map(|group| (group, true)).or_else(|| has("freezer.state").map(|group| (group, false)))
    }

    /// Makes all of them stand still and gives who they are; `None` where no group can.
    ///
    /// # Errors
    ///
    /// Some do not stand still within two seconds. They all go on again then.
    pub fn freeze(&self) -> io::Result<Option<Vec<Pid>>> {
        let Some((group, unified)) = self.freezer() else { return Ok(None) };
        let (file, word) = if unified { ("cgroup.freeze", "1") } else { ("freezer.state", "FROZEN") };
        for _ in 0..FREEZE_LOOKS {
            write(group, file, word)?;
            let still = if unified {
                entry(group, "cgroup.events", "frozen") == Some(1)
            } else {
                std::fs::read_to_string(group.join(file))?.trim() == word
            };
            if still {
                return processes(group).map(Some);
            }
            std::thread::sleep(FREEZE_PAUSE);
        }
        self.thaw()?;
        Err(io::Error::other("some processes do not stand still"))
    }

    /// Lets them go on; `false` where no group can stand still.
    pub fn thaw(&self) -> io::Result<bool> {
        match self.freezer() {
            Some((group, true)) => write(group, "cgroup.freeze", "0").map(|()| true),
            Some((group, false)) => write(group, "freezer.state", "THAWED").map(|()| true),
            None => Ok(false),
        }
    }

    /// Kills them all, at once where the kernel can. Who is frozen dies too.
    pub fn kill(&self) -> io::Result<()> {
        let at_once = self.program.iter().find(|group| group.join("cgroup.kill").exists());
        if let Some(group) = at_once {
            return write(group, "cgroup.kill", "1");
        }
        // Who stands still makes no more while the others are gone through.
        let found = match self.freeze() {
            Ok(Some(found)) => found,
            _ => self.program.first().map_or(Ok(Vec::new()), |group| processes(group))?,
        };
        for pid in found {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        self.thaw().map(|_| ())
    }

    /// What they used until now.
    pub fn usage(&self) -> GroupUsage {
        let first = |read: &dyn Fn(&PathBuf) -> Option<u64>| self.program.iter().find_map(read);
        let peak = first(&|group| number(group, "memory.peak").or_else(|| number(group, "memory.max_usage_in_bytes")));
        let time = |group: &PathBuf, word: &str| entry(group, "cpu.stat", word);
        let unified = |group: &PathBuf| Some((time(group, "user_usec")?, time(group, "system_usec")?));
        let legacy = |group: &PathBuf| {
            let nanoseconds = |file: &str| number(group, file).map(|time| time / 1000);
            Some((nanoseconds("cpuacct.usage_user")?, nanoseconds("cpuacct.usage_sys")?))
        };
        let cpu = self.program.iter().find_map(|group| unified(group).or_else(|| legacy(group)));
        let killed = first(&|group| {
            entry(group, "memory.events", "oom_kill").or_else(|| entry(group, "memory.oom_control", "oom_kill"))
        });
        GroupUsage { peak_bytes: peak, cpu_us: cpu, oom_killed: killed.is_some_and(|killed| killed > 0) }
    }

    /// Removes the groups of the program, where that is allowed to who is not who made them. Nobody may be in them.
    pub fn remove(&self) {
        for group in &self.program {
            let _ = std::fs::remove_dir(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::scratch::Scratch;
    use super::super::PROGRAM;
    use super::*;
    use std::fs;

    const LIMITS: GroupLimits = GroupLimits { memory_bytes: 1 << 20, tasks: 10, cpu_percent: Some(50) };

    /// Groups of files that are no kernel's, as each version has them.
    fn groups(scratch: &Scratch, files: &[(&str, &str)]) -> Groups {
        fs::create_dir_all(scratch.join(PROGRAM)).unwrap();
        for (name, text) in files {
            fs::write(scratch.join(PROGRAM).join(name), text).unwrap();
        }
        Groups { program: vec![scratch.join(PROGRAM)], doors: Vec::new() }
    }

    #[test]
    fn what_holds_is_read_back_in_each_version() {
        let unified: &[(&str, &str)] = &[
            ("memory.max", "1048576\n"),
            ("memory.swap.max", "0\n"),
            ("pids.max", "10\n"),
            ("cpu.max", "50000 100000\n"),
            ("cgroup.freeze", "0\n"),
        ];
        let legacy: &[(&str, &str)] = &[
            ("memory.limit_in_bytes", "1044480\n"),
            ("memory.memsw.limit_in_bytes", "1048576\n"),
            ("pids.max", "10\n"),
            ("cpu.cfs_quota_us", "50000\n"),
            ("cpu.cfs_period_us", "100000\n"),
            ("freezer.state", "THAWED\n"),
        ];
        let all = Holds { freeze: true, memory: true, swap: true, tasks: true, cpu: true };
        for files in [unified, legacy] {
            assert_eq!(groups(&Scratch::new(), files).holds(&LIMITS), all, "{files:?}");
        }
        let free: &[(&str, &str)] = &[
            ("memory.max", "max\n"),
            ("memory.swap.max", "max\n"),
            ("pids.max", "max\n"),
            ("cpu.max", "max 100000\n"),
        ];
        let wide: &[(&str, &str)] = &[
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.memsw.limit_in_bytes", "9223372036854771712\n"),
            ("pids.max", "11\n"),
            ("cpu.cfs_quota_us", "-1\n"),
        ];
        for files in [free, wide, &[]] {
            assert_eq!(groups(&Scratch::new(), files).holds(&LIMITS), Holds::default(), "{files:?}");
        }
        let unasked = GroupLimits { cpu_percent: None, ..LIMITS };
        assert!(Groups::default().holds(&unasked).cpu && !Groups::default().holds(&LIMITS).cpu);
    }

    #[test]
    fn what_was_used_is_read_in_each_version() {
        let unified: &[(&str, &str)] = &[
            ("memory.peak", "4096\n"),
            ("cpu.stat", "usage_usec 30\nuser_usec 20\nsystem_usec 10\n"),
            ("memory.events", "low 0\noom 2\noom_kill 1\noom_group_kill 0\n"),
        ];
        let used = GroupUsage { peak_bytes: Some(4096), cpu_us: Some((20, 10)), oom_killed: true };
        assert_eq!(groups(&Scratch::new(), unified).usage(), used);
        let legacy: &[(&str, &str)] = &[
            ("memory.max_usage_in_bytes", "4096\n"),
            ("cpuacct.usage_user", "20999\n"),
            ("cpuacct.usage_sys", "10000\n"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"),
        ];
        let used = GroupUsage { peak_bytes: Some(4096), cpu_us: Some((20, 10)), oom_killed: false };
        assert_eq!(groups(&Scratch::new(), legacy).usage(), used);
        assert_eq!(Groups::default().usage(), GroupUsage::default());
    }

    #[test]
    fn without_groups_there_is_nothing_to_freeze_or_kill() {
        let none = Groups::default();
        assert!(none.freeze().unwrap().is_none() && !none.thaw().unwrap());
        none.kill().unwrap();
    }
}
