//! The JSON Schemas of the files that people write, as they are checked in under `schemas/json`.
//!
//! They are generated from the types; a test holds them equal, and rewrites them when it runs with `UPDATE=1`.

/// Name of each file and its JSON Schema (draft 2020-12).
pub const SCHEMAS: [(&str, &str); 6] = [
    ("work", include_str!("../../json/work.json")),
    ("agent", include_str!("../../json/agent.json")),
    ("schedule", include_str!("../../json/schedule.json")),
    ("objective", include_str!("../../json/objective.json")),
    ("budget", include_str!("../../json/budget.json")),
    ("governance", include_str!("../../json/governance.json")),
];
