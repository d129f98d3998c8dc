//! `[runs]` of `agentd.toml`: agents that the daemon starts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agentd_schemas::document::work::MAX_ATTEMPTS;
use agentd_schemas::document::workspace::Egress;
use agentd_schemas::id::{ID_BYTES, RunId, WorkId};
use agentd_schemas::launch::{CONTROL_SOCKET, Level};
use agentd_schemas::unit::duration::Span;
use agentd_schemas::unit::name::Slug;
use agentd_schemas::unit::size::Size;
use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};

use super::paths::Paths;
use crate::engine::supervise::{Bounds, Runs};
use crate::runner::{self, Step};
use crate::sys::{env, process};

/// Runs at a time on one host, at most.
const MAX_RUNS: u32 = 4096;
/// Longest running time that may be configured: what a launch spec takes.
const MAX_TIMEOUT_MS: u64 = 29 * 86_400_000;
/// Bytes of the address of a socket, without the NUL at its end (unix(7)).
const SOCKET_ADDRESS: usize = 107;
/// The highest start of a program in one run: its folder has the longest name.
const LAST_START: u32 = 64;
/// Places in a home that hold secrets: no run sees them, whatever an agent asks for.
const SECRET_PLACES: &[&str] = &[
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".netrc",
    ".git-credentials",
    ".config/gcloud",
    ".config/gh",
    ".config/agentd",
    ".local/share/keyrings",
    ".password-store",
    ".npmrc",
    ".pypirc",
    ".cargo/credentials.toml",
];
/// The same outside of homes: secrets of the host, and sockets that give more than files.
const HOST_PLACES: &[&str] = &[
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/ssh",
    "/etc/ssl/private",
    "/etc/sudoers",
    "/etc/agentd",
    "/run/dbus",
    "/run/systemd",
    "/run/user",
    "/run/docker.sock",
    "/run/containerd",
    "/run/agentd",
    "/var/run/docker.sock",
    "/var/spool/cron",
    "/root/.ssh",
];

/// Agents that the daemon starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunsConfig {
    /// Runs at a time on the whole host, 1 to 4096; twice the processors by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Those of one owner; as many as on the host by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_owner: Option<u32>,
    /// No run begins while less of the disk is free, 0 to 90.
    pub min_free_percent: u32,
    /// Running time of a work that does not say so.
    pub timeout: Span,
    /// No run is less confined: `strict` or `landlock`.
    pub least_level: Level,
    /// Bytes of one upload.
    pub max_upload: Size,
    /// Bytes of all uploads of one user that are kept.
    pub max_uploads: Size,
    /// Memory of a run that does not say so.
    pub memory_max: Size,
    /// Processes and threads of a run that does not say so.
    pub tasks_max: u32,
    /// What is kept of each output stream of a run that does not say so.
    pub output_max: Size,
    /// Workspace of a run that does not say so.
    pub workspace_max: Size,
    /// Files in it.
    pub workspace_files_max: u32,
    /// Network that a setup may ask for: `none` or `host`.
    pub setup_egress: Egress,
    /// How long the folders of runs stay that did not complete their work.
    pub keep_workspaces: Span,
    /// How long content stays that no open work names.
    pub keep_uploads: Span,
    /// How long artefacts stay.
    pub keep_artefacts: Span,
    /// The machine does not go to sleep by itself while runs work and it is fed from outside.
    pub inhibit_sleep: bool,
    /// Where runs have their folders; `runs` in the state directory by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// Socket of the launcher's service; `launch.sock` in the runtime directory with `--system`, none otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch_socket: Option<PathBuf>,
    /// The launcher; `agentd-launch` beside the daemon or in `../libexec/agentd` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launcher: Option<PathBuf>,
    /// The shim; `agentd-shim`, looked for in the same places.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shim: Option<PathBuf>,
    /// Toolchains and caches that agents may name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub profiles: BTreeMap<Slug, ProfileConfig>,
}

/// A toolchain or a cache.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProfileConfig {
    /// Places of the host that runs may read and execute.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub read_only_paths: Vec<PathBuf>,
    /// Variables of the environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
}

