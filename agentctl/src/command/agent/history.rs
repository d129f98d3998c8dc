//! `agentctl agent history` and `agentctl history`

use agentd_schemas::document::request::MAX_PAGE;
use agentd_schemas::unit::name::Slug;
use agentd_schemas::view::HistoryRow;

use crate::ambient;
use crate::context::{Context, read};
use crate::error::Failure;
use crate::output::{Cell, Output, Table, elapsed};

/// Show what an agent did, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl history fixer -n 200")]
pub(crate) struct Args {
    /// The agent
    name: Slug,
    /// At most this many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, allow_hyphen_values = true, value_parser = crate::command::at_least_one())]
    limit: u32,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let agents = context.agents().await?;
        let mut rows: Vec<HistoryRow> = Vec::new();
        let mut before = 0;
        let more = loop {
            let missing = self.limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
            let asked = missing.min(MAX_PAGE);
            let page: Vec<HistoryRow> = read(&agents.history(self.name.as_str(), before, asked).await?)?;
            let is_last = page.len() < asked as usize || page.is_empty();
            before = page.last().map_or(before, |row| row.cursor);
            rows.extend(page);
            if is_last || rows.len() >= self.limit as usize {
                break !is_last;
            }
        };
        let runs: Vec<String> = rows.iter().map(|row| row.run.to_string()).collect();
        context.out.show(&rows, &runs, |out| table(out, &rows))?;
        if more && context.out.is_human() {
            context.out.note(format!("there may be older runs: -n {}", self.limit.saturating_mul(4)));
        }
        Ok(())
    }
}

fn table(out: &Output, rows: &[HistoryRow]) -> Result<(), Failure> {
    let mut table = Table::new(["WORK", ">TRY", "OUTCOME", "CLAIMED", ">TOOK", ">SPENT", ">EPOCH", "~TITLE"]);
    for row in rows {
        table.row([
            Cell::new(&row.short),
            row.run.attempt.into(),
            Cell::state(&row.outcome),
            Cell::time(out, row.claimed_at),
            Cell::new(elapsed(row.claimed_at, row.ended_at.unwrap_or_else(ambient::now))),
            row.spent.into(),
            row.epoch.into(),
            Cell::new(&row.title),
        ]);
    }
    if table.is_empty() {
        out.note("no runs yet");
        return Ok(());
    }
    out.table(&table)
}
