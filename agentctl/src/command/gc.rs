//! `agentctl gc`

use agentd_schemas::dbus::HostProxy;
use agentd_schemas::view::GarbageView;

use crate::context::{Context, read};
use crate::error::Failure;
use crate::output::{Cell, Output, Table, bytes, count};
use crate::presence::govern;

/// Remove workspaces, artefacts and handed-in content whose time is over
///
/// The ledger is never touched, nor is anything of a work that runs or that is on hold.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl gc --dry-run")]
pub(crate) struct Args {
    /// Say what would be removed and remove nothing
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        // Large workspaces take their time.
        let reached = context.anew(None).await?;
        let view: GarbageView = read(
            &govern::<_, String>(
                HostProxy::new(&reached.connection).await?.inner(),
                "CollectGarbage",
                &(self.dry_run,),
            )
            .await?,
        )?;
        let names: Vec<String> = view.removed.iter().map(|row| row.what.clone()).collect();
        context.out.show(&view, &names, |out| words(out, &view))?;
        for failed in &view.failed {
            context.out.note(format!("not removed: {failed}"));
        }
        if view.failed.is_empty() { Ok(()) } else { Err(Failure::silent(1)) }
    }
}

fn words(out: &Output, view: &GarbageView) -> Result<(), Failure> {
    let mut table = Table::new(["~WHAT", ">SIZE"]);
    for row in &view.removed {
        table.row([Cell::new(&row.what), Cell::new(bytes(row.bytes))]);
    }
    if !table.is_empty() {
        out.table(&table)?;
    }
    let things = count(view.removed.len() as u64, "thing");
    match (view.removed.is_empty(), view.dry_run) {
        (true, _) => out.note("nothing is over its time"),
        (false, true) => out.note(format!("{things}, {} would be removed; nothing was (--dry-run)", bytes(view.bytes))),
        (false, false) => out.note(format!("{things} removed, {}", bytes(view.bytes))),
    }
    Ok(())
}