impl Default for RunsConfig {
    fn default() -> Self {
        let defaults = runner::RunDefaults::default();
        let span = |ms| Span::from_ms(ms).unwrap_or(Span::ZERO);
        let size = |bytes| Size::from_bytes(bytes).unwrap_or_default();
        Self {
            max: None,
            max_per_owner: None,
            min_free_percent: 10,
            timeout: span(24 * 3_600_000),
            least_level: Level::Strict,
            max_upload: size(2 << 30),
            max_uploads: size(defaults.uploads_bytes),
            memory_max: size(defaults.memory_bytes),
            tasks_max: u32::try_from(defaults.tasks).unwrap_or(u32::MAX),
            output_max: size(defaults.output_bytes),
            workspace_max: size(defaults.workspace_bytes),
            workspace_files_max: defaults.workspace_files,
            setup_egress: Egress::None,
            keep_workspaces: span(7 * 86_400_000),
            keep_uploads: span(86_400_000),
            keep_artefacts: span(190 * 86_400_000),
            inhibit_sleep: true,
            directory: None,
            launch_socket: None,
            launcher: None,
            shim: None,
            profiles: BTreeMap::new(),
        }
    }
}

impl RunsConfig {
    /// Bounds of the section.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let within = |name: &str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(anyhow!("runs.{name} {value} is outside {least} to {most}"))
        };
        for (name, value) in [("max", self.max), ("max_per_owner", self.max_per_owner)] {
            value.map_or(Ok(()), |value| within(name, u64::from(value), 1, u64::from(MAX_RUNS)))?;
        }
        within("min_free_percent", u64::from(self.min_free_percent), 0, 90)?;
        within("tasks_max", u64::from(self.tasks_max), 1, 1 << 20)?;
        within("workspace_files_max", u64::from(self.workspace_files_max), 1, 100_000_000)?;
        super::config::lasts("runs.timeout", self.timeout, 1, MAX_TIMEOUT_MS)?;
        for (name, size) in [("output_max", self.output_max), ("memory_max", self.memory_max)] {
            let most = if name == "output_max" { 1 << 30 } else { u64::MAX >> 1 };
            within(name, size.as_bytes(), if name == "output_max" { 1 } else { 16 << 20 }, most)?;
        }
        let places = [
            ("directory", &self.directory),
            ("launch_socket", &self.launch_socket),
            ("launcher", &self.launcher),
            ("shim", &self.shim),
        ];
        if let Some((name, _)) = places.iter().find(|(_, path)| path.as_ref().is_some_and(|path| path.is_relative())) {
            return Err(anyhow!("runs.{name} is not an absolute path"));
        }
        let profile = self.profiles.iter().find(|(_, profile)| {
            profile
                .read_only_paths
                .iter()
                .any(|path| !path.is_absolute() || path.components().any(|part| part.as_os_str() == ".."))
        });
        profile.map_or(Ok(()), |(name, _)| Err(anyhow!("runs.profiles.{name}: paths are absolute and without ..")))
    }

    /// The section, put together for the engine.
    pub(super) fn runs(&self, paths: &Paths) -> anyhow::Result<Runs> {
        let own = process::own_program().context("the daemon's own program cannot be found")?;
        let found = |given: &Option<PathBuf>, name: &str| given.clone().unwrap_or_else(|| program_of(&own, name));
        let launcher = self.launch_socket.clone().or_else(|| paths.launch.clone());
        // Whoever starts runs as root gives each a user of its own.
        let has_root = process::effective_uid() == 0 || launcher.is_some();
        let host = runner::Host {
            runs: self.directory.clone().unwrap_or_else(|| paths.state.join("runs")),
            content: paths.state.join("content"),
            artefacts: paths.state.join("artefacts"),
            launch: found(&self.launcher, "agentd-launch"),
            launcher: launcher.map(runner::Launcher::at),
            shim: found(&self.shim, "agentd-shim"),
            keep_out: keep_out(paths)?,
            profiles: self.profiles.iter().map(|(name, profile)| (name.clone(), profile.profile())).collect(),
            defaults: self.defaults(),
            uids: has_root.then(runner::UidRange::of_runs),
        };
        check_sockets(&host.runs)?;
        Ok(Runs { host, state: paths.state.clone(), min_free_percent: self.min_free_percent, bounds: self.bounds() })
    }

    /// What of it may change while the daemon runs.
    pub(super) fn bounds(&self) -> Bounds {
        let processors =
            std::thread::available_parallelism().map_or(2, |count| u32::try_from(count.get()).unwrap_or(2));
        let most = self.max.unwrap_or(processors.saturating_mul(2));
        Bounds {
            most,
            most_per_owner: self.max_per_owner.unwrap_or(most),
            max_upload_bytes: self.max_upload.as_bytes(),
            timeout_ms: self.timeout.as_ms(),
            least_level: self.least_level,
            keep_workspaces_ms: self.keep_workspaces.as_ms(),
            keep_uploads_ms: self.keep_uploads.as_ms(),
            keep_artefacts_ms: self.keep_artefacts.as_ms(),
        }
    }

    fn defaults(&self) -> runner::RunDefaults {
        runner::RunDefaults {
            memory_bytes: self.memory_max.as_bytes(),
            tasks: u64::from(self.tasks_max),
            output_bytes: self.output_max.as_bytes(),
            workspace_bytes: self.workspace_max.as_bytes(),
            workspace_files: self.workspace_files_max,
            setup_egress: self.setup_egress == Egress::Host,
            uploads_bytes: self.max_uploads.as_bytes(),
            min_free_percent: u64::from(self.min_free_percent),
            ..runner::RunDefaults::default()
        }
    }
}

