//! `agentctl agent activate`

use agentd_schemas::unit::name::Slug;

use crate::command;
use crate::context::Context;
use crate::error::Failure;
use crate::presence::govern;

/// End the probation of an agent
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl agent activate fixer --reason 'watched it work'")]
pub(crate) struct Args {
    /// The agent
    name: Slug,
    /// Why; kept with the agent
    #[arg(long, short, value_name = "TEXT", value_parser = command::reason)]
    reason: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        govern::<_, ()>(context.agents().await?.inner(), "SetState", &(self.name.as_str(), "activate", &self.reason))
            .await?;
        context.out.done("agent", self.name.as_str(), &format!("agent {} is active", self.name))
    }
}
