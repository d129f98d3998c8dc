//! What would change: the files held against what is, thing by thing, and the commands that make the one the other.
//!
//! Nothing is done here. What no command changes (the owner of an agent, its custody) is refused before anything is.

use std::collections::BTreeSet;

use agentd_schemas::document::request::{AccountLimit, Period};
use agentd_schemas::document::{AgentDocument, ModelBinding, ScheduleDocument};
use agentd_schemas::event::AgentState;
use agentd_schemas::unit::name::{Skill, Slug};
use agentd_schemas::unit::owner::Owner;
use agentd_schemas::view::{AccountView, AgentRow, AgentView, ScheduleView};
use serde::Serialize;
use serde_json::json;

use super::accounts::Accounts;
use super::compare;
use super::fields::{self, Field};
use super::{Declared, File};
use crate::command::agent::program;
use crate::command::schedule::show;
use crate::context::{Context, document, read};
use crate::error::Failure;

/// What becomes of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// It is declared and not there.
    Create,
    /// It is otherwise than declared.
    Change,
    /// It was declared and is no longer.
    Undeclared,
}

/// What a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    /// An agent.
    Agent,
    /// Limits of an account in a period.
    Budget,
    /// A schedule.
    Schedule,
}

/// One difference, and what makes it none.
#[derive(Debug, Serialize)]
#[allow(clippy::struct_field_names, reason = "the names of its JSON form")]
pub(crate) struct Change {
    pub(crate) change: Kind,
    pub(crate) kind: What,
    /// `fixer`, `owner:1000/day`.
    pub(crate) name: String,
    /// The file that declares it, or did.
    pub(crate) file: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) fields: Vec<Field>,
    #[serde(skip)]
    pub(super) steps: Vec<Step>,
    /// It is not the caller's own alone.
    #[serde(skip)]
    pub(super) of_others: bool,
}

impl Change {
    fn of_others(self, of_others: bool) -> Self {
        Self { of_others, ..self }
    }
}

/// One command to the daemon.
#[derive(Debug)]
pub(super) enum Step {
    EnrolProgram(String),
    EnrolResident(Box<AgentDocument>),
    SetProgram(String),
    SetModel(Slug, Option<ModelBinding>),
    DeclareSkills(Slug, Vec<Skill>),
    SetLimit(AccountLimit),
    AddSchedule(Box<ScheduleDocument>),
    RemoveSchedule(String),
    Retire(Slug),
}

/// All differences, in the order in which they are made none.
#[derive(Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) changes: Vec<Change>,
    /// Files that were read.
    pub(crate) files: usize,
    /// Declared limits that the caller may not see: `host/day (budgets.d/host.toml)`. Whether they hold is not known here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) hidden: Vec<String>,
}

impl Plan {
    /// Says which limits are left out.
    pub(crate) fn tell_hidden(&self, context: &Context) {
        for budget in &self.hidden {
            context
                .out
                .note(format!("budget {budget} is not shown to you, and left out: operators and auditors see it"));
        }
    }
}

/// The fields of an agent that are limits of its account.
const A_DAY: [&str; 2] = ["limits.max_cost_per_day", "limits.max_tokens_per_day"];

/// Whether an agent's document limits its account.
const fn limits_a_day(agent: &AgentDocument) -> bool {
    agent.limits.max_cost_per_day.is_some() || agent.limits.max_tokens_per_day.is_some()
}

/// Whether it is another's than the caller's.
fn is_another(owner: &Owner) -> bool {
    *owner != Owner::Uid(rustix::process::geteuid().as_raw())
}

/// The word of a period.
pub(super) const fn period(period: Period) -> &'static str {
    match period {
        Period::Day => "day",
        Period::Month => "month",
    }
}

