//! `agentctl run reserve`

use agentd_schemas::http::RunStatus;
use agentd_schemas::http::run::RunReserve;
use agentd_schemas::unit::money::Usd;

use super::own::{OwnRun, answered, key};
use crate::command;
use crate::context::Context;
use crate::error::Failure;

/// Set money and tokens aside before they are spent; prints the number of the reservation
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl run reserve --tokens 8000")]
pub(crate) struct Args {
    /// Tokens
    #[arg(long, value_name = "N", default_value_t = 0)]
    tokens: u64,
    /// Money, as in 0.02usd
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true, value_parser = command::money)]
    money: Option<Usd>,
    /// Idempotency key of this run: what is said again under it counts once
    #[arg(long)]
    key: Option<String>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let reserve = RunReserve {
            micro_usd: self.money.map_or(0, |money| money.0.as_micro()),
            tokens: self.tokens,
            key: key(self.key)?,
        };
        let status: RunStatus = OwnRun::here()?.post("reserve", &reserve).await?;
        let words = status.reservation.map_or_else(|| "not reserved".to_owned(), |index| index.to_string());
        answered(context, &status, &words)
    }
}
