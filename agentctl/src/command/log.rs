//! `agentctl log`: the story of a work, or the event log.

use super::{ledger, work};
use crate::context::Context;
use crate::error::Failure;

/// Tell the story of one work, or show the event log
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl log @ -f\n  agentctl log -n 20")]
pub(crate) struct Args {
    /// The work: an id, a unique prefix of one, or @; the whole log without
    work: Option<String>,
    /// Go on as events come, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// With the index of each event and what it keeps beside the log, as `ledger redact` takes them
    #[arg(long, requires = "work")]
    indexes: bool,
    /// Of the whole log, the newest so many events
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, allow_hyphen_values = true, value_parser = crate::command::at_least_one(), conflicts_with = "work")]
    limit: u32,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self.work {
            Some(work) => work::log::Args::new(work, self.follow, self.indexes).run(context).await,
            None => ledger::log::Args::newest(self.limit, self.follow).run(context).await,
        }
    }
}
