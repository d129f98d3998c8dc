//! The transient unit of one step: its name, its slice, and the properties that are made of its spec.
//!
//! What systemd sets is around the shim and all that it starts: a root of its own with the system's programs and the folder
//! of this run in it, no network, few capabilities, the limits. Bubblewrap, Landlock and seccomp are inside of that. What
//! would keep bubblewrap from its work is left out, which it does for the program itself: `/proc` with nothing over it
//! (ProtectProc, ProtectKernelTunables, ProtectKernelLogs), namespaces (RestrictNamespaces), the name of the host in
//! one of them (ProtectHostname). ProtectSystem and PrivateTmp would put something of the host where there is nothing. Homes
//! are not there either: ProtectHome would take away the places in them that root allows, and what is bound there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use agentd_schemas::id::RunId;
use agentd_schemas::launch::{CONFIGURATION_PATHS, LaunchSpec, NETWORK_PATHS, Network, SYSTEM_PATHS};
use agentd_schemas::unit::name::Slug;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use zbus::{Fd, Variant};

use super::systemd::Properties;

/// Memory of the shim and of bubblewrap, beside that of the program.
const OWN_MEMORY_BYTES: u64 = 64 << 20;
/// Processes of theirs.
const OWN_TASKS: u64 = 16;
/// Bytes of an agent's name in that of its slice, at most: a unit's has 255, and some for what is below it.
const MAX_ESCAPED_BYTES: usize = 180;
/// Bytes of the digest of a longer one.
const DIGEST_BYTES: usize = 16;
/// Between the end of the shim's own patience and systemd's.
const OWN_GRACE_MS: u64 = 10_000;
/// The journal namespace of what runs say.
const NAMESPACE: &str = "agentd-runs";
/// What its lines are of.
const IDENTIFIER: &str = "agentd-run";
/// `MS_REC` of mount(2): what is mounted below comes along.
const RECURSIVE: u64 = 0x4000;
/// capabilities(7): to make a run's folders for its user and its record for the daemon's group too (`CAP_CHOWN`,
/// `CAP_FOWNER`, `CAP_FSETID`), to go where the daemon's folders are (`CAP_DAC_OVERRIDE`), and to become that user (`CAP_SETGID`,
/// `CAP_SETUID`).
const CAPABILITIES: u64 = 1 << 0 | 1 << 3 | 1 << 4 | 1 << 1 | 1 << 6 | 1 << 7;
/// What no program of a run needs, nor what holds it. The program itself has a filter of its own, which names what it may.
const DENIED_CALLS: &[&str] =
    &["@clock", "@cpu-emulation", "@debug", "@module", "@obsolete", "@raw-io", "@reboot", "@swap", "syslog"];

/// The unit of a step. A run is known by that of its program.
pub(super) fn name(run: RunId, step: &str) -> String {
    if step == "program" { format!("agentd-run-{run}.service") } else { format!("agentd-run-{run}-{step}.service") }
}

/// The slice that trials of the host are counted in. No agent has it: no name begins with a colon.
const TRIALS: &str = "agentd-runs-:trials.slice";

/// The slice of an agent's runs, below that of all runs. A dash in a slice's name is a level, so the agent's are escaped
/// (systemd.unit(5)).
///
/// A name that is too long for systemd when it is escaped is its beginning and a digest of all of it; a colon, which no agent
/// has in its name, tells it from others.
pub(super) fn slice(agent: &Slug) -> String {
    let name = agent.as_str();
    let mut text = escaped(name);
    if text.len() > MAX_ESCAPED_BYTES {
        let digest = HEXLOWER.encode(&Sha256::digest(name)[..DIGEST_BYTES]);
        let room = MAX_ESCAPED_BYTES - 1 - digest.len();
        // Only whole characters: an escaped one is four bytes.
        let fits = |end: &usize| name.get(..*end).is_some_and(|start| escaped(start).len() <= room);
        let end = (0..=name.len()).rev().find(fits).unwrap_or(0);
        text = format!("{}:{digest}", escaped(&name[..end]));
    }
    format!("agentd-runs-{text}.slice")
}

fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for (place, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':') || (byte == b'.' && place > 0);
        if plain {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// All units of a run, as systemd matches names.
pub(super) fn pattern(run: RunId) -> [String; 2] {
    [format!("agentd-run-{run}.service"), format!("agentd-run-{run}-*.service")]
}

/// What a unit is made of.
pub(super) struct Draft<'a> {
    pub(super) run: RunId,
    /// Whose run it is; nobody's where the host is tried.
    pub(super) agent: Option<&'a Slug>,
    pub(super) step: &'a str,
    pub(super) spec: &'a LaunchSpec,
    /// The folder of all runs.
    pub(super) runs: &'a Path,
    /// The folder of this one.
    pub(super) folder: &'a Path,
    /// The command that becomes the shim.
    pub(super) command: Vec<String>,
    /// Where that command and the shim are.
    pub(super) programs: Vec<PathBuf>,
}

impl Draft<'_> {
    /// The properties of the unit; `input` is the standard input of the program, `complaints` is where the launcher says why
    /// it gave up; with `journal`, standard output is the journal of runs, for the shim to write to.
    pub(super) fn properties<'a>(&'a self, input: Option<Fd<'a>>, complaints: Fd<'a>, journal: bool) -> Properties<'a> {
        let program = self.command.first().map_or("", String::as_str);
        let mut command = self.command.clone();
        let description = match self.agent {
            Some(agent) => format!("agentd run {} ({}) of agent {agent}", self.run, self.step),
            None => "agentd's trial of what this host can do".to_owned(),
        };
        let mut all: Properties<'_> = vec![
            ("Description", description.into()),
            ("Slice", self.agent.map_or_else(|| TRIALS.to_owned(), slice).into()),
            // That the shim began its launcher tells itself, so systemd need not wait for the sandbox.
            ("Type", "simple".into()),
            ("CollectMode", "inactive".into()),
            ("KillMode", "mixed".into()),
            ("TimeoutStopUSec", (self.spec.limits.grace_ms.saturating_add(OWN_GRACE_MS) * 1000).into()),
            ("OOMPolicy", "continue".into()),
            ("UMask", 0o077_u32.into()),
            ("StandardErrorFileDescriptor", complaints.into()),
            ("LogExtraFields", Variant::from(self.fields())),
        ];
        if journal {
            command.push("--journal".to_owned());
            all.push(("LogNamespace", NAMESPACE.into()));
            all.push(("SyslogIdentifier", IDENTIFIER.into()));
        }
        all.push(("StandardOutput", if journal { "journal" } else { "null" }.into()));
        all.push(("ExecStart", Variant::from(vec![(program, command, false)])));
        if let Some(input) = input {
            all.push(("StandardInputFileDescriptor", input.into()));
        }
        all.extend(self.limits());
        all.extend(self.sandbox());
        all
    }

    fn fields(&self) -> Vec<Vec<u8>> {
        let run = self.run;
        // A trial is no agent's, and its run nobody's work.
        let Some(agent) = self.agent else { return Vec::new() };
        let fields = [format!("AGENT_ID={agent}"), format!("WORK_ID={}", run.work), format!("RUN_ID={run}")];
        fields.into_iter().map(String::into_bytes).collect()
    }

    fn limits(&self) -> Properties<'static> {
        let limits = &self.spec.limits;
        let mut all: Properties<'_> = vec![
            ("Delegate", true.into()),
            ("MemoryAccounting", true.into()),
            ("CPUAccounting", true.into()),
            ("MemoryMax", limits.memory_bytes.saturating_add(OWN_MEMORY_BYTES).into()),
            ("MemorySwapMax", 0_u64.into()),
            ("TasksMax", limits.tasks.saturating_add(OWN_TASKS).into()),
            ("LimitCORE", 0_u64.into()),
        ];
        if let Some(percent) = limits.cpu_percent {
            // Microseconds in a second.
            all.push(("CPUQuotaPerSecUSec", (u64::from(percent) * 10_000).into()));
        }
        all
    }

    fn sandbox(&self) -> Properties<'static> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let bind = |path: &str, optional: bool| (path.to_owned(), path.to_owned(), optional, RECURSIVE);
        let mut read: Vec<_> = SYSTEM_PATHS.iter().chain(CONFIGURATION_PATHS).map(|path| bind(path, true)).collect();
        let mut families = vec!["AF_UNIX", "AF_NETLINK"];
        let alone = self.spec.network == Network::None;
        if !alone {
            families.extend(["AF_INET", "AF_INET6"]);
            read.extend(NETWORK_PATHS.iter().map(|path| bind(path, true)));
        }
        read.push(bind(&text(self.runs), false));
        let system = |path: &&PathBuf| SYSTEM_PATHS.iter().any(|system| path.starts_with(system));
        read.extend(self.programs.iter().filter(|path| !system(path)).map(|path| bind(&text(path), false)));
        let of_run = |path: &Path| path.starts_with(self.folder);
        let host = self.spec.mounts.iter().map(|mount| mount.source.as_path()).filter(|path| !of_run(path));
        read.extend(host.map(|path| bind(&text(path), false)));
        // Bubblewrap makes its new root in /tmp.
        let empty = ["/", "/tmp"].map(|path| (path.to_owned(), "ro,mode=0755".to_owned())).to_vec();
        let write = vec![bind(&text(self.folder), false), bind("/proc", false), bind("/sys/fs/cgroup", false)];
        vec![
            ("TemporaryFileSystem", Variant::from(empty)),
            ("BindReadOnlyPaths", Variant::from(read)),
            ("BindPaths", Variant::from(write)),
            ("PrivateDevices", true.into()),
            ("DevicePolicy", "closed".into()),
            ("PrivateNetwork", alone.into()),
            ("PrivateIPC", true.into()),
            ("NoNewPrivileges", true.into()),
            ("CapabilityBoundingSet", CAPABILITIES.into()),
            ("ProtectClock", true.into()),
            ("ProtectKernelModules", true.into()),
            ("LockPersonality", true.into()),
            ("RestrictRealtime", true.into()),
            ("KeyringMode", "private".into()),
            ("IPAddressDeny", Variant::from(if alone { every_address() } else { Vec::new() })),
            ("RestrictAddressFamilies", Variant::from((true, families))),
            ("SystemCallFilter", Variant::from((false, DENIED_CALLS.to_vec()))),
            ("SystemCallErrorNumber", 1_i32.into()),
            ("SystemCallArchitectures", Variant::from(vec!["native"])),
        ]
    }
}

