//! `agentctl slo remove`

use agentd_schemas::unit::name::Slug;

use crate::context::Context;
use crate::error::Failure;
use crate::presence::govern;

/// Remove an objective
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl slo remove payments")]
pub(crate) struct Args {
    /// The objective
    name: Slug,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        govern::<_, ()>(context.objectives().await?.inner(), "Remove", &(self.name.as_str(),)).await?;
        context.out.done("objective", self.name.as_str(), &format!("objective {} is removed", self.name))
    }
}
