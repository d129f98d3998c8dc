//! `agentctl ledger redact`

use crate::command;
use crate::context::Context;
use crate::error::Failure;

/// Erase one piece of content for ever; the log goes on to prove the rest
///
/// The event stays, with its commitment; the content and its salt are gone. Backups and exports made before still hold
/// them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl ledger show 17\n  agentctl ledger redact 17 0 --reason 'held a password'")]
pub(crate) struct Args {
    /// Index of the event in the log
    event: u64,
    /// Which of its contents, from 0
    slot: u8,
    /// Why; kept in the log
    #[arg(long, short, value_name = "TEXT", value_parser = command::reason)]
    reason: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        context.ledger().await?.redact(self.event, self.slot, &self.reason).await?;
        let words = format!("erased content {} of event {}", self.slot, self.event);
        context.out.done("event", &self.event.to_string(), &words)
    }
}
