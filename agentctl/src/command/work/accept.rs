//! `agentctl accept`

use crate::context::Context;
use crate::error::Failure;
use crate::latest;
use crate::presence::govern;

/// Accept a result that waits for a person
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl work show w-7kq\n  agentctl accept w-7kq --note 'read and checked'")]
pub(crate) struct Args {
    /// The work: an id, a unique prefix of one, or @
    work: String,
    /// What to keep with the decision
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let work = latest::named(context, &self.work).await?;
        let id: String = govern(context.works().await?.inner(), "Accept", &(&work, &self.note)).await?;
        context.out.done("work", &id, &format!("accepted {id}"))
    }
}
