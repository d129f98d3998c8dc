//! `agentctl agent probation`

use agentd_schemas::unit::name::Slug;
use agentd_schemas::view::AgentView;

use crate::command;
use crate::context::{Context, read};
use crate::error::Failure;
use crate::presence::govern;

/// Put an agent on probation again: what it shows counts from nothing
///
/// For an agent that was repaired: one whose skill fell below its bound gets work again. A new epoch begins; what it did before stays in
/// its history. Until enough of its works were judged it holds one at a time. One that is paused stays so until `agent resume`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl agent probation fixer --reason 'reads the verdicts now'")]
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
        let agents = context.agents().await?;
        govern::<_, ()>(agents.inner(), "SetState", &(self.name.as_str(), "probation", &self.reason)).await?;
        context.out.done(
            "agent",
            self.name.as_str(),
            &format!("what agent {} shows counts from nothing", self.name),
        )?;
        let view: AgentView = read(&agents.show(self.name.as_str()).await?)?;
        if let Some(state @ ("paused" | "suspended")) = Some(view.row.state.as_str()) {
            context.out.note(format!("agent {} stays {state}, and gets no work", self.name));
            context.out.hint(format!("agentctl agent resume {} --reason '…'", self.name));
        }
        Ok(())
    }
}
