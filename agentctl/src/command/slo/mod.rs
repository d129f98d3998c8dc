//! Service-level objectives: `agentctl slo` alone lists them.

mod list;
mod remove;
mod set;

use crate::context::Context;
use crate::error::Failure;

/// Show objectives with attainment, error budget left and burn rate; set and remove them
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  agentctl slo\n  agentctl slo set nightly --target 99.5 --window 28d --label team=payments"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do with objectives.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List objectives and how they stand
    List(list::Args),
    /// Set an objective for a class of work
    Set(set::Args),
    /// Remove an objective
    Remove(remove::Args),
}

dispatch!(Command { List Set Remove });

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        self.command.unwrap_or(Command::List(list::Args {})).run(context).await
    }
}
