//! `agentctl schedule remove`

use crate::context::Context;
use crate::error::Failure;
use crate::presence::govern;

/// Remove a schedule; its works stay
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl schedule remove nightly")]
pub(crate) struct Args {
    /// The schedule: its name, or a unique prefix of its id
    schedule: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        govern::<_, ()>(context.schedules().await?.inner(), "Remove", &(&self.schedule,)).await?;
        context.out.done("schedule", &self.schedule, &format!("schedule {} is removed", self.schedule))
    }
}
