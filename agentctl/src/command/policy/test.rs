//! `agentctl policy test`

use std::path::PathBuf;

use super::arguments;
use crate::context::Context;
use crate::daemon_program;
use crate::error::Failure;

/// Run the example requests of policies, and print what came of each
///
/// Those of the defaults are run as well, against the defaults. Exit code 1 where one did not get its answer.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl policy test\n  agentctl policy test nights.cedar")]
pub(crate) struct Args {
    /// Files or folders; the policies of this host without
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        Err(daemon_program::become_it(&arguments(context, "test", self.paths).await))
    }
}
