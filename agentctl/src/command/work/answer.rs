//! `agentctl work answer`

use crate::context::Context;
use crate::error::Failure;
use crate::latest;
use crate::presence::govern;

/// Answer a run that asked a person
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl work answer w-7kq 'use the staging account'")]
pub(crate) struct Args {
    /// The work: an id, a unique prefix of one, or @
    work: String,
    /// The answer, which the agent reads
    text: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let work = latest::named(context, &self.work).await?;
        let id: String = govern(context.works().await?.inner(), "Answer", &(&work, &self.text)).await?;
        context.out.done("work", &id, &format!("answered {id}"))
    }
}
