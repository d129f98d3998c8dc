//! `agentctl man`

use std::path::PathBuf;

use crate::context::Context;
use crate::error::{Failure, said};

/// Write the manual pages
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl man | man -l -\n  agentctl man ~/.local/share/man/man1")]
pub(crate) struct Args {
    /// Write a page for each command into this directory; without, the page of agentctl to stdout
    directory: Option<PathBuf>,
}

impl Args {
    /// Runs the command.
    #[allow(clippy::unused_async, reason = "every command has this form")]
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let command = crate::cli::definition();
        let Some(directory) = self.directory else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            return context.out.raw(&page);
        };
        let failed = |error: std::io::Error| {
            Failure::local(format!("cannot write into {}: {}", directory.display(), said(&error)))
        };
        std::fs::create_dir_all(&directory).map_err(failed)?;
        clap_mangen::generate_to(command, &directory).map_err(failed)?;
        let name = directory.display().to_string();
        let view = serde_json::json!({ "directory": name });
        context
            .out
            .show(&view, std::slice::from_ref(&name), |out| out.line(format!("{name}: a page for each command")))?;
        context.out.hint("man -l FILE shows one of them");
        Ok(())
    }
}