impl ProfileConfig {
    fn profile(&self) -> runner::Profile {
        runner::Profile { read_only_paths: self.read_only_paths.clone(), environment: self.environment.clone() }
    }
}

/// Where a program of the daemon's own is: beside it, or where an installed one has them.
fn program_of(daemon: &Path, name: &str) -> PathBuf {
    let beside = daemon.with_file_name(name);
    let installed = daemon.parent().and_then(Path::parent).map(|prefix| prefix.join("libexec/agentd").join(name));
    match installed {
        Some(installed) if !beside.exists() && installed.exists() => installed,
        _ => beside,
    }
}

/// Holds that the sockets of a run have addresses that the kernel takes: else every run would fail, each for itself.
fn check_sockets(runs: &Path) -> anyhow::Result<()> {
    let run = RunId { work: WorkId::from_bytes([u8::MAX; ID_BYTES]), attempt: MAX_ATTEMPTS };
    let longest = runs.join(run.to_string()).join(Step::Program(LAST_START).name()).join(CONTROL_SOCKET);
    let over = longest.as_os_str().len().saturating_sub(SOCKET_ADDRESS);
    if over == 0 {
        return Ok(());
    }
    Err(anyhow!(
        "the folder of runs {} is {over} bytes too long: the sockets of its runs could have no address; name a shorter one \
         with runs.directory in agentd.toml, or a shorter state directory",
        runs.display()
    ))
}

/// Places that no run sees: the daemon's own, and those that have secrets.
fn keep_out(paths: &Paths) -> anyhow::Result<Vec<PathBuf>> {
    let own = ["ledger.db", "ledger.db-wal", "ledger.db-shm", "keys", "lock", "content", "artefacts"];
    let mut places: Vec<PathBuf> = own.iter().map(|name| paths.state.join(name)).collect();
    places.push(paths.runtime.clone());
    places.extend(HOST_PLACES.iter().map(PathBuf::from));
    if let Some(home) = env::var("HOME")?.filter(|home| home.starts_with('/')) {
        places.extend(SECRET_PLACES.iter().map(|name| Path::new(&home).join(name)));
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_beside_the_daemon_or_where_an_installed_one_has_it() {
        let scratch = crate::sys::scratch::Scratch::new();
        let (bin, libexec) = (scratch.join("usr/bin"), scratch.join("usr/libexec/agentd"));
        for folder in [&bin, &libexec] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let found = || program_of(&bin.join("agentd"), "agentd-shim");
        assert_eq!(found(), bin.join("agentd-shim"), "none is there: the name that is told");
        std::fs::write(libexec.join("agentd-shim"), "").unwrap();
        assert_eq!(found(), libexec.join("agentd-shim"));
        std::fs::write(bin.join("agentd-shim"), "").unwrap();
        assert_eq!(found(), bin.join("agentd-shim"), "one beside it goes first");
    }

    #[test]
    fn a_folder_of_runs_is_short_enough_for_the_sockets_below_it_or_refused_with_the_way_out() {
        let mut longest = 0;
        for bytes in 1..120 {
            let path = PathBuf::from(format!("/{}", "x".repeat(bytes)));
            match check_sockets(&path) {
                Ok(()) => longest = bytes,
                Err(error) => assert!(error.to_string().contains("runs.directory"), "{error}"),
            }
        }
        assert!((50..70).contains(&longest), "{longest}");
    }
}
