//! `agentctl config apply`

use std::path::PathBuf;

use serde::Serialize;

use crate::context::Context;
use crate::declared::{self, Change, FOLDER, Kind};
use crate::error::Failure;

/// Make agents, schedules and budgets what the files declare
///
/// Every file is checked first, and nothing is done where one is malformed. Where operators have to prove that they are there,
/// that comes next, once for all. A second apply does nothing. What is no longer declared stays, unless --prune is given.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl config apply\n  agentctl config apply --dir ./host --prune")]
pub(crate) struct Args {
    /// The folder with agents.d, schedules.d and budgets.d
    #[arg(long, value_name = "DIR", default_value = FOLDER)]
    dir: PathBuf,
    /// Retire agents, remove schedules and lift limits that were declared and are no longer
    #[arg(long)]
    prune: bool,
}

/// What was done, and what was left alone.
#[derive(Serialize)]
struct Outcome<'a> {
    applied: &'a [Change],
    left: &'a [Change],
    /// As in a diff.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    hidden: &'a [String],
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let declared = declared::read(&self.dir, rustix::process::geteuid().as_raw())?;
        let plan = declared::plan(context, &declared).await?;
        plan.tell_hidden(context);
        let hidden = plan.hidden;
        let (left, to_do): (Vec<Change>, Vec<Change>) =
            plan.changes.into_iter().partition(|change| change.change == Kind::Undeclared && !self.prune);
        // A plan is not left in its middle because nobody is there.
        declared::prove(context, &to_do).await?;
        let mut done = 0;
        let mut failed = None;
        for change in &to_do {
            if let Err(failure) = declared::apply(context, change).await {
                failed = Some(failure);
                break;
            }
            done += 1;
        }
        let applied = to_do.get(..done).unwrap_or_default();
        let names: Vec<String> = applied.iter().map(|change| change.name.clone()).collect();
        context.out.show(&Outcome { applied, left: &left, hidden: &hidden }, &names, |out| {
            applied.iter().try_for_each(|change| super::told(out, change, ""))?;
            match (to_do.is_empty(), !hidden.is_empty()) {
                (true, false) => out.line("nothing to do: all is as declared"),
                (true, true) => out.line("nothing to do: all that is shown to you is as declared"),
                (false, _) => Ok(()),
            }
        })?;
        for change in &left {
            context.out.note(format!("{} ({}) is no longer declared, and stays", change.name, change.file));
        }
        if !left.is_empty() {
            context.out.hint("agentctl config apply --prune retires, removes and lifts what is no longer declared");
        }
        match failed {
            None => Ok(()),
            Some(failure) if done == 0 => Err(failure),
            Some(failure) => Err(failure.hint_too("what stands above is done; another apply goes on from here")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_shown_to_the_caller_stands_in_json_too() {
        let json = |hidden: &[String]| serde_json::to_string(&Outcome { applied: &[], left: &[], hidden }).unwrap();
        assert_eq!(json(&[]), r#"{"applied":[],"left":[]}"#);
        let hidden = ["host/day (budgets.d/host.toml)".to_owned()];
        assert_eq!(json(&hidden), r#"{"applied":[],"left":[],"hidden":["host/day (budgets.d/host.toml)"]}"#);
    }
}
