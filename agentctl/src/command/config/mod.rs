//! A declared host: what files say it should be, and making it so.

mod apply;
mod diff;

use crate::declared::{Change, Kind, What};
use crate::error::Failure;
use crate::output::{Colour, Output, plain};

/// What to do with declarations.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Diff(diff::Args),
    Apply(apply::Args),
}

dispatch!(Command { Diff Apply });

/// One difference in words, with its fields.
fn told(out: &Output, change: &Change, behind: &str) -> Result<(), Failure> {
    let (sign, colour) = match change.change {
        Kind::Create => ("+", Colour::Green),
        Kind::Change => ("~", Colour::Yellow),
        Kind::Undeclared => ("-", Colour::Red),
    };
    let kind = match change.kind {
        What::Agent => "agent",
        What::Budget => "budget",
        What::Schedule => "schedule",
    };
    let (name, file) = (plain(&change.name), plain(&change.file));
    out.line(format!("{} {kind} {name} ({file}){behind}", out.paint(colour, sign)))?;
    let word = |value: &Option<serde_json::Value>| {
        value.as_ref().map_or_else(|| "nothing".to_owned(), |value| plain(&value.to_string()))
    };
    change.fields.iter().try_for_each(|field| {
        out.line(format!("    {}: {} -> {}", plain(&field.field), word(&field.from), word(&field.to)))
    })
}
