//! `agentctl governance path`

use std::collections::BTreeMap;

use agentd_schemas::document::governance::{Example, GovernanceDocument};
use agentd_schemas::governance::{Answer, Case, MatchedBy, Path, answer};
use agentd_schemas::strict::nearest;
use agentd_schemas::unit::money::{MicroUsd, Usd};
use agentd_schemas::unit::name::{LabelKey, LabelValue, Slug};
use agentd_schemas::unit::owner::Owner;

use super::{FILE, contradiction, label, rules, too_hard, unmet};
use crate::command::submit::flags;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Cell, Output, Table};

/// Of those who do not do a stage so many are shown; --json has all.
const SHOWN: usize = 8;

/// Show who would do each stage of a work, at which cost, and why others may not
///
/// The principals are those of the file, or of one of its examples. Where nobody may do all stages, the error names the demands
/// that together cannot be met, and each smallest change that would meet them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl governance path --label prod --label pii\n  \
    agentctl governance path --file governance.toml --example release --owner alice --json")]
pub(crate) struct Args {
    /// The rules, - for stdin
    #[arg(long, short, value_name = "FILE", default_value = FILE, value_hint = clap::ValueHint::FilePath)]
    file: String,
    /// A label of the work, with or without a value; may be given several times
    #[arg(long = "label", value_name = "KEY[=VALUE]", value_parser = label)]
    labels: Vec<(LabelKey, LabelValue)>,
    /// The labels, the owner and the principals of this example; what is given beside it comes before
    #[arg(long, value_name = "NAME")]
    example: Option<Slug>,
    /// Who the work belongs to: a user by name or uid; you by default
    #[arg(long, value_name = "USER", value_parser = Owner::parse)]
    owner: Option<Owner>,
}

impl Args {
    /// Runs the command.
    #[allow(clippy::unused_async, reason = "every command has this form")]
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (document, _) = rules(&self.file)?;
        let example = self.example.as_ref().map(|name| named(&document, name)).transpose()?;
        let labels = labels(example, self.labels)?;
        let own = Owner::Uid(rustix::process::getuid().as_raw());
        let owner = self.owner.or_else(|| example.map(|example| example.owner.clone())).unwrap_or(own);
        let principals = match example {
            Some(example) => example.case(&document).principals,
            None => document.principals.iter().collect(),
        };
        match answer(&document, &Case { labels: &labels, owner: &owner, principals }) {
            Answer::Path(path) => {
                let names: Vec<String> =
                    path.stages.iter().flat_map(|step| &step.who).map(|pick| pick.name.to_string()).collect();
                context.out.show(&path, &names, |out| told(out, &path))
            }
            Answer::Unmet(found) => Err(unmet(&found)),
            Answer::Contradiction(found) => Err(contradiction(&found)),
            Answer::TooHard => Err(too_hard()),
        }
    }
}

/// The labels of an example and those that were given, which come before.
pub(super) fn labels(
    example: Option<&Example>,
    given: Vec<(LabelKey, LabelValue)>,
) -> Result<BTreeMap<LabelKey, LabelValue>, Failure> {
    let mut labels = example.map_or_else(BTreeMap::new, |example| example.labels.clone());
    labels.extend(flags::labels(given)?);
    Ok(labels)
}

/// The example of this name.
pub(super) fn named<'a>(document: &'a GovernanceDocument, name: &Slug) -> Result<&'a Example, Failure> {
    document.examples.iter().find(|example| example.name == *name).ok_or_else(|| {
        let names: Vec<&str> = document.examples.iter().map(|example| example.name.as_str()).collect();
        let failure = Failure::not_found(format!("the rules have no example {name}"));
        match nearest(&names, name.as_str()) {
            Some(near) => failure.hint(format!("did you mean {near}?")),
            None if names.is_empty() => failure.hint("add [[example]]"),
            None => failure.hint(format!("examples are {}", names.join(", "))),
        }
    })
}

fn told(out: &Output, path: &Path) -> Result<(), Failure> {
    if path.stages.is_empty() {
        out.note("no rule is for a work with these labels: it has no stages");
        return Ok(());
    }
    let mut table = Table::new(["STAGE", "WHO", "KIND", "OWNER", ">COST", "MATCHED BY", "AFTER", "HANDS IN", "~RULES"]);
    let list = |names: &[Slug]| names.iter().map(Slug::as_str).collect::<Vec<_>>().join(",");
    for step in &path.stages {
        for pick in &step.who {
            let by = match pick.matched {
                MatchedBy::Demonstrated => "demonstrated",
                MatchedBy::Claimed => "claimed",
                MatchedBy::NoSkillNeeded => "no skill needed",
            };
            table.row([
                Cell::new(&step.stage),
                Cell::new(&pick.name),
                Cell::new(pick.kind.as_str()),
                Cell::new(pick.owner.to_string()),
                Cell::new(money(pick.cost_micro_usd)),
                Cell::new(by),
                Cell::new(list(&step.after)),
                Cell::new(list(&step.evidence)),
                Cell::new(list(&step.rules)),
            ]);
        }
    }
    out.table(&table)?;
    out.line(format!("all of it costs {}", money(path.cost_micro_usd)))?;
    others(out, path)
}

/// Who does not do a stage, those whom a rule keeps from it last.
fn others(out: &Output, path: &Path) -> Result<(), Failure> {
    let mut table = Table::new(["STAGE", "NOT", "~WHY"]);
    let mut left = 0;
    for step in &path.stages {
        let mut others: Vec<_> = step.others.iter().collect();
        others.sort_by_key(|other| other.barred);
        left += others.len().saturating_sub(SHOWN);
        for other in others.into_iter().take(SHOWN) {
            table.row([Cell::new(&step.stage), Cell::new(&other.name), Cell::new(&other.why)]);
        }
    }
    if table.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.table(&table)?;
    if left > 0 {
        out.note(format!("{left} more; --json has all"));
    }
    Ok(())
}

/// An amount that many stages may bring above what one account can hold.
fn money(micro: u64) -> String {
    MicroUsd::new(micro).map_or_else(|_| format!("{micro} micro-USD"), |amount| Usd(amount).to_string())
}
