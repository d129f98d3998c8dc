//! The contract of one run between the daemon, `agentd-launch` and `agentd-shim`: what is to be started, and what
//! became of it.
//!
//! A run has a *record*, a directory of its own that outlives daemon and shim. The launcher writes [`SPEC_FILE`] into
//! it, the shim [`STARTED_FILE`], the output and, at the very end, [`OUTCOME_FILE`]; files appear whole or not at all.
//! Who holds the lock on [`LOCK_FILE`] is the living shim. A record without outcome whose lock is free is a run whose
//! end nobody saw.

mod allowed;
mod outcome;
mod probe;
mod request;
mod spec;

pub use allowed::{Allowed, Beyond, LAUNCH_UNIT, is_of_system};
pub use outcome::{Confinement, Ending, Outcome, Started, StopCause, Stream, Usage};
pub use probe::{GroupProbe, LevelProbe, PROBE_VERSION, Probe};
pub use request::{Answer, MAX_REQUEST_BYTES, Request, UnitState};
pub use spec::{Access, Input, LaunchSpec, Level, Mount, Network, RunAs, RunLimits, SpecError, overlap};

/// Version of the contract. A launcher or shim refuses what it does not know.
pub const LAUNCH_VERSION: u32 = 1;
/// Bytes of one spec as JSON, at most.
pub const MAX_SPEC_BYTES: usize = 8 << 20;
/// The [`LaunchSpec`].
pub const SPEC_FILE: &str = "spec.json";
/// The [`Started`] record.
pub const STARTED_FILE: &str = "started.json";
/// The [`Outcome`].
pub const OUTCOME_FILE: &str = "outcome.json";
/// Locked (flock) by the living shim.
pub const LOCK_FILE: &str = "lock";
/// Standard output of the program, its first bytes up to the bound.
pub const STDOUT_FILE: &str = "stdout";
/// Standard error of the program, its first bytes up to the bound.
pub const STDERR_FILE: &str = "stderr";
/// What the shim itself says, beginning with the launcher's last word.
pub const SHIM_LOG_FILE: &str = "shim.log";
/// User and group ids that a launcher with root's rights gives to runs, unless it is told others.
///
/// Nobody else hands these out: they are above the users of distributions (to 60,000), the homes and dynamic users of
/// systemd (60,001 to 65,519), the subordinate ids of shadow (100,000 to 600,100,000), the containers of systemd-nspawn
/// (524,288 to 1,879,048,191) and the ids that SSSD and FreeIPA count out (200,000 to 2,000,200,000), and below the foreign
/// ids of systemd (from 2,147,352,576) and all that is not positive in 32 bits.
pub const RUN_UIDS: std::ops::RangeInclusive<u32> = 2_100_000_000..=2_100_999_999;
/// Socket on which the shim takes `stop CAUSE`, `freeze`, `thaw`, `pause` and `resume` (its running time alone), one line
/// each.
pub const CONTROL_SOCKET: &str = "control.sock";
/// Bytes of one line on the control socket, at most.
pub const MAX_CONTROL_BYTES: usize = 64;

/// Programs and libraries of the system, which every run sees.
pub const SYSTEM_PATHS: &[&str] = &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
/// What programs look up of the system's configuration, none of it secret.
pub const CONFIGURATION_PATHS: &[&str] = &[
    "/etc/alternatives",
    "/etc/debian_version",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
];
/// What programs look up of the host's network, where they have it.
pub const NETWORK_PATHS: &[&str] = &["/etc/gai.conf", "/etc/host.conf", "/etc/hosts", "/etc/resolv.conf"];
