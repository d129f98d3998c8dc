//! `agentctl work list`

use agentd_schemas::document::request::{MAX_PAGE, WorkFilter};
use agentd_schemas::unit::name::{LabelKey, LabelValue, Slug};
use agentd_schemas::view::{WorkPage, WorkRow};

use clap::builder::PossibleValuesParser;

use crate::command;
use crate::context::{Context, document, read};
use crate::error::Failure;
use crate::latest;
use crate::output::{Cell, Output, Table, money};

/// States of works, and the times of their lives.
const STATES: [&str; 15] = [
    "scheduled",
    "blocked",
    "ready",
    "parked",
    "claimed",
    "running",
    "waiting",
    "verifying",
    "completed",
    "failed",
    "cancelled",
    "expired",
    "future",
    "current",
    "past",
];

/// List works, newest first
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  agentctl work list --state waiting\n  agentctl work list --label team=payments -n 200 --json"
)]
pub(crate) struct Args {
    /// One state (scheduled, blocked, ready, parked, claimed, running, waiting, verifying, completed, failed, cancelled,
    /// expired), or future, current, past
    #[arg(long, hide_possible_values = true, value_parser = PossibleValuesParser::new(STATES))]
    state: Option<String>,
    /// Worked on by this agent
    #[arg(long, value_name = "NAME")]
    agent: Option<Slug>,
    /// Of this owner
    #[arg(long, value_name = "UID")]
    owner: Option<u32>,
    /// Carrying this label
    #[arg(long, value_name = "KEY=VALUE", value_parser = command::label)]
    label: Option<(LabelKey, LabelValue)>,
    /// Parts of this work
    #[arg(long, value_name = "WORK")]
    parent: Option<String>,
    /// At most this many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, allow_hyphen_values = true, value_parser = command::at_least_one())]
    limit: u32,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let parent = match &self.parent {
            Some(parent) => Some(latest::work_id(context, parent).await?),
            None => None,
        };
        let (state, agent, owner, label) = (self.state, self.agent, self.owner, self.label);
        let filter = WorkFilter { state, agent, owner, label, parent, ..WorkFilter::default() };
        let (works, more) = pages(context, filter, self.limit).await?;
        let ids: Vec<String> = works.iter().map(|row| row.id.to_string()).collect();
        context.out.show(&works, &ids, |out| table(out, &works))?;
        if let Some(parked) = works.iter().find(|row| row.state == "parked").filter(|_| context.out.is_human()) {
            context.out.hint(format!("agentctl why {}", parked.short));
        }
        if more {
            context.out.note(format!("there are older works: -n {}", self.limit.saturating_mul(4).max(200)));
        }
        Ok(())
    }
}

/// The newest works up to a number, and whether there are older ones.
async fn pages(context: &Context, mut filter: WorkFilter, limit: u32) -> Result<(Vec<WorkRow>, bool), Failure> {
    let proxy = context.works().await?;
    let mut works: Vec<WorkRow> = Vec::new();
    loop {
        let missing = limit.saturating_sub(u32::try_from(works.len()).unwrap_or(u32::MAX));
        filter.limit = Some(missing.min(MAX_PAGE));
        let page: WorkPage = read(&proxy.list(&document(&filter)?).await?)?;
        filter.before = page.works.last().map(|row| row.cursor);
        let is_empty = page.works.is_empty();
        works.extend(page.works);
        if !page.more || is_empty || works.len() >= limit as usize {
            return Ok((works, page.more));
        }
    }
}

/// Works as a table, for every command that lists some.
pub(crate) fn table(out: &Output, works: &[WorkRow]) -> Result<(), Failure> {
    let mut table = Table::new(["ID", "STATE", "~AGENT", ">TRY", ">SPENT", "CHANGED", "~TITLE", "~REASON"]);
    for row in works {
        table.row([
            Cell::new(&row.short),
            if row.frozen { Cell::frozen(&row.state) } else { Cell::state(&row.state) },
            Cell::maybe(row.agent.as_ref()),
            row.attempts.into(),
            Cell::new(money(row.spent, row.unpriced)),
            Cell::time(out, row.changed_at),
            Cell::new(&row.title),
            Cell::new(row.reason.as_deref().unwrap_or_default()),
        ]);
    }
    if table.is_empty() {
        out.note("no works");
        return Ok(());
    }
    out.table(&table)
}