/// All addresses of a family, its number first (`AF_INET`, `AF_INET6`).
fn every_address() -> Vec<(i32, Vec<u8>, u32)> {
    vec![(2, vec![0; 4], 0), (10, vec![0; 16], 0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_an_agent_breaks_out_of_its_slice() {
        let slug = |name: &str| name.parse::<Slug>().unwrap();
        assert_eq!(slice(&slug("fixer")), "agentd-runs-fixer.slice");
        assert_eq!(slice(&slug("my-fixer")), "agentd-runs-my\\x2dfixer.slice");
        assert_eq!(slice(&slug("a.b")), "agentd-runs-a.b.slice");
        assert!(":trials".parse::<Slug>().is_err(), "the slice of trials is no agent's");
        assert_eq!(escaped(".slice/../x y"), "\\x2eslice\\x2f..\\x2fx\\x20y");
    }

    #[test]
    fn no_name_of_an_agent_is_too_long_for_a_slice_and_no_two_have_one() {
        let slug = |name: String| name.parse::<Slug>().unwrap();
        let dashes = "-".repeat(61);
        let [one, other] = ["a", "b"].map(|end| slice(&slug(format!("x{dashes}{end}"))));
        assert!(one.len() <= 200 && one.starts_with("agentd-runs-x\\x2d\\x2d"), "{one}");
        assert_ne!(one, other);
        // Nothing but what systemd takes, and no further level.
        let (_, digest) = one.trim_end_matches(".slice").split_once(':').unwrap();
        assert_eq!(digest.len(), 2 * DIGEST_BYTES);
        assert!(
            one["agentd-runs-".len()..].bytes().all(|byte| byte.is_ascii_alphanumeric() || b"\\:.".contains(&byte))
        );
        assert_eq!(slice(&slug("n".repeat(64))), format!("agentd-runs-{}.slice", "n".repeat(64)));
    }

    #[test]
    fn a_run_is_known_by_the_unit_of_its_program() {
        let run: RunId = "w-7kq3x2mbnd5fa6uz.1".parse().unwrap();
        assert_eq!(name(run, "program"), "agentd-run-w-7kq3x2mbnd5fa6uz.1.service");
        assert_eq!(name(run, "check-2"), "agentd-run-w-7kq3x2mbnd5fa6uz.1-check-2.service");
    }
}
