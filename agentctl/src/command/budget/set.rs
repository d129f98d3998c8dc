//! `agentctl budget set`

use agentd_schemas::document::request::{AccountLimit, Period};
use agentd_schemas::unit::money::Usd;
use clap::ArgGroup;

use crate::command::word;
use crate::context::{Context, document};
use crate::error::Failure;
use crate::presence::govern;

/// Set the limits of an account
///
/// A limit that is not given stays as it is; 0 allows nothing. One that is removed gives way to the configured one,
/// where there is one.
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("limit").required(true).multiple(true).args(["max_cost", "no_max_cost", "max_tokens", "no_max_tokens"]),
    after_help = "Examples:\n  agentctl budget set owner:1000 --per day --max-cost 30usd\n  agentctl budget set agent:fixer --per month --max-tokens 50000000\n  agentctl budget set agent:fixer --per month --no-max-tokens"
)]
pub(crate) struct Args {
    /// host, owner:UID or agent:NAME
    account: String,
    /// The period that the limits are for
    #[arg(long, value_name = "PERIOD", value_parser = word::<Period>(&["day", "month"]))]
    per: Period,
    /// Money, as in 30usd
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true, value_parser = crate::command::money)]
    max_cost: Option<Usd>,
    /// Tokens
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = crate::command::whole(0..=u64::MAX))]
    max_tokens: Option<u64>,
    /// Remove the limit of money that was set
    #[arg(long, conflicts_with = "max_cost")]
    no_max_cost: bool,
    /// Remove the limit of tokens
    #[arg(long, conflicts_with = "max_tokens")]
    no_max_tokens: bool,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let Self { account, per: period, max_cost, max_tokens, no_max_cost, no_max_tokens } = self;
        let limit = AccountLimit { account, period, max_cost, max_tokens, no_max_cost, no_max_tokens, declared: None };
        govern::<_, ()>(context.host().await?.inner(), "SetAccountLimit", &(document(&limit)?,)).await?;
        context.out.done("account", &limit.account, &format!("the limits of {} are set", limit.account))
    }
}
