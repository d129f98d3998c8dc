//! `agentctl completions`

use clap_complete::Shell;

use crate::context::Context;
use crate::error::Failure;

/// Write completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl completions bash > ~/.local/share/bash-completion/completions/agentctl")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

impl Args {
    /// Runs the command.
    #[allow(clippy::unused_async, reason = "every command has this form")]
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut crate::cli::definition(), "agentctl", &mut text);
        context.out.raw(&text)
    }
}
