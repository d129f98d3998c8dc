//! What runs may have on a host at most, where the launcher is a service: words of its own command line, which root alone
//! writes. The launcher holds each launch against them; the daemon knows them, so that a work which asks for more waits.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{CONFIGURATION_PATHS, Network, RunLimits, SYSTEM_PATHS, overlap};
use crate::unit::duration::in_words;
use crate::unit::size::Size;

/// The unit in which root allows more.
pub const LAUNCH_UNIT: &str = "agentd-launch.service";

/// The most that a run may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// The network: none, or the host's where it asks for it.
    pub network: Network,
    /// Places of the host that it may be shown, and what is in them.
    pub read_only: Vec<PathBuf>,
    /// What of these it is not shown all the same, nor anything around it.
    pub except: Vec<PathBuf>,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub tasks: u64,
    /// Milliseconds that a step may run.
    pub wall_ms: u64,
}

/// What a run asks for beyond that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beyond {
    /// The field of the launch spec.
    pub field: &'static str,
    /// What is asked for, what is allowed, and what root writes to allow more.
    pub words: String,
}

impl Allowed {
    /// Whether a run may be shown a place of the host, by its name alone: nobody learns from the answer what is there.
    pub fn shows(&self, path: &Path) -> bool {
        is_of_system(path)
            || self
                .read_only
                .iter()
                .filter(|place| path.starts_with(place))
                .any(|place| !self.except.iter().any(|except| overlap(path, except) && !place.starts_with(except)))
    }

    /// What a run asks for beyond this, places apart.
    pub fn beyond(&self, network: Network, limits: &RunLimits) -> Option<Beyond> {
        let more = |field, asked: String, word: &str, most: String| {
            let words = format!(
                "{asked} is more than a run may have on this host, {most}; root allows more with {word} in {LAUNCH_UNIT}"
            );
            Some(Beyond { field, words })
        };
        let bytes = |bytes: u64| Size::from_bytes(bytes).map_or_else(|_| format!("{bytes} B"), |size| size.to_string());
        if network == Network::Host && self.network == Network::None {
            let words =
                format!("runs have no network on this host; root allows it with --network host in {LAUNCH_UNIT}");
            return Some(Beyond { field: "network", words });
        }
        if limits.memory_bytes > self.memory_bytes {
            return more("memory_bytes", bytes(limits.memory_bytes), "--max-memory", bytes(self.memory_bytes));
        }
        if limits.tasks > self.tasks {
            return more("tasks", limits.tasks.to_string(), "--max-tasks", self.tasks.to_string());
        }
        if limits.wall_ms > self.wall_ms {
            return more("wall_ms", in_words(limits.wall_ms), "--max-wall", in_words(self.wall_ms));
        }
        None
    }

    /// The one answer about a place that no run is shown, whatever is there.
    pub fn not_shown(path: &Path) -> Beyond {
        let words = format!(
            "runs are not shown {} on this host; root allows it with --read-only in {LAUNCH_UNIT}",
            path.display()
        );
        Beyond { field: "mounts", words }
    }
}

/// What every run sees, and who asks learns nothing by it.
pub fn is_of_system(path: &Path) -> bool {
    SYSTEM_PATHS.iter().chain(CONFIGURATION_PATHS).any(|place| path.starts_with(place))
}
