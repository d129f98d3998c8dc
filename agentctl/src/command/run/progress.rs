//! `agentctl run progress`

use agentd_schemas::http::RunStatus;
use agentd_schemas::http::run::RunProgress;

use super::own::{OwnRun, answered};
use crate::context::Context;
use crate::error::Failure;

/// Say in one line what the run does now
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl run progress 'testing, 3 of 7'")]
pub(crate) struct Args {
    /// One short line
    text: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let status: RunStatus = OwnRun::here()?.post("progress", &RunProgress { text: self.text }).await?;
        answered(context, &status, "noted")
    }
}
