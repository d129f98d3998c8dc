//! Example requests: what a set of policies must answer. They lie beside the policies and are their tests.

use agentd_schemas::id::RunId;
use agentd_schemas::strict;
use agentd_schemas::unit::name::Slug;
use serde::Deserialize;

use super::set::{Explained, Set, Sources};
use super::{Action, Caller, Decision, Rejected, Resource, compile, guard};

/// Example requests of one file, at most.
pub const MAX_REQUESTS: usize = 256;
/// How the name of a file with example requests ends.
pub const REQUESTS: &str = ".requests.toml";
/// How the name of a file with policies ends.
pub const POLICIES: &str = ".cedar";

/// A file of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    request: Vec<Example>,
}

/// One of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    says: Option<String>,
    principal: String,
    groups: Option<Vec<Group>>,
    #[serde(default)]
    unattended: bool,
    run: Option<RunId>,
    action: String,
    on: String,
    owner: Option<u32>,
    agent: Option<Slug>,
    #[serde(default)]
    suspended: bool,
    expect: Expected,
    rule: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Group {
    Users,
    Operators,
    Auditors,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Expected {
    Allow,
    Deny,
}

/// An example request and what came of it.
#[derive(Debug)]
pub struct Tried {
    /// The file.
    pub file: String,
    /// Which of the file, from 1.
    pub number: usize,
    /// What it says, or the request in short.
    pub says: String,
    /// What is expected: `allow`, `deny by team.no_nights`.
    pub expected: String,
    /// What came.
    pub answered: String,
    /// Whether they are the same.
    pub holds: bool,
}

impl Tried {
    fn failure(&self) -> Rejected {
        let Self { file, number, says, expected, answered, .. } = self;
        Rejected::of(&**file, format!("request {number} ({says}): expected {expected}, got {answered}"))
            .hint("mend the policy or the example; agentctl policy test shows all of them")
    }
}

/// Runs the examples of some files against a set.
pub fn try_all(set: &Set, sources: &Sources) -> Result<Vec<Tried>, Rejected> {
    let mut tried = Vec::new();
    for source in &sources.requests {
        let stem = source.name.strip_suffix(REQUESTS).unwrap_or(&source.name);
        let policies = format!("{stem}{POLICIES}");
        if !sources.policies.iter().any(|each| each.name == policies) {
            return Err(Rejected::of(&*source.name, format!("there is no {policies} beside it"))
                .hint("the requests of NAME.cedar are in NAME.requests.toml"));
        }
        tried.extend(of_file(set, &source.name, &source.bytes)?);
    }
    Ok(tried)
}

/// Runs the examples of the defaults against them.
pub fn try_defaults() -> Result<Vec<Tried>, Rejected> {
    of_file(&Set::built_in(), "default.requests.toml", compile::DEFAULT_REQUESTS.as_bytes())
}

/// The first that does not get its answer.
pub(super) fn hold(set: &Set, sources: &Sources) -> Result<(), Rejected> {
    match try_all(set, sources)?.iter().find(|tried| !tried.holds) {
        None => Ok(()),
        Some(tried) => Err(tried.failure()),
    }
}

fn of_file(set: &Set, file: &str, bytes: &[u8]) -> Result<Vec<Tried>, Rejected> {
    guard::readable(file, bytes)?;
    let document: Document = strict::toml::from_slice(bytes, &strict::Limits::DEFAULT).map_err(|error| {
        let rejected = Rejected { place: place(&error), ..Rejected::of(file, error.message()) };
        match error.hint() {
            Some(hint) => rejected.hint(hint),
            None => rejected,
        }
    })?;
    if document.request.len() > MAX_REQUESTS {
        return Err(Rejected::of(file, format!("has more than {MAX_REQUESTS} requests")));
    }
    let numbered = document.request.into_iter().enumerate();
    numbered.map(|(before, example)| one(set, file, before + 1, &example)).collect()
}

fn place(error: &strict::DocumentError) -> Option<(u32, u32)> {
    Some((u32::try_from(error.line()?).ok()?, u32::try_from(error.column()?).ok()?))
}

fn one(set: &Set, file: &str, number: usize, example: &Example) -> Result<Tried, Rejected> {
    let refused = |reason: String| Rejected::of(file, format!("request {number}: {reason}"));
    let caller = caller(example).map_err(refused)?;
    let resource = resource(example).map_err(refused)?;
    let action = Action::of_name(&example.action).ok_or_else(|| {
        refused(format!("there is no action {:?}", example.action)).hint("agentctl policy show lists the actions")
    })?;
    let Explained { decision, policies, .. } = set.explain(&caller, action, &resource);
    let (answer, rule) = match &decision {
        Decision::Allow(rule) => (Expected::Allow, rule),
        Decision::Deny(rule) => (Expected::Deny, rule),
    };
    // A policy that says the same as one before it decides as well.
    let names = |wanted: &str| &**rule == wanted || policies.iter().any(|each| &*each.id == wanted);
    let holds = answer == example.expect && example.rule.as_deref().is_none_or(names);
    let word = |answer| if answer == Expected::Allow { "allow" } else { "deny" };
    let expected = match &example.rule {
        Some(rule) => format!("{} by {rule}", word(example.expect)),
        None => word(example.expect).to_owned(),
    };
    let says =
        example.says.clone().unwrap_or_else(|| format!("{} {} {}", example.principal, example.action, example.on));
    let answered = format!("{} by {rule}", word(answer));
    Ok(Tried { file: file.to_owned(), number, says, expected, answered, holds })
}

fn caller(example: &Example) -> Result<Caller, String> {
    match example.principal.split_once(':') {
        Some(("user", uid)) => {
            let uid = uid.parse().map_err(|_| format!("{uid:?} is no uid: write principal = \"user:1000\""))?;
            if example.run.is_some() {
                return Err("a user is no run: write principal = \"agent:NAME\" for one".to_owned());
            }
            let groups = example.groups.as_deref().unwrap_or(&[Group::Users]);
            let is_in = |group| groups.contains(&group);
            let caller = Caller::person(uid, is_in(Group::Operators), is_in(Group::Auditors));
            let inside = is_in(Group::Users) || is_in(Group::Operators);
            let caller = if inside { caller } else { caller.outside_of("agentd".into()) };
            Ok(if example.unattended { caller.unattended() } else { caller })
        }
        Some(("agent", name)) => {
            let name: Slug = name.parse().map_err(|error| format!("principal: {error}"))?;
            if example.groups.is_some() || example.unattended {
                return Err("an agent is in no group and never unattended: leave that out".to_owned());
            }
            let owner = example.owner.unwrap_or_default();
            Ok(match example.run {
                Some(run) => Caller::run(name, owner, run),
                None => Caller::agent(name, owner),
            })
        }
        _ => Err(format!("principal {:?} is neither \"user:UID\" nor \"agent:NAME\"", example.principal)),
    }
}

fn resource(example: &Example) -> Result<Resource, String> {
    let (name, is_agent) = match example.on.split_once(':') {
        None if example.on == "host" => ("host".to_owned(), None),
        Some(("agent", name)) => {
            let agent: Slug = name.parse().map_err(|error| format!("on: {error}"))?;
            (format!("agent {agent}"), Some(agent))
        }
        Some((kind @ ("work" | "schedule" | "objective" | "account"), id)) if !id.is_empty() => {
            (format!("{kind} {id}"), None)
        }
        _ => {
            let on = &example.on;
            return Err(format!(
                "on {on:?} is none of host, work:ID, agent:NAME, schedule:ID, objective:ID, account:ID"
            ));
        }
    };
    let agent = example.agent.clone().or(is_agent);
    Ok(Resource { name, owner: example.owner, agent, suspended: example.suspended })
}
