//! `agentctl agent skills`

use agentd_schemas::unit::name::{Skill, Slug};
use agentd_schemas::view::AgentView;

use crate::context::{Context, document, read};
use crate::error::Failure;
use crate::output::{Cell, Output, Table};
use crate::presence::govern;

/// Show or set the skills of an agent
///
/// What an agent declares are claims until five judged works show more.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl agent skills fixer\n  agentctl agent skills fixer --set rust,git")]
pub(crate) struct Args {
    /// The agent
    name: Slug,
    /// All skills that it declares from now on, with commas between them; empty for none
    #[arg(long, value_name = "SKILLS")]
    set: Option<String>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let agents = context.agents().await?;
        if let Some(list) = &self.set {
            let skills = list.split(',').map(str::trim).filter(|skill| !skill.is_empty());
            let skills = skills.map(str::parse).collect::<Result<Vec<Skill>, _>>();
            let skills = skills.map_err(|error| Failure::usage(format!("--set {list:?}: {error}")))?;
            govern::<_, ()>(agents.inner(), "DeclareSkills", &(self.name.as_str(), document(&skills)?)).await?;
        }
        let view: AgentView = read(&agents.show(self.name.as_str()).await?)?;
        let skills: Vec<String> = view.row.skills.iter().map(Skill::to_string).collect();
        let whole = serde_json::json!({ "skills": view.row.skills, "demonstrated": view.demonstrated });
        context.out.show(&whole, &skills, |out| table(out, &view))
    }
}

/// Declared skills, and what each showed in this epoch of the model.
pub(super) fn table(out: &Output, view: &AgentView) -> Result<(), Failure> {
    let mut table = Table::new(["~SKILL", "STANDING", ">ACCEPTED", ">JUDGED", ">AT LEAST"]);
    for skill in &view.row.skills {
        let shown = view.demonstrated.iter().find(|evidence| evidence.skill == *skill);
        table.row(match shown {
            Some(evidence) => [
                Cell::new(skill),
                Cell::state(&evidence.standing),
                evidence.accepted.into(),
                evidence.judged.into(),
                Cell::new(format!("{} %", evidence.lower_bound_percent)),
            ],
            None => [Cell::new(skill), Cell::new("claimed"), 0.into(), 0.into(), Cell::new("-")],
        });
    }
    for evidence in view.demonstrated.iter().filter(|evidence| !view.row.skills.contains(&evidence.skill)) {
        table.row([
            Cell::new(&evidence.skill),
            Cell::new(format!("{}, not declared", evidence.standing)),
            evidence.accepted.into(),
            evidence.judged.into(),
            Cell::new(format!("{} %", evidence.lower_bound_percent)),
        ]);
    }
    if table.is_empty() {
        out.note("no skills");
        return Ok(());
    }
    out.table(&table)?;
    let judged = |skill: &Skill| view.demonstrated.iter().any(|shown| shown.skill == *skill && shown.judged > 0);
    if view.row.completed > 0 && !view.row.skills.iter().all(judged) {
        out.note(
            "a work counts for the skills that it asks for: one that names its agent and no skill counts for none",
        );
    }
    Ok(())
}
