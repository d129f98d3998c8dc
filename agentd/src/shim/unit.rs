//! Level unit: what systemd was asked for is looked at from within. A property that it took and the kernel does not enforce
//! is no sandbox.

use std::path::{Path, PathBuf};

use agentd_schemas::launch::{LaunchSpec, Mount, Network};
use rustix::fs::{StatVfsMountFlags, statvfs};

use super::account;
use crate::sys::cgroup::Groups;

/// How each unit of a run begins.
const UNIT: &str = "/agentd-run-";
/// What a unit of a run does not see.
const ABSENT: &[&str] = &["/run/dbus", "/run/systemd/private", "/var/lib/dbus", "/etc/shadow"];
/// Where of homes nothing is seen but what the run mounts.
const HOMES: &[&str] = &["/home", "/root", "/run/user"];

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
    let absent = ABSENT.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned);
    let seen = absent.or_else(|| HOMES.iter().find_map(|home| beside(Path::new(home), &spec.mounts)));
    let alone = spec.network != Network::None || only_loopback(&text("/proc/self/net/dev"));
    let table = [
        (of_unit, "it is in no unit of its own".to_owned()),
        (is("NoNewPrivs:\t1"), "NoNewPrivileges is not set".to_owned()),
        (is("Seccomp:\t2"), "SystemCallFilter is not set".to_owned()),
        (read_only, "the root of the unit can be written".to_owned()),
        (seen.is_none(), format!("{} is seen in the unit", seen.unwrap_or_default().display())),
        (alone, "PrivateNetwork is not enforced".to_owned()),
    ];
    table.into_iter().filter(|(held, _)| !held).map(|(_, line)| line).collect()
}

/// What is at this place beside what is mounted and the way to it.
fn beside(place: &Path, mounts: &[Mount]) -> Option<PathBuf> {
    if !place.exists() || mounts.iter().any(|mount| place.starts_with(&mount.source)) {
        return None;
    }
    let way = mounts.iter().any(|mount| mount.source.starts_with(place));
    let inside = std::fs::read_dir(place).map(|found| found.map(|entry| entry.map(|entry| entry.path())));
    match inside {
        Ok(mut inside) if way => {
            inside.find_map(|path| path.map_or_else(|_| Some(place.to_owned()), |path| beside(&path, mounts)))
        }
        _ => Some(place.to_owned()),
    }
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
    use agentd_schemas::launch::{Access, Mount};

    use super::{beside, only_loopback};
    use crate::sys::scratch::Scratch;

    #[test]
    fn in_homes_nothing_is_seen_but_what_is_mounted() {
        let scratch = Scratch::new();
        let home = scratch.join("home");
        let data = home.join("alice/data");
        let mounts = [Mount { source: data.clone(), target: data.clone(), access: Access::Read }];
        assert_eq!(beside(&home, &mounts), None);
        std::fs::create_dir_all(data.join("below")).unwrap();
        assert_eq!(beside(&home, &mounts), None);
        assert_eq!(beside(&home, &[]), Some(home.clone()));
        std::fs::write(home.join("alice/secret"), "x").unwrap();
        assert_eq!(beside(&home, &mounts), Some(home.join("alice/secret")));
    }

    #[test]
    fn one_more_interface_than_loopback_is_told() {
        let head = "Inter-|   Receive\n face |bytes\n";
        assert!(only_loopback(&format!("{head}    lo:       0       0\n")));
        assert!(only_loopback(head));
        assert!(!only_loopback(&format!("{head}    lo: 0\n  eth0: 0\n")));
    }
}
