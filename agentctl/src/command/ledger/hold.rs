//! `agentctl ledger hold`

use crate::command;
use crate::context::Context;
use crate::error::Failure;
use crate::latest;
use crate::presence::govern;

/// Keep the content of a work from redaction and retention, or no longer
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  agentctl ledger hold w-7kq --reason 'audit 12'\n  agentctl ledger hold w-7kq --lift --reason 'audit 12 is over'"
)]
pub(crate) struct Args {
    /// The work: an id, a unique prefix of one, or @
    work: String,
    /// Keep it no longer
    #[arg(long)]
    lift: bool,
    /// Why; kept in the log
    #[arg(long, short, value_name = "TEXT", value_parser = command::reason)]
    reason: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let work = latest::named(context, &self.work).await?;
        govern::<_, ()>(context.ledger().await?.inner(), "Hold", &(&work, !self.lift, &self.reason)).await?;
        let words = if self.lift { "may be erased again" } else { "is kept" };
        context.out.done("work", &work, &format!("content of {work} {words}"))
    }
}
