//! `agentctl run cost`

use agentd_schemas::event::AmountSource;
use agentd_schemas::http::RunStatus;
use agentd_schemas::http::run::RunCost;
use agentd_schemas::unit::money::Usd;

use super::own::{OwnRun, answered, key};
use crate::command;
use crate::context::Context;
use crate::error::Failure;

/// Say what was spent; it is recorded also above a limit
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl run cost --tokens 3210 --money 0.02usd --model gpt-5")]
pub(crate) struct Args {
    /// Tokens
    #[arg(long, value_name = "N", default_value_t = 0)]
    tokens: u64,
    /// Money, as in 0.02usd; nothing is said of it where there is no price
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true, value_parser = command::money)]
    money: Option<Usd>,
    /// The model that answered
    #[arg(long)]
    model: Option<String>,
    /// The reservation that it settles
    #[arg(long, value_name = "N")]
    reservation: Option<u64>,
    /// It is an estimate
    #[arg(long)]
    estimated: bool,
    /// Idempotency key of this run: what is said again under it counts once
    #[arg(long)]
    key: Option<String>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let cost = RunCost {
            reservation: self.reservation,
            micro_usd: self.money.map(|money| money.0.as_micro()),
            tokens: self.tokens,
            source: self.estimated.then_some(AmountSource::Estimated),
            effective_model: self.model,
            key: key(self.key)?,
        };
        let status: RunStatus = OwnRun::here()?.post("cost", &cost).await?;
        answered(context, &status, "recorded")
    }
}
