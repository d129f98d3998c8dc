//! `agentctl run ask`

use std::time::Duration;

use agentd_schemas::http::run::{RunDocument, RunNote};
use agentd_schemas::http::{Directive, RunStatus};

use super::own::{OwnRun, answered, key};
use crate::context::Context;
use crate::error::Failure;
use crate::output::plain_lines;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Ask a person; the run waits until somebody answers, and its clock stands still
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  agentctl run ask 'Which of the two formats?'\n  agentctl run ask 'May I drop the old table?' --wait"
)]
pub(crate) struct Args {
    /// The question
    text: String,
    /// Wait for the answer, and print it
    #[arg(long, short)]
    wait: bool,
    /// Idempotency key of this run: what is said again under it counts once
    #[arg(long)]
    key: Option<String>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let run = OwnRun::here()?;
        let before: RunDocument = run.get("/v1/run").await?;
        let note = RunNote { text: self.text, key: key(self.key)? };
        let mut status: RunStatus = run.post("ask", &note).await?;
        if !self.wait {
            return answered(context, &status, "asked");
        }
        while status.directive != Directive::Continue {
            tokio::time::sleep(PAUSE).await;
            status = run.get::<RunDocument>("/v1/run").await?.status;
        }
        let known = before.status.notes.len().min(status.notes.len());
        let answers = &status.notes[known..];
        context.out.show(&answers, &[], |out| answers.iter().try_for_each(|answer| out.line(plain_lines(answer))))
    }
}
