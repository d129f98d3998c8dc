//! `agentctl schedule resume`

use crate::context::Context;
use crate::error::Failure;

/// Let a paused schedule go on
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl schedule resume nightly")]
pub(crate) struct Args {
    /// The schedule: its name, or a unique prefix of its id
    schedule: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        context.schedules().await?.resume(&self.schedule).await?;
        context.out.done("schedule", &self.schedule, &format!("schedule {} goes on", self.schedule))
    }
}