/// Holds the files against what is. The daemon checks what would be new to it.
pub(crate) async fn plan(context: &Context, declared: &Declared) -> Result<Plan, Failure> {
    let accounts: Vec<AccountView> = read(&context.host().await?.accounts().await?)?;
    let agents: Vec<AgentRow> = read(&context.agents().await?.list().await?)?;
    let schedules: Vec<ScheduleView> = read(&context.schedules().await?.list().await?)?;
    let accounts = Accounts::of(accounts, &agents, rustix::process::geteuid().as_raw());
    let (mut changes, mut hidden) = (Vec::new(), Vec::new());
    for file in &declared.agents {
        let found = agents.iter().find(|row| row.name == file.document.name);
        let change = match found {
            None => new_agent(context, file).await,
            Some(row) => agent(context, file, row, &accounts).await,
        };
        changes.extend(change.map_err(|failure| failure.unfit_about(&file.name))?);
        let account = format!("agent:{}", file.document.name);
        if accounts.are_hidden(&account) && limits_a_day(&file.document) {
            hidden.push(format!("{account}/day ({})", file.name));
        }
    }
    for file in &declared.budgets {
        if accounts.are_hidden(&file.document.account) {
            hidden.push(format!("{}/{} ({})", file.document.account, period(file.document.period), file.name));
            continue;
        }
        changes.extend(budget(file, declared, &agents, &accounts).map_err(|failure| failure.unfit_about(&file.name))?);
    }
    for file in &declared.schedules {
        let change = schedule(context, file, &schedules).await;
        changes.extend(change.map_err(|failure| failure.unfit_about(&file.name))?);
    }
    changes.extend(undeclared(declared, &agents, &accounts.shown, &schedules));
    let files = declared.agents.len() + declared.budgets.len() + declared.schedules.len();
    Ok(Plan { changes, files, hidden })
}

async fn new_agent(context: &Context, file: &File<AgentDocument>) -> Result<Option<Change>, Failure> {
    let agent = &file.document;
    let step = if agent.command.is_empty() {
        if agent.public_key.is_some() {
            let told = format!("agent {} is not enrolled, and only who holds its key can prove it", agent.name);
            let hint = format!("agentctl agent enroll --file {} says what is to be signed", file.path.display());
            return Err(Failure::unfit(told).hint(hint));
        }
        Step::EnrolResident(Box::new(agent.clone()))
    } else {
        let enrolment = enrolment(file)?;
        context.agents().await?.check(&enrolment).await?;
        Step::EnrolProgram(enrolment)
    };
    let change = change(Kind::Create, What::Agent, agent.name.to_string(), &file.name, Vec::new(), vec![step]);
    Ok(Some(change.of_others(agent.shared || agent.owner.as_ref().is_some_and(is_another))))
}

fn enrolment(file: &File<AgentDocument>) -> Result<String, Failure> {
    let path = file.path.display().to_string();
    program::enrolment(file.document.clone(), Some(&path), None, Some(file.name.clone()))
}

fn change(change: Kind, kind: What, name: String, file: &str, fields: Vec<Field>, steps: Vec<Step>) -> Change {
    Change { change, kind, name, file: file.to_owned(), fields, steps, of_others: false }
}

async fn agent(
    context: &Context,
    file: &File<AgentDocument>,
    row: &AgentRow,
    accounts: &Accounts,
) -> Result<Option<Change>, Failure> {
    let agent = &file.document;
    if row.state == AgentState::Retired {
        let told = format!("agent {} is retired, and names are never reused", agent.name);
        return Err(Failure::unfit(told).hint("declare it under another name, or remove the file"));
    }
    let view: AgentView = read(&context.agents().await?.show(agent.name.as_str()).await?)?;
    let account = format!("agent:{}", agent.name);
    let day = accounts.find(&account, Period::Day);
    let beside = file.path.parent().unwrap_or(std::path::Path::new("."));
    let mut declared = compare::declared_agent(agent, &program::contents(agent, beside)?)?;
    if accounts.are_hidden(&account) {
        declared.retain(|field, _| !A_DAY.contains(&field.as_str()));
    }
    let differing = fields::differing(&compare::agent(&view, day, &declared)?, &declared);
    if differing.is_empty() {
        return Ok(None);
    }
    let steps = agent_steps(file, &differing)?;
    for step in &steps {
        if let Step::SetProgram(enrolment) = step {
            context.agents().await?.check(enrolment).await?;
        }
    }
    let change = change(Kind::Change, What::Agent, agent.name.to_string(), &file.name, differing, steps);
    Ok(Some(change.of_others(is_another(&Owner::Uid(row.owner)))))
}

