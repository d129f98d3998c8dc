//! The command line of bubblewrap for one run: namespaces, and the few places of the host that are in them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use agentd_schemas::launch::{CONFIGURATION_PATHS, LaunchSpec, NETWORK_PATHS, Network, SYSTEM_PATHS};

use super::sources::Source;

/// Names of hosts.
const HOSTS: &str = "/etc/hosts";
/// Bytes of `/tmp` and of the home directory, which are memory.
const TEMPORARY_BYTES: u64 = 1 << 30;

/// Where programs look for things, without any mount of the spec, where nothing but Landlock keeps them from others.
pub(super) fn system_paths(network: Network) -> Vec<PathBuf> {
    SYSTEM_PATHS.iter().chain(CONFIGURATION_PATHS).chain(of_network(network)).map(PathBuf::from).collect()
}

/// The same in a sandbox, whose other places are not there at all.
pub(super) fn paths_inside() -> Vec<PathBuf> {
    SYSTEM_PATHS.iter().chain(&["/etc", "/proc", "/sys"]).map(PathBuf::from).collect()
}

fn of_network(network: Network) -> &'static [&'static str] {
    if network == Network::Host { NETWORK_PATHS } else { &[] }
}

/// Files that the shim writes for the sandbox: path inside, content.
pub(super) fn generated(uid: u32, gid: u32, network: Network) -> Vec<(&'static str, String)> {
    let mut files = vec![
        ("/etc/passwd", format!("root:x:0:0:root:/:/bin/false\nagent:x:{uid}:{gid}:agent:{HOME}:/bin/sh\n")),
        ("/etc/group", format!("root:x:0:\nagent:x:{gid}:\n")),
    ];
    if network == Network::None {
        files.push((HOSTS, "127.0.0.1 localhost\n::1 localhost\n".to_owned()));
    }
    files
}

/// The home directory inside: empty, and gone with the run.
pub(super) const HOME: &str = "/home/agent";

/// Arguments of bubblewrap up to the program. `sources` are the spec's mounts, in their order; `generated` are files on the host and their places inside; `info` is the
/// descriptor on which bubblewrap tells the process id of the sandbox's init.
pub(super) fn arguments(
    spec: &LaunchSpec,
    sources: &[Source],
    generated: &[(PathBuf, &str)],
    info: i32,
) -> Vec<OsString> {
    let mut line = Line::default();
    line.words(&["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]);
    if spec.network == Network::Host {
        line.words(&["--share-net"]);
    }
    line.words(&["--hostname", "agent", "--info-fd", &info.to_string()]);
    for path in SYSTEM_PATHS {
        match std::fs::read_link(path) {
            Ok(target) => line.word("--symlink").word(target).word(path),
            Err(_) => line.bind("--ro-bind-try", path, path),
        };
    }
    for path in CONFIGURATION_PATHS.iter().chain(of_network(spec.network)) {
        line.bind("--ro-bind-try", path, path);
    }
    for (source, target) in generated {
        line.bind("--ro-bind", source, target);
    }
    line.words(&["--proc", "/proc", "--dev", "/dev"]);
    let size = TEMPORARY_BYTES.to_string();
    for path in ["/tmp", HOME, "/dev/shm"] {
        line.words(&["--size", &size, "--tmpfs", path]);
    }
    // No devices are made there, and no memory is used beyond the bound.
    line.words(&["--remount-ro", "/dev"]);
    for (mount, source) in spec.mounts.iter().zip(sources) {
        let verb = if source.seen.writable { "--bind" } else { "--ro-bind" };
        line.bind(verb, &source.path, &mount.target);
    }
    line.words(&["--remount-ro", "/", "--"]);
    line.0
}

#[derive(Default)]
struct Line(Vec<OsString>);

impl Line {
    fn word(&mut self, word: impl Into<OsString>) -> &mut Self {
        self.0.push(word.into());
        self
    }

    fn words(&mut self, words: &[&str]) -> &mut Self {
        self.0.extend(words.iter().map(OsString::from));
        self
    }

    fn bind(&mut self, verb: &str, source: impl AsRef<Path>, target: impl AsRef<Path>) -> &mut Self {
        self.word(verb).word(source.as_ref()).word(target.as_ref())
    }
}
