//! What `escape-probe` reaches from inside a sandbox, and may.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// What gets out by design, each with the reason: level, attempt, why.
pub const ALLOWED: &[(&str, &str, &str)] = &[
    (
        "landlock",
        "connect-unix",
        "Landlock of ABI 6 knows no sockets with a path, and seccomp sees no paths; agentd's own tell who is of a run",
    ),
    ("landlock", "see-victim", "programs need /proc, and without a process namespace it is the host's"),
];

/// Attempts that get out where nothing holds them, at least. A probe that is broken reaches nothing anywhere, and then says
/// nothing of a sandbox.
pub const LEAST_UNCONFINED: usize = 20;

/// Whether an attempt gets out of a level by design.
pub fn is_allowed(level: &str, attempt: &str) -> bool {
    ALLOWED.iter().any(|(at, known, _)| (*at, *known) == (level, attempt))
}

/// Devices of the file systems that are mounted here, as the probe takes them.
pub fn devices_of_the_host() -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let devices: BTreeSet<u64> = places.filter_map(|place| fs::metadata(place).ok()).map(|place| place.dev()).collect();
    devices.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

/// The namespaces of whoever asks, as the probe takes them.
pub fn namespaces_of_the_host() -> String {
    let entries = fs::read_dir("/proc/self/ns").unwrap().flatten();
    let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.map(|link| link.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(",")
}
