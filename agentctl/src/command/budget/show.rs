//! `agentctl budget show`

use agentd_schemas::document::request::Period;
use agentd_schemas::view::AccountView;

use crate::context::{Context, read};
use crate::error::Failure;
use crate::output::{Cell, Output, Table};

/// Show accounts: limit, spent, set aside
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl budget show")]
pub(crate) struct Args {}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let accounts: Vec<AccountView> = read(&context.host().await?.accounts().await?)?;
        let names: Vec<String> = accounts.iter().map(|account| account.account.clone()).collect();
        context.out.show(&accounts, &names, |out| table(out, &accounts))
    }
}

fn table(out: &Output, accounts: &[AccountView]) -> Result<(), Failure> {
    let mut table = Table::new([
        "~ACCOUNT",
        "PER",
        "PERIOD",
        ">SPENT",
        ">SET ASIDE",
        ">LIMIT",
        ">TOKENS",
        ">SET ASIDE",
        ">LIMIT",
        "LIMIT IS",
    ]);
    for account in accounts {
        table.row([
            Cell::new(&account.account),
            Cell::new(match account.period {
                Period::Day => "day",
                Period::Month => "month",
            }),
            Cell::new(&account.name),
            account.spent.into(),
            account.reserved.into(),
            Cell::new(account.max_cost.map_or_else(|| "none".to_owned(), |limit| limit.to_string())),
            account.tokens.into(),
            account.reserved_tokens.into(),
            Cell::new(account.max_tokens.map_or_else(|| "none".to_owned(), |limit| limit.to_string())),
            Cell::new(&account.limit_source),
        ]);
    }
    if table.is_empty() {
        out.note("no accounts");
        return Ok(());
    }
    out.table(&table)
}
