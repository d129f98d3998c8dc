//! `agentctl work raise`

use agentd_schemas::document::request::Raise;
use agentd_schemas::document::work::MAX_ATTEMPTS;
use agentd_schemas::unit::money::Usd;
use clap::ArgGroup;

use crate::context::{Context, document};
use crate::error::Failure;
use crate::latest;
use crate::presence::govern;

/// Raise the limits of a work; a run that waits for budget goes on
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("limit").required(true).multiple(true).args(["max_cost", "max_tokens", "max_attempts"]),
    after_help = "Example:\n  agentctl work raise w-7kq --max-cost 3usd"
)]
pub(crate) struct Args {
    /// The work: an id, a unique prefix of one, or @
    work: String,
    /// Money over all attempts, as in 3usd
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true, value_parser = crate::command::money)]
    max_cost: Option<Usd>,
    /// Tokens over all attempts
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = crate::command::whole(0..=u64::MAX))]
    max_tokens: Option<u64>,
    /// Attempts in all
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = crate::command::whole(1..=MAX_ATTEMPTS))]
    max_attempts: Option<u32>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let work = latest::named(context, &self.work).await?;
        let raise = Raise { max_cost: self.max_cost, max_tokens: self.max_tokens, max_attempts: self.max_attempts };
        let id: String = govern(context.works().await?.inner(), "Raise", &(&work, document(&raise)?)).await?;
        context.out.done("work", &id, &format!("raised the limits of {id}"))
    }
}
