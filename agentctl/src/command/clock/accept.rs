//! `agentctl clock accept`

use crate::command;
use crate::context::Context;
use crate::error::Failure;
use crate::presence::govern;

/// Let what the clock triggers go on after a jump
///
/// agentd holds schedules, deadlines and service levels when the wall clock moved more than an hour by itself, until
/// somebody looked at it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl clock accept --reason 'the time is right now'")]
pub(crate) struct Args {
    /// Why; kept in the log
    #[arg(long, short, value_name = "TEXT", value_parser = command::reason)]
    reason: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        govern::<_, ()>(context.host().await?.inner(), "AcceptClock", &(&self.reason,)).await?;
        context.out.done("clock", "accepted", "the clock is accepted; what it triggers goes on")
    }
}
