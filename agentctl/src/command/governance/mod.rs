//! Rules of who may do which stage of a work, in a file: what they mean. No daemon is asked.

mod check;
mod graph;
mod path;

use std::collections::BTreeMap;

use agentd_schemas::document::governance::{GovernanceDocument, MAX_GOVERNANCE_BYTES};
use agentd_schemas::governance::{Contradiction, Demand, Unmet, read};
use agentd_schemas::unit::name::{LabelKey, LabelValue};

use crate::error::Failure;
use crate::input;
use crate::output::plain;

/// Where the rules are, below the current directory, when no file is named.
const FILE: &str = "policies/governance.toml";

/// What to do with rules.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Check(check::Args),
    Path(path::Args),
    Graph(graph::Args),
}

dispatch!(Command { Check Path Graph });

/// Reads the rules, with their text.
fn rules(file: &str) -> Result<(GovernanceDocument, Vec<u8>), Failure> {
    let bytes = input::read(file, MAX_GOVERNANCE_BYTES)?;
    let document = read(&bytes).map_err(|error| Failure::document(input::shown(file), &error))?;
    Ok((document, bytes))
}

/// Reads a label: `prod`, which has no value, or `team=payments`.
fn label(text: &str) -> Result<(LabelKey, LabelValue), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let key = key.parse().map_err(|error| format!("{error}"))?;
    Ok((key, value.parse().map_err(|error| format!("{error}"))?))
}

/// Labels as a person writes them.
fn written(labels: &BTreeMap<LabelKey, LabelValue>) -> String {
    let one = |(key, value): (&LabelKey, &LabelValue)| match value.as_str() {
        "" => key.to_string(),
        value => format!("{key}={value}"),
    };
    labels.iter().map(one).collect::<Vec<_>>().join(",")
}

/// A demand with its rule.
fn demand(demand: &Demand) -> String {
    format!("{} (rule {})", demand.what, demand.rule)
}

/// The changes that would make a path, a line each.
fn changes(unmet: &Unmet) -> Vec<String> {
    let steps = |steps: &Vec<_>| steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(", and ");
    unmet.changes.iter().map(steps).collect()
}

/// What is said where nobody may do all stages.
fn unmet(found: &Unmet) -> Failure {
    let demands: Vec<String> = found.demands.iter().map(demand).collect();
    let together = match (found.demands.len(), found.minimal) {
        (0, _) => ": nobody is there".to_owned(),
        (1, _) => format!(", because this cannot be met: {}", demands[0]),
        (_, true) => format!(", because these cannot be met together:\n  {}", demands.join("\n  ")),
        (_, false) => format!(", because some of these cannot be met together:\n  {}", demands.join("\n  ")),
    };
    let mut failure = Failure::rules("no_lawful_path", format!("there is no lawful path{together}"));
    let ways = changes(found);
    for way in &ways {
        failure = failure.hint_too(&plain(way));
    }
    let rules: Vec<&str> = found.demands.iter().map(|demand| demand.rule.as_str()).collect();
    failure.detail("unmet", demands.clone()).detail("rules", rules).detail("changes", ways)
}

/// What is said where rules contradict each other.
fn contradiction(found: &Contradiction) -> Failure {
    let failure = Failure::rules("no_lawful_path", format!("there is no lawful path: {found}"));
    failure.hint(found.way_out()).detail("rules", vec![found.rule().as_str()])
}

/// What is said where nobody knows.
fn too_hard() -> Failure {
    let failure = Failure::rules(
        "too_hard",
        "these rules are too hard: the search for a path was given up, and there may be one",
    );
    failure.hint("keep fewer stages apart from each other, or lower a count")
}
