//! `agentctl policy check`

use std::path::PathBuf;

use super::arguments;
use crate::context::Context;
use crate::daemon_program;
use crate::error::Failure;

/// Check policies as a reload would, without loading them
///
/// Syntax, every name against the schema, and the example requests beside each file. agentd does it, with no daemon running;
/// what is wrong is told with its file, line and column.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl policy check\n  agentctl policy check nights.cedar")]
pub(crate) struct Args {
    /// Files or folders; the policies of this host without
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let told = daemon_program::output(&arguments(context, "check", self.paths).await)?;
        context.out.raw(told.as_bytes())
    }
}
