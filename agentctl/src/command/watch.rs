//! `agentctl watch`

use super::ledger;
use crate::context::Context;
use crate::error::Failure;
use crate::{latest, wait};

/// Watch works until they are over, or everything as it happens
///
/// With works: shows their progress and prints the result; exits with 7 when one did not complete. Ctrl-C detaches and
/// cancels nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl watch @\n  agentctl watch")]
pub(crate) struct Args {
    /// Works: ids, unique prefixes of them, or @; everything without
    works: Vec<String>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        if self.works.is_empty() {
            return ledger::log::Args::newest(10, true).run(context).await;
        }
        let mut ids = Vec::new();
        for work in &self.works {
            let id = latest::work_id(context, work).await?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let views = wait::until_over(context, &ids).await?;
        wait::finish(context, &views).await
    }
}
