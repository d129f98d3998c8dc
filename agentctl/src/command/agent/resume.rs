//! `agentctl agent resume`

use agentd_schemas::unit::name::Slug;

use crate::command;
use crate::context::Context;
use crate::error::Failure;
use crate::presence::govern;

/// Give a paused or suspended agent work again
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl agent resume fixer --reason 'looked into it'")]
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
        govern::<_, ()>(context.agents().await?.inner(), "SetState", &(self.name.as_str(), "resume", &self.reason))
            .await?;
        context.out.done("agent", self.name.as_str(), &format!("agent {} is resumed", self.name))
    }
}
