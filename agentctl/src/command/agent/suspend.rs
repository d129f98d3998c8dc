//! `agentctl agent suspend`

use agentd_schemas::unit::name::Slug;

use crate::command;
use crate::context::Context;
use crate::error::Failure;
use crate::presence::govern;

/// Shut an agent out at once: its tokens are void and its runs end
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl agent suspend fixer --reason 'its key may have leaked'")]
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
        govern::<_, ()>(context.agents().await?.inner(), "SetState", &(self.name.as_str(), "suspend", &self.reason))
            .await?;
        context.out.done("agent", self.name.as_str(), &format!("agent {} is suspended", self.name))
    }
}
