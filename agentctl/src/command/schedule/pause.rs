//! `agentctl schedule pause`

use crate::command;
use crate::context::Context;
use crate::error::Failure;
use crate::presence::govern;

/// Skip the ticks of a schedule until it is resumed
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl schedule pause nightly --reason 'holidays'")]
pub(crate) struct Args {
    /// The schedule: its name, or a unique prefix of its id
    schedule: String,
    /// Why; kept in the log
    #[arg(long, short, value_name = "TEXT", value_parser = command::reason)]
    reason: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        govern::<_, ()>(context.schedules().await?.inner(), "Pause", &(&self.schedule, &self.reason)).await?;
        context.out.done("schedule", &self.schedule, &format!("schedule {} is paused", self.schedule))
    }
}
