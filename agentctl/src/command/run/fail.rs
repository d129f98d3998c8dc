//! `agentctl run fail`

use agentd_schemas::event::WorkState;
use agentd_schemas::http::Completed;
use agentd_schemas::http::run::RunFail;

use super::own::{OwnRun, key};
use crate::context::Context;
use crate::error::Failure;

/// Give up, and say why; another attempt follows where some are left
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl run fail 'the repository has no tests'")]
pub(crate) struct Args {
    /// Why, in words
    message: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let fail = RunFail { message: self.message, key: key(None)? };
        let done: Completed = OwnRun::here()?.post("fail", &fail).await?;
        context.out.show(&done, &[], |out| match done.state {
            WorkState::Scheduled => out.line("given up; another attempt follows"),
            _ => out.line("given up"),
        })
    }
}
