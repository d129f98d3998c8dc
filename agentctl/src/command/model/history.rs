//! `agentctl model history`

use agentd_schemas::unit::name::Slug;
use agentd_schemas::view::EpochView;

use crate::command::agent::show::model;
use crate::context::{Context, read};
use crate::error::Failure;
use crate::output::{Cell, Output, Table};

/// Show the models of an agent, oldest first, with what it did in each epoch
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl model history fixer")]
pub(crate) struct Args {
    /// The agent
    name: Slug,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let epochs: Vec<EpochView> = read(&context.agents().await?.model_history(self.name.as_str()).await?)?;
        let ids: Vec<String> = epochs.iter().map(|epoch| epoch.epoch.to_string()).collect();
        context.out.show(&epochs, &ids, |out| table(out, &epochs))
    }
}

fn table(out: &Output, epochs: &[EpochView]) -> Result<(), Failure> {
    let mut table = Table::new([">EPOCH", "SINCE", "~MODEL", ">DONE", ">FAILED", ">SPENT", "BY", ">EVENT", "~REASON"]);
    for epoch in epochs {
        table.row([
            epoch.epoch.into(),
            Cell::time(out, epoch.since),
            Cell::maybe(epoch.to.as_ref().map(model)),
            epoch.completed.into(),
            epoch.failed.into(),
            epoch.spent.into(),
            Cell::new(&epoch.actor),
            epoch.event.into(),
            Cell::new(&epoch.reason),
        ]);
    }
    out.table(&table)
}
