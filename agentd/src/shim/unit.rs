//! Level unit: what systemd was asked for is looked at from within. A property that it took and the kernel does not enforce
//! is no sandbox.

use agentd_schemas::launch::{LaunchSpec, Network};
use rustix::fs::{StatVfsMountFlags, statvfs};

use super::account;
use crate::sys::cgroup::Groups;

/// How each unit of a run begins.
const UNIT: &str = "/agentd-run-";
/// What a unit of a run does not see.
const ABSENT: &[&str] = &["/run/dbus", "/run/systemd/private", "/var/lib/dbus", "/root", "/home/.", "/etc/shadow"];

/// Says what does not hold of the unit around this process, or of the limits of its run.
pub(super) fn holds(spec: &LaunchSpec, groups: &Groups) -> Result<(), String> {
    let mut lacking = account::lacking(spec, groups);
    lacking.extend(around(spec));
    if lacking.is_empty() {
        return Ok(());
    }
    Err(format!("level unit does not hold on this host: {}", lacking.join("; ")))
}

fn around(spec: &LaunchSpec) -> Vec<String> {
    let of_unit = text("/proc/self/cgroup").lines().any(|line| line.contains(UNIT));
    let status = text("/proc/self/status");
    let is = |line: &str| status.lines().any(|found| found == line);
    let read_only = statvfs("/").is_ok_and(|root| root.f_flag.contains(StatVfsMountFlags::RDONLY));
    let seen = ABSENT.iter().find(|path| std::path::Path::new(path).exists());
    let alone = spec.network != Network::None || only_loopback(&text("/proc/self/net/dev"));
    let table = [
        (of_unit, "it is in no unit of its own".to_owned()),
        (is("NoNewPrivs:\t1"), "NoNewPrivileges is not set".to_owned()),
        (is("Seccomp:\t2"), "SystemCallFilter is not set".to_owned()),
        (read_only, "the root of the unit can be written".to_owned()),
        (seen.is_none(), format!("{} is seen in the unit", seen.unwrap_or(&""))),
        (alone, "PrivateNetwork is not enforced".to_owned()),
    ];
    table.into_iter().filter(|(held, _)| !held).map(|(_, line)| line).collect()
}

/// proc_pid_net(5): two lines of headings, and one for each interface.
fn only_loopback(devices: &str) -> bool {
    devices.lines().skip(2).all(|line| line.trim_start().starts_with("lo:"))
}

fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::only_loopback;

    #[test]
    fn one_more_interface_than_loopback_is_told() {
        let head = "Inter-|   Receive\n face |bytes\n";
        assert!(only_loopback(&format!("{head}    lo:       0       0\n")));
        assert!(only_loopback(head));
        assert!(!only_loopback(&format!("{head}    lo: 0\n  eth0: 0\n")));
    }
}