/// The commands that change these fields; a field that none changes is refused.
fn agent_steps(file: &File<AgentDocument>, differing: &[Field]) -> Result<Vec<Step>, Failure> {
    let agent = &file.document;
    let (mut program, mut model, mut skills, mut limits) = (false, false, false, false);
    for Field { field, from, to } in differing {
        match field.split('.').next().unwrap_or_default() {
            "command" | "files" | "program" | "sandbox" | "resources" => program = true,
            "model" => model = true,
            "skills" => skills = true,
            _ if A_DAY.contains(&field.as_str()) => limits = true,
            _ => {
                let word = |value: &Option<_>| value.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
                let told = format!(
                    "{field} of agent {} is {} since its enrolment and declared as {}",
                    agent.name,
                    word(from),
                    word(to)
                );
                return Err(Failure::unfit(told).hint("declare what is, or retire the agent and declare another name"));
            }
        }
    }
    let mut steps = Vec::new();
    if skills {
        steps.push(Step::DeclareSkills(agent.name.clone(), agent.skills.clone()));
    }
    if program {
        steps.push(Step::SetProgram(enrolment(file)?));
    }
    if model {
        steps.push(Step::SetModel(agent.name.clone(), agent.model.clone()));
    }
    if limits {
        steps.push(Step::SetLimit(AccountLimit {
            account: format!("agent:{}", agent.name),
            period: Period::Day,
            max_cost: agent.limits.max_cost_per_day,
            max_tokens: agent.limits.max_tokens_per_day,
            no_max_cost: false,
            no_max_tokens: false,
            declared: None,
        }));
    }
    Ok(steps)
}

fn budget(
    file: &File<AccountLimit>,
    declared: &Declared,
    agents: &[AgentRow],
    accounts: &Accounts,
) -> Result<Option<Change>, Failure> {
    let limit = &file.document;
    if let Some(name) = limit.account.strip_prefix("agent:") {
        let there = agents.iter().any(|row| row.name.as_str() == name)
            || declared.agents.iter().any(|file| file.document.name.as_str() == name);
        if !there {
            return Err(Failure::unfit(format!("no agent is named {name}")).hint("see: agentctl agent list"));
        }
    }
    let view = accounts.find(&limit.account, limit.period);
    let is = fields::fields(&json!({
        "max_cost": limit.max_cost.and_then(|_| view?.max_cost),
        "max_tokens": limit.max_tokens.and_then(|_| view?.max_tokens),
    }))?;
    let wanted = fields::fields(&json!({ "max_cost": limit.max_cost, "max_tokens": limit.max_tokens }))?;
    let differing = fields::differing(&is, &wanted);
    if differing.is_empty() {
        return Ok(None);
    }
    let kind = if view.is_some_and(|view| view.limit_source == "set") { Kind::Change } else { Kind::Create };
    let name = format!("{}/{}", limit.account, period(limit.period));
    let steps = vec![Step::SetLimit(limit.clone())];
    Ok(Some(change(kind, What::Budget, name, &file.name, differing, steps)))
}

