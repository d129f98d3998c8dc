//! What a host can do for runs, as `agentd-launch probe` found out by trying.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Allowed, Level};

/// Version of the document.
pub const PROBE_VERSION: u32 = 1;

/// One host, as one user of it may use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// [`PROBE_VERSION`].
    pub version: u32,
    /// Whether the launcher is root, so that runs have users of their own.
    pub root: bool,
    /// User that the trials ran as.
    pub uid: u32,
    /// Each level, the weakest first.
    pub levels: Vec<LevelProbe>,
    /// Version of the Landlock interface that the kernel speaks; 0 where it has none.
    pub landlock_abi: u32,
    /// Whether that user may make a user namespace, which level strict needs.
    pub user_namespaces: bool,
    /// Where bubblewrap is, which level strict needs.
    pub bubblewrap: Option<PathBuf>,
    /// Where git is, which workspaces need.
    pub git: Option<PathBuf>,
    /// The hierarchies of control groups in which a run gets one of its own.
    pub control_groups: Vec<GroupProbe>,
    /// What runs may have at most, where the launcher is a service that holds them to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Allowed>,
}

/// One level: whether a trivial program ran in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LevelProbe {
    /// The level.
    pub level: Level,
    /// Whether it ran.
    pub works: bool,
    /// Why it did not.
    pub reason: Option<String>,
    /// What was not held where it ran, one line each.
    pub lacking: Vec<String>,
}

/// One hierarchy of control groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GroupProbe {
    /// Whether it is the unified one (version 2).
    pub unified: bool,
    /// The group below which runs get theirs.
    pub parent: PathBuf,
    /// What it bounds there: of `memory`, `pids`, `cpu`.
    pub controllers: Vec<String>,
    /// Whether it can make a run stand still.
    pub freezes: bool,
}

impl Probe {
    /// The strongest level that works.
    pub fn strongest(&self) -> Option<Level> {
        self.levels.iter().filter(|probe| probe.works).map(|probe| probe.level).max()
    }
}
