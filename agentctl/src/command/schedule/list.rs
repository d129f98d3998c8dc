//! `agentctl schedule list`

use agentd_schemas::view::{ScheduleView, TickView};

use crate::context::{Context, read};
use crate::error::Failure;
use crate::output::{Cell, Output, Table};

/// List schedules
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl schedule list")]
pub(crate) struct Args {}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let schedules: Vec<ScheduleView> = read(&context.schedules().await?.list().await?)?;
        let ids: Vec<String> = schedules.iter().map(|schedule| schedule.id.to_string()).collect();
        context.out.show(&schedules, &ids, |out| table(out, &schedules))
    }
}

fn table(out: &Output, schedules: &[ScheduleView]) -> Result<(), Failure> {
    let mut table = Table::new(["~NAME", "STATE", "~CRON", "~ZONE", "NEXT", ">DONE", ">SKIPPED", "~LAST"]);
    for schedule in schedules {
        table.row([
            Cell::new(&schedule.name),
            Cell::state(&schedule.state),
            Cell::new(&schedule.cron),
            Cell::new(&schedule.time_zone),
            schedule.next.map_or_else(|| Cell::new("-"), |next| Cell::time(out, next)),
            schedule.submitted.into(),
            schedule.skipped.into(),
            Cell::maybe(schedule.last.as_ref().map(last)),
        ]);
    }
    if table.is_empty() {
        out.note("no schedules");
        return Ok(());
    }
    out.table(&table)
}

/// What came of the last tick.
fn last(tick: &TickView) -> String {
    match (&tick.work, &tick.skipped) {
        (Some(work), _) => work.to_string(),
        (None, Some(why)) => format!("skipped: {}", why.replace('_', " ")),
        (None, None) => "-".to_owned(),
    }
}
