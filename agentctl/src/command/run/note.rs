//! `agentctl run note`

use agentd_schemas::http::RunStatus;
use agentd_schemas::http::run::RunNote;

use super::own::{OwnRun, answered, key};
use crate::context::Context;
use crate::error::Failure;

/// Leave a note for persons; it stays with the work
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl run note 'two of the tests were wrong, see the log'")]
pub(crate) struct Args {
    /// The note
    text: String,
    /// Idempotency key of this run: what is said again under it counts once
    #[arg(long)]
    key: Option<String>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let note = RunNote { text: self.text, key: key(self.key)? };
        let status: RunStatus = OwnRun::here()?.post("note", &note).await?;
        answered(context, &status, "noted")
    }
}
