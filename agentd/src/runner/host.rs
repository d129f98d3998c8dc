//! What a run is made from: the host's side, and the job.

use std::collections::BTreeMap;
use std::path::PathBuf;

use agentd_schemas::document::acceptance::CommandAcceptance;
use agentd_schemas::document::{Acceptance, Runtime, WorkspaceDocument};
use agentd_schemas::http::Claim;
use agentd_schemas::id::RunId;
use agentd_schemas::launch::{Level, RUN_UIDS, RunAs, overlap};
use agentd_schemas::unit::name::Slug;
use agentd_schemas::unit::size::Size;

use super::asks::Asks;
use super::commit::Commit;
use super::content::MIN_FREE_PERCENT;
use super::launcher::Launcher;
use super::places::OWN_TARGETS;
use crate::domain::runtime::check_runtime;
use crate::sys::room::Room;

/// Where things are, and what the host allows: from its configuration.
#[derive(Debug, Clone)]
pub struct Host {
    /// One folder for each run.
    pub runs: PathBuf,
    /// What clients handed in, by user and digest.
    pub content: PathBuf,
    /// What runs made, by digest.
    pub artefacts: PathBuf,
    /// The program `agentd-launch`.
    pub launch: PathBuf,
    /// The launcher, where it is a service that starts runs in the daemon's place.
    pub launcher: Option<Launcher>,
    /// The program `agentd-shim`.
    pub shim: PathBuf,
    /// Places that no run may see, nor anything above or below them.
    pub keep_out: Vec<PathBuf>,
    /// Toolchains and caches, by name.
    pub profiles: BTreeMap<Slug, Profile>,
    /// What holds where an agent says nothing.
    pub defaults: RunDefaults,
    /// Users of runs, where the daemon may give them users of their own.
    pub uids: Option<UidRange>,
}

/// A toolchain or cache that agents may name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// What of the host is read.
    pub read_only_paths: Vec<PathBuf>,
    /// Variables of the environment; those of the agent come after them.
    pub environment: BTreeMap<String, String>,
}

/// What a run may use where neither agent nor work says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunDefaults {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub tasks: u64,
    /// Percent of one processor.
    pub cpu_percent: Option<u32>,
    /// Bytes kept of each output stream.
    pub output_bytes: u64,
    /// Bytes of the workspace and the home; no file may be larger.
    pub workspace_bytes: u64,
    /// Files in the workspace and the home.
    pub workspace_files: u32,
    /// Open files of one process.
    pub open_files: u64,
    /// Milliseconds between TERM and KILL.
    pub grace_ms: u64,
    /// How long `prepare`, `collect` and `seal` may take, each.
    pub step_ms: u64,
    /// How long a setup may take that does not say so.
    pub setup_ms: u64,
    /// How long a command may judge that does not say so.
    pub judge_ms: u64,
    /// Whether setups may have the host's network.
    pub setup_egress: bool,
    /// Bytes of all that one user handed in and that is kept.
    pub uploads_bytes: u64,
    /// Below this share of free disk, in percent, nothing is taken in and nothing is started.
    pub min_free_percent: u64,
}

impl Default for RunDefaults {
    fn default() -> Self {
        Self {
            memory_bytes: 2 << 30,
            tasks: 512,
            cpu_percent: None,
            output_bytes: 16 << 20,
            workspace_bytes: 4 << 30,
            workspace_files: 200_000,
            open_files: 4096,
            grace_ms: 5_000,
            step_ms: 600_000,
            setup_ms: 600_000,
            judge_ms: 600_000,
            setup_egress: false,
            uploads_bytes: 20 << 30,
            min_free_percent: MIN_FREE_PERCENT,
        }
    }
}

/// Users that runs may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UidRange {
    /// The first.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl UidRange {
    /// Those that the launcher gives runs where it is root.
    pub fn of_runs() -> Self {
        let (first, last) = (*RUN_UIDS.start(), *RUN_UIDS.end());
        Self { first, count: last - first + 1 }
    }

    /// The user of the run with this fence. Runs that live at the same time have different ones, those of one agent too;
    /// whoever comes back to a run finds the same. The last of the range stays free: the launcher's probe has it.
    pub fn of_run(self, fence: u64) -> RunAs {
        let place = fence % u64::from(self.count.saturating_sub(1).max(1));
        let uid = self.first.saturating_add(u32::try_from(place).unwrap_or(0));
        RunAs { uid, gid: uid }
    }
}

/// Everything about one run that its steps need.
#[derive(Debug, Clone)]
pub struct Job {
    /// The run.
    pub run: RunId,
    /// The agent that it is.
    pub agent: Slug,
    /// How confined each step is.
    pub level: Level,
    /// Whose processes they are, where not the daemon's.
    pub run_as: Option<RunAs>,
    /// The program.
    pub runtime: Runtime,
    /// The content of `runtime.files`, in their order.
    pub files: Vec<Vec<u8>>,
    /// What the workspace is made from.
    pub workspace: Option<WorkspaceDocument>,
    /// The criteria that look at what was made, in the order of the work's criteria.
    pub checks: Vec<Option<Acceptance>>,
    /// The task, as agents that come by themselves get it.
    pub claim: Claim,
    /// How long the program may run.
    pub timeout_ms: u64,
    /// Whose work it is: the user whose content the workspace is made from.
    pub uid_owner: u32,
}

