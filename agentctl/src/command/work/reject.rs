//! `agentctl reject`

use crate::command;
use crate::context::Context;
use crate::error::Failure;
use crate::latest;
use crate::presence::govern;

/// Refuse a result that waits for a person; the next attempt is told why
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl reject w-7kq --reason 'the summary misses the third issue'")]
pub(crate) struct Args {
    /// The work: an id, a unique prefix of one, or @
    work: String,
    /// Why; kept with the work
    #[arg(long, short, value_name = "TEXT", value_parser = command::reason)]
    reason: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let work = latest::named(context, &self.work).await?;
        let id: String = govern(context.works().await?.inner(), "Reject", &(&work, &self.reason)).await?;
        context.out.done("work", &id, &format!("rejected {id}"))
    }
}
