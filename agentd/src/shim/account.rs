//! What a run used, and what of its limits the kernel does not hold.

use agentd_schemas::launch::{LaunchSpec, Level, Usage};

use crate::sys::cgroup::{GroupLimits, Groups};
use crate::sys::children::{self, ChildrenUsage};

/// What was used since `before`: by all of the groups where there are some, otherwise by whoever was waited for.
pub(super) fn usage(before: ChildrenUsage, groups: &Groups, wall_ms: u64) -> Usage {
    let waited = children::children_usage().unwrap_or_default().since(before);
    let together = groups.usage();
    let (user_us, system_us) = together.cpu_us.unwrap_or((waited.user_us, waited.system_us));
    Usage {
        wall_ms,
        user_us,
        system_us,
        peak_bytes: together.peak_bytes.unwrap_or(waited.peak_bytes),
        read_bytes: waited.read_bytes,
        written_bytes: waited.written_bytes,
    }
}

/// What is not held, one line each: for want of control groups on this host, and for want of namespaces at this level.
pub(super) fn lacking(spec: &LaunchSpec, groups: &Groups) -> Vec<String> {
    let limits = &spec.limits;
    let bounds =
        GroupLimits { memory_bytes: limits.memory_bytes, tasks: limits.tasks, cpu_percent: limits.cpu_percent };
    let holds = groups.holds(&bounds);
    let alone = spec.level >= Level::Strict;
    let table = [
        (holds.freeze, "freezing is by signals: who forks faster than the shim looks may outrun it"),
        (holds.memory, "memory that processes share is bounded by no limit of the run"),
        (holds.swap || !holds.memory, "swap is not counted against the memory of the run"),
        (holds.tasks, "processes are counted for their user and not for the run"),
        (holds.cpu, "processor time has no bound: cpu_percent is not enforced"),
        (alone, "processes of the host are seen, and unix sockets with a path can be connected to"),
    ];
    table.into_iter().filter(|(held, _)| !held).map(|(_, line)| line.to_owned()).collect()
}