/// What steps need that only earlier steps know.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The commit that the workspace began with: from `prepare`. Needed by every later step but `setup` and `program`,
    /// where there is a workspace with content.
    pub base: Option<String>,
    /// The tree that a check judges: [`super::Collected::tree_for`].
    pub tree: Option<String>,
    /// The program's session, where it goes on: [`super::session`].
    pub session: Option<String>,
    /// What `seal` stores.
    pub commit: Option<Commit>,
}

/// Why a run is not started as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl Refused {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl Job {
    /// Bytes of memory that its programs may have.
    pub fn memory(&self, host: &Host) -> u64 {
        host.limits(&self.runtime).memory_bytes
    }

    /// What its workspace, its home and its temporary files may take of the disk.
    pub fn room(&self, host: &Host) -> Room {
        let asked = &self.runtime.resources;
        Room {
            bytes: asked.workspace_max.map_or(host.defaults.workspace_bytes, Size::as_bytes),
            files: u64::from(asked.workspace_files_max.unwrap_or(host.defaults.workspace_files)),
        }
    }

    /// Whether its workspace is a repository, so that there is something to collect, judge and seal.
    pub fn has_repository(&self) -> bool {
        self.workspace.is_some()
    }

    /// The setup command, where there is one.
    pub fn setup(&self) -> Option<&str> {
        self.workspace.as_ref().and_then(|workspace| workspace.setup.as_deref())
    }

    /// The commands that judge, with the places of their criteria.
    pub fn commands(&self) -> impl Iterator<Item = (u32, &CommandAcceptance)> {
        self.checks.iter().zip(0..).filter_map(|(check, place)| match check {
            Some(Acceptance::Command(command)) => Some((place, command)),
            _ => None,
        })
    }

    /// Holds the job against the host: profiles are known, places are free, files are complete, setup may do what it asks.
    pub fn check(&self, host: &Host) -> Result<(), Refused> {
        host.check(&self.runtime)?;
        if self.files.len() != self.runtime.files.len() {
            return Err(Refused::new("the content of the agent's files is not complete"));
        }
        host.allows_work(None, &self.runtime, self.asks())
    }

    fn asks(&self) -> Asks<'_> {
        Asks { timeout_ms: self.timeout_ms, workspace: self.workspace.as_ref(), checks: &self.checks }
    }

    /// The profiles that the agent names.
    pub(super) fn profiles<'a>(&self, host: &'a Host) -> Result<Vec<&'a Profile>, Refused> {
        host.profiles_of(&self.runtime)
    }

    /// What of the host the program may read beside the system.
    pub(super) fn readable(&self, host: &Host) -> Result<Vec<PathBuf>, Refused> {
        host.readable_by(&self.runtime)
    }
}

impl Host {
    /// Whether a program can be started here as it asks to be: what it names is there, and is not kept from runs.
    pub fn check(&self, runtime: &Runtime) -> Result<(), Refused> {
        check_runtime(runtime).map_err(|problem| Refused(problem.message))?;
        for path in self.readable_by(runtime)? {
            if let Some(own) = OWN_TARGETS.iter().find(|own| overlap(&path, std::path::Path::new(own))) {
                return Err(Refused(format!("{} cannot be read by runs: they have their own {own}", path.display())));
            }
            let own = [&self.runs, &self.content, &self.artefacts, &self.shim];
            if let Some(out) = self.keep_out.iter().chain(own).find(|out| overlap(&path, out)) {
                return Err(Refused(format!(
                    "{} cannot be read by runs: {} is kept from them",
                    path.display(),
                    out.display()
                )));
            }
        }
        Ok(())
    }

    fn profiles_of(&self, runtime: &Runtime) -> Result<Vec<&Profile>, Refused> {
        let find = |name: &Slug| {
            self.profiles.get(name).ok_or_else(|| {
                let known: Vec<&str> = self.profiles.keys().map(Slug::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                Refused(format!("there is no profile {}; this host has: {known}", name.as_str()))
            })
        };
        runtime.sandbox.profiles.iter().map(find).collect()
    }

    pub(super) fn readable_by(&self, runtime: &Runtime) -> Result<Vec<PathBuf>, Refused> {
        let mut paths: Vec<PathBuf> = runtime.sandbox.read_only_paths.iter().map(PathBuf::from).collect();
        for profile in self.profiles_of(runtime)? {
            paths.extend(profile.read_only_paths.iter().cloned());
        }
        paths.sort();
        paths.dedup();
        Ok(paths)
    }
}

/// A host with nothing on it.
#[cfg(test)]
pub(crate) fn trial_host() -> Host {
    Host {
        runs: "/data/runs".into(),
        content: "/data/content".into(),
        artefacts: "/data/artefacts".into(),
        launch: "/usr/libexec/agentd/agentd-launch".into(),
        launcher: None,
        shim: "/usr/libexec/agentd/agentd-shim".into(),
        keep_out: Vec::new(),
        profiles: BTreeMap::new(),
        defaults: RunDefaults::default(),
        uids: None,
    }
}
