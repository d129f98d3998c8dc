//! `agentctl agent list`

use agentd_schemas::unit::name::Skill;
use agentd_schemas::view::AgentRow;

use crate::context::{Context, read};
use crate::error::Failure;
use crate::output::{Cell, Output, Table};

/// List agents
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl agent list")]
pub(crate) struct Args {}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let agents: Vec<AgentRow> = read(&context.agents().await?.list().await?)?;
        let names: Vec<String> = agents.iter().map(|agent| agent.name.to_string()).collect();
        context.out.show(&agents, &names, |out| table(out, &agents))
    }
}

fn table(out: &Output, agents: &[AgentRow]) -> Result<(), Failure> {
    if agents.is_empty() {
        out.note("no agents");
        out.hint("agentctl agent enroll NAME --skill SKILL");
        return Ok(());
    }
    let mut table =
        Table::new(["~NAME", "STATE", ">OWNER", ">LIVE", ">DONE", ">FAILED", "~MODEL", ">EPOCH", "SHARED", "~SKILLS"]);
    for agent in agents {
        let skills: Vec<&str> = agent.skills.iter().map(Skill::as_str).collect();
        table.row([
            Cell::new(&agent.name),
            Cell::state(agent.state.as_str()),
            agent.owner.into(),
            agent.live.into(),
            agent.completed.into(),
            agent.failed.into(),
            Cell::maybe(agent.model.as_ref()),
            agent.epoch.into(),
            Cell::new(if agent.shared { "yes" } else { "no" }),
            Cell::new(skills.join(",")),
        ]);
    }
    out.table(&table)
}