/// Schedules are not changed: another one takes the place of the old one, whose works stay.
async fn schedule(
    context: &Context,
    file: &File<ScheduleDocument>,
    all: &[ScheduleView],
) -> Result<Option<Change>, Failure> {
    let wanted = &file.document;
    let found = all.iter().find(|view| view.name == wanted.name && wanted.owner == Some(Owner::Uid(view.owner)));
    let name = wanted.name.to_string();
    let add = Step::AddSchedule(Box::new(wanted.clone()));
    let Some(view) = found else {
        context.schedules().await?.check(&document(wanted)?).await?;
        let change = change(Kind::Create, What::Schedule, name, &file.name, Vec::new(), vec![add]);
        return Ok(Some(change.of_others(wanted.owner.as_ref().is_some_and(is_another))));
    };
    let id = view.id.to_string();
    let work = match show::newest(context, &id, "ScheduleAdded").await? {
        Some(added) => show::work(context, &added).await?,
        None => None,
    };
    let (is, wanted_fields) = compare::schedule(view, work, wanted)?;
    let differing = fields::differing(&is, &wanted_fields);
    if differing.is_empty() {
        return Ok(None);
    }
    context.schedules().await?.check(&document(wanted)?).await?;
    let steps = vec![Step::RemoveSchedule(id), add];
    let change = change(Kind::Change, What::Schedule, name, &file.name, differing, steps);
    Ok(Some(change.of_others(is_another(&Owner::Uid(view.owner)))))
}

/// What a file declared once, and none does now. Schedules first: their works may ask for the agents.
fn undeclared(
    declared: &Declared,
    agents: &[AgentRow],
    accounts: &[AccountView],
    schedules: &[ScheduleView],
) -> Vec<Change> {
    let gone = |kind, name: String, file: &str, owner: Option<u32>, step| {
        let change = change(Kind::Undeclared, kind, name, file, Vec::new(), vec![step]);
        change.of_others(owner.is_some_and(|owner| is_another(&Owner::Uid(owner))))
    };
    let mut changes = Vec::new();
    let known: BTreeSet<(Option<Owner>, &Slug)> =
        declared.schedules.iter().map(|file| (file.document.owner.clone(), &file.document.name)).collect();
    for view in schedules {
        if let Some(file) = &view.declared
            && !known.contains(&(Some(Owner::Uid(view.owner)), &view.name))
        {
            let step = Step::RemoveSchedule(view.id.to_string());
            changes.push(gone(What::Schedule, view.name.to_string(), file, Some(view.owner), step));
        }
    }
    let known: BTreeSet<(&str, Period)> =
        declared.budgets.iter().map(|file| (file.document.account.as_str(), file.document.period)).collect();
    for view in accounts {
        if let Some(file) = &view.declared
            && !known.contains(&(view.account.as_str(), view.period))
        {
            let limit = AccountLimit {
                account: view.account.clone(),
                period: view.period,
                max_cost: None,
                max_tokens: None,
                no_max_cost: true,
                no_max_tokens: true,
                declared: None,
            };
            let name = format!("{}/{}", view.account, period(view.period));
            changes.push(gone(What::Budget, name, file, None, Step::SetLimit(limit)));
        }
    }
    let known: BTreeSet<&Slug> = declared.agents.iter().map(|file| &file.document.name).collect();
    for row in agents {
        if let Some(file) = &row.declared
            && row.state != AgentState::Retired
            && !known.contains(&row.name)
        {
            let step = Step::Retire(row.name.clone());
            changes.push(gone(What::Agent, row.name.to_string(), file, Some(row.owner), step));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_ones_own_that_is_not_set_is_a_difference() {
        let document = json!({ "account": "owner:1000", "period": "day", "max_cost": "40 USD" });
        let (name, path) = ("budgets.d/x.toml".to_owned(), "budgets.d/x.toml".into());
        let file = File { name, path, document: serde_json::from_value(document).unwrap() };
        let change = budget(&file, &Declared::default(), &[], &Accounts::of(Vec::new(), &[], 1000)).unwrap();
        assert_eq!(change.map(|change| change.name).as_deref(), Some("owner:1000/day"));
    }
}
