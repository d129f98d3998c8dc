//! Claiming: an agent gets the first work that it may take, under a lease with a fencing token.

use agentd_schemas::document::request::Scope;
use agentd_schemas::event::{Criterion, RunConfinement, RunStarted, Subject, WorkClaimed, WorkState, WorkSubmitted};
use agentd_schemas::id::RunId;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::duration::in_words;

use super::WorkFacts;
use super::frozen::covers;
use crate::domain::account::AccountFacts;
use crate::domain::command::RunRef;
use crate::domain::matching::{self, Candidate, Demand, MatchedBy};
use crate::domain::{Decision, Draft, Env, Rejection};

/// Shortest lease.
pub const MIN_LEASE_MS: u64 = 5_000;
/// Longest lease.
pub const MAX_LEASE_MS: u64 = 3_600_000;

/// What the ledger knows when an agent asks for work.
#[derive(Debug, Clone)]
pub struct ClaimFacts {
    /// The agent.
    pub agent: Candidate,
    /// The first work in claim order among the queues that the agent is able for.
    pub first: Option<WorkFacts>,
    /// What is frozen.
    pub frozen: Vec<Scope>,
    /// Accounts above the first work.
    pub accounts: Vec<AccountFacts>,
}

/// Decides on a claim. No event means: nothing for this agent now.
pub fn claim(facts: &ClaimFacts, lease_ms: u64, env: &Env) -> Decision {
    check_agent(&facts.agent)?;
    if !(MIN_LEASE_MS..=MAX_LEASE_MS).contains(&lease_ms) {
        return Err(Problem::new(
            Code::OutOfBounds,
            format!(
                "a lease of {} is outside {} to {}",
                in_words(lease_ms),
                in_words(MIN_LEASE_MS),
                in_words(MAX_LEASE_MS)
            ),
        ));
    }
    let Some(work) = &facts.first else { return Ok(Vec::new()) };
    let frozen = facts.frozen.iter().any(|scope| covers(scope, work.id, &facts.agent.name));
    if frozen || matching::room(&facts.agent, env).is_err() || exhausted(&facts.accounts).is_some() {
        return Ok(Vec::new());
    }
    let demand = demand(work);
    let Ok(matched_by) = matching::able(&facts.agent, &demand, &env.defaults) else {
        return Ok(Vec::new());
    };
    Ok(vec![claimed(work, &facts.agent, matched_by, lease_ms, env)])
}

/// The account that has nothing left, if one has.
pub fn exhausted(accounts: &[AccountFacts]) -> Option<&AccountFacts> {
    accounts.iter().find(|account| account.is_exhausted())
}

/// What a work asks for.
pub fn demand(work: &WorkFacts) -> Demand {
    demand_of(&work.spec)
}

/// What a submit asks for.
pub fn demand_of(spec: &WorkSubmitted) -> Demand {
    Demand {
        owner: spec.owner,
        agent: spec.agent.clone(),
        skills: spec.required_skills.clone(),
        started: needs_workspace(spec),
    }
}

/// Whether only an agent that agentd starts can do it.
pub fn needs_workspace(spec: &WorkSubmitted) -> bool {
    spec.workspace.is_some() || spec.acceptance.iter().any(Criterion::needs_workspace)
}

fn check_agent(agent: &Candidate) -> Result<(), Rejection> {
    use agentd_schemas::event::AgentState::{Active, Probation};
    if matches!(agent.state, Active | Probation) {
        return Ok(());
    }
    let name = &agent.name;
    Err(Problem::new(Code::WrongState, format!("agent {name} is {}: it gets no work", agent.state.as_str()))
        .hint(format!("a person can change that: agentctl agent resume {name} --reason '…'")))
}

fn claimed(work: &WorkFacts, agent: &Candidate, matched_by: MatchedBy, lease_ms: u64, env: &Env) -> Draft {
    let attempt = work.attempts + 1;
    let claimed = WorkClaimed {
        agent: agent.name.clone(),
        attempt,
        fence: env.fence(0),
        lease_ms,
        matched_by: matched_by.as_str().to_owned(),
    };
    Draft::new(Subject::Work(work.id), claimed)
        .in_run(RunId { work: work.id, attempt }, agent.epoch)
        .on_behalf_of(agent.owner)
}

/// The agent says that it began, or the daemon says so of a program that it started. Saying it twice changes nothing.
pub fn start(work: &WorkFacts, named: &RunRef, confinement: Option<&RunConfinement>) -> Decision {
    work.live(named)?;
    if work.state != WorkState::Claimed {
        return Ok(Vec::new());
    }
    Ok(vec![work.draft(RunStarted { confinement: confinement.cloned() })])
}

#[cfg(test)]
mod tests;
