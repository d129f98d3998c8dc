//! Bounds of runs that are looked at anew for each decision, and so may change while the daemon runs.

use agentd_schemas::launch::Level;

/// The bounds, from the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Runs at a time, on the whole host.
    pub most: u32,
    /// Those of one owner.
    pub most_per_owner: u32,
    /// Bytes of one upload.
    pub max_upload_bytes: u64,
    /// Running time of a work that does not say so.
    pub timeout_ms: u64,
    /// No run is less confined.
    pub least_level: Level,
    /// How long the folder of a run stays that did not complete its work.
    pub keep_workspaces_ms: u64,
    /// How long content stays that no open work names.
    pub keep_uploads_ms: u64,
    /// How long artefacts stay.
    pub keep_artefacts_ms: u64,
}
