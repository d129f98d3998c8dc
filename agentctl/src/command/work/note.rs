//! `agentctl work note`

use crate::context::Context;
use crate::error::Failure;
use crate::latest;
use crate::presence::govern;

/// Add a note to a work
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl work note w-7kq 'the failing test is tests/retry.rs'")]
pub(crate) struct Args {
    /// The work: an id, a unique prefix of one, or @
    work: String,
    /// The note
    text: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let work = latest::named(context, &self.work).await?;
        let id: String = govern(context.works().await?.inner(), "Note", &(&work, &self.text)).await?;
        context.out.done("work", &id, &format!("noted on {id}"))
    }
}
