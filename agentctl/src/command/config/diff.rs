//! `agentctl config diff`

use std::path::PathBuf;

use crate::context::Context;
use crate::declared::{self, FOLDER, Kind};
use crate::error::Failure;

/// Show what is otherwise than the files declare
///
/// Files in agents.d, schedules.d and budgets.d of the folder say what there should be. Exit code 0 where all is as declared,
/// 1 where something differs, 2 where a file is malformed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl config diff\n  agentctl config diff --dir ./host --json")]
pub(crate) struct Args {
    /// The folder with agents.d, schedules.d and budgets.d
    #[arg(long, value_name = "DIR", default_value = FOLDER)]
    dir: PathBuf,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let declared = declared::read(&self.dir, rustix::process::geteuid().as_raw())?;
        let plan = declared::plan(context, &declared).await?;
        let names: Vec<String> = plan.changes.iter().map(|change| change.name.clone()).collect();
        context.out.show(&plan, &names, |out| {
            if plan.changes.is_empty() && plan.hidden.is_empty() {
                return out.line("all is as declared");
            }
            if plan.changes.is_empty() {
                return out.line("all that is shown to you is as declared");
            }
            plan.changes.iter().try_for_each(|change| {
                let behind = if change.change == Kind::Undeclared { ": no longer declared" } else { "" };
                super::told(out, change, behind)
            })
        })?;
        plan.tell_hidden(context);
        if plan.changes.is_empty() { Ok(()) } else { Err(Failure::differs()) }
    }
}
