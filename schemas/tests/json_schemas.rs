//! Holds the checked-in JSON Schemas equal to the types. `UPDATE=1 cargo test -p agentd-schemas --features schema`
//! rewrites them.

#![allow(clippy::unwrap_used, reason = "a test: what is missing is the failure")]

use std::path::{Path, PathBuf};

use agentd_schemas::document::{
    AgentDocument, BudgetDocument, GovernanceDocument, ObjectiveDocument, ScheduleDocument, WorkDocument,
    schema::SCHEMAS,
};
use schemars::{JsonSchema, schema_for};

/// The schema of a type as it is checked in: indented, with a newline at the end.
fn generated<T: JsonSchema>() -> String {
    serde_json::to_string_pretty(&schema_for!(T)).unwrap() + "\n"
}

fn all() -> [(&'static str, String); 6] {
    [
        ("work", generated::<WorkDocument>()),
        ("agent", generated::<AgentDocument>()),
        ("schedule", generated::<ScheduleDocument>()),
        ("objective", generated::<ObjectiveDocument>()),
        ("budget", generated::<BudgetDocument>()),
        ("governance", generated::<GovernanceDocument>()),
    ]
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("json").join(format!("{name}.json"))
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the switch of this test is an environment variable")]
fn the_checked_in_schemas_are_those_of_the_types() {
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    for (name, text) in all() {
        if update {
            std::fs::write(file(name), &text).unwrap();
        }
        let held = std::fs::read_to_string(file(name)).unwrap();
        assert_eq!(held, text, "schemas/json/{name}.json is not that of its type: run this test with UPDATE=1");
    }
}

#[test]
fn every_schema_that_is_built_in_is_one_that_is_generated() {
    let names: Vec<&str> = all().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, SCHEMAS.map(|(name, _)| name));
}
