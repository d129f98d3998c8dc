//! `agentctl run artefacts`

use agentd_schemas::http::run::RunArtefacts;

use super::own::OwnRun;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Cell, Table};

/// List the artefacts that were handed in
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl run artefacts --json")]
pub(crate) struct Args {}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let handed: RunArtefacts = OwnRun::here()?.get("/v1/run/artefacts").await?;
        let names: Vec<String> = handed.artefacts.iter().map(|artefact| artefact.name.clone()).collect();
        context.out.show(&handed.artefacts, &names, |out| {
            let mut table = Table::new(["NAME", ">BYTES", "SHA256"]);
            for artefact in &handed.artefacts {
                table.row([Cell::new(&artefact.name), artefact.bytes.into(), Cell::new(&artefact.sha256)]);
            }
            out.table(&table)
        })
    }
}
