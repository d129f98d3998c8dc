//! `agentctl retry`

use crate::command;
use crate::context::Context;
use crate::error::Failure;
use crate::latest;
use crate::presence::govern;

/// Give a work that failed, expired or was cancelled one more attempt
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl retry w-7kq --reason 'the registry is back'")]
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
        let id: String = govern(context.works().await?.inner(), "Retry", &(&work, &self.reason)).await?;
        context.out.done("work", &id, &format!("retried {id}"))
    }
}
