//! `agentctl __complete`: the names that a shell completes a word with. Quick, and silent where there are none.

use std::time::Duration;

use agentd_schemas::document::request::{MAX_PAGE, WorkFilter};
use agentd_schemas::document::schema::SCHEMAS;
use agentd_schemas::view::{AccountView, AgentRow, ObjectiveView, ScheduleView, WorkPage};

use super::explain;
use crate::context::{Context, document, read};
use crate::error::Failure;
use crate::output::plain;

/// A person waits for the key that was pressed.
const PATIENCE: Duration = Duration::from_millis(900);

/// What can be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Works of any state.
    Works,
    /// Works that are not over.
    Open,
    /// Works that are over.
    Past,
    /// Agents.
    Agents,
    /// Works that are not over, and agents.
    Targets,
    /// Schedules.
    Schedules,
    /// Objectives.
    Objectives,
    /// Accounts.
    Accounts,
    /// Files and their fields.
    Fields,
}

/// Print the names that a shell completes a word with
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl __complete agents")]
pub(crate) struct Args {
    /// What is to be completed
    kind: Kind,
}

impl Args {
    /// Runs the command. A daemon that does not answer is no failure: nothing is completed then.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let names = tokio::time::timeout(PATIENCE, names(context, self.kind)).await;
        let names = names.ok().and_then(Result::ok).unwrap_or_default();
        names.iter().try_for_each(|name| context.out.line(plain(name)))
    }
}

async fn names(context: &Context, kind: Kind) -> Result<Vec<String>, Failure> {
    Ok(match kind {
        Kind::Works => works(context, &[None]).await?,
        Kind::Open => works(context, &[Some("current"), Some("future")]).await?,
        Kind::Past => works(context, &[Some("past")]).await?,
        Kind::Agents => agents(context).await?,
        Kind::Targets => {
            let mut names = works(context, &[Some("current"), Some("future")]).await?;
            names.extend(agents(context).await?);
            names
        }
        Kind::Schedules => {
            let schedules: Vec<ScheduleView> = read(&context.schedules().await?.list().await?)?;
            schedules.iter().map(|schedule| schedule.name.to_string()).collect()
        }
        Kind::Objectives => {
            let objectives: Vec<ObjectiveView> = read(&context.objectives().await?.list().await?)?;
            objectives.iter().map(|view| view.objective.name.to_string()).collect()
        }
        Kind::Accounts => {
            let accounts: Vec<AccountView> = read(&context.host().await?.accounts().await?)?;
            let mut names: Vec<String> = accounts.into_iter().map(|account| account.account).collect();
            names.dedup();
            names
        }
        Kind::Fields => SCHEMAS.iter().flat_map(|(name, schema)| explain::paths(name, schema)).collect(),
    })
}

/// Short ids of the newest works in each of the states.
async fn works(context: &Context, states: &[Option<&str>]) -> Result<Vec<String>, Failure> {
    let proxy = context.works().await?;
    let mut names = vec!["@".to_owned()];
    for state in states {
        let filter =
            WorkFilter { state: state.map(str::to_owned), limit: Some(MAX_PAGE.min(100)), ..WorkFilter::default() };
        let page: WorkPage = read(&proxy.list(&document(&filter)?).await?)?;
        names.extend(page.works.into_iter().map(|row| row.short));
    }
    Ok(names)
}

async fn agents(context: &Context) -> Result<Vec<String>, Failure> {
    let agents: Vec<AgentRow> = read(&context.agents().await?.list().await?)?;
    Ok(agents.iter().map(|agent| agent.name.to_string()).collect())
}
