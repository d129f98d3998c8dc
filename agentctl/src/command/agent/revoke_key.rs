//! `agentctl agent revoke-key`

use agentd_schemas::unit::name::Slug;

use crate::command;
use crate::context::Context;
use crate::error::Failure;
use crate::presence::govern;

/// Revoke the key of an agent; it needs a new one to go on
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl agent revoke-key fixer --reason 'the laptop was stolen'")]
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
        govern::<_, ()>(context.agents().await?.inner(), "RevokeKey", &(self.name.as_str(), &self.reason)).await?;
        context.out.done("agent", self.name.as_str(), &format!("the key of agent {} is revoked", self.name))?;
        context.out.hint(format!("agentctl agent rotate-key {} --reason …", self.name));
        Ok(())
    }
}
