//! Why a work is where it is, in words, from the rules that decide it.

use agentd_schemas::document::request::Scope;
use agentd_schemas::event::{AgentState, WaitReason, WorkState};
use agentd_schemas::unit::name::Slug;

use super::WorkFacts;
use super::claim::{demand, exhausted};
use super::frozen::covers;
use crate::domain::account::{AccountFacts, in_words};
use crate::domain::matching::{self, Candidate, MatchedBy, Mismatch};
use crate::domain::{Defaults, Env};

/// What the explanation rests on.
#[derive(Debug, Clone)]
pub struct WhyFacts {
    /// The work.
    pub work: WorkFacts,
    /// Agents of its owner and shared ones.
    pub agents: Vec<Candidate>,
    /// Dependencies that are not met, with their states.
    pub unmet: Vec<(agentd_schemas::id::WorkId, WorkState)>,
    /// Accounts above it.
    pub accounts: Vec<AccountFacts>,
    /// What is frozen.
    pub frozen: Vec<Scope>,
    /// Agents whose programs this host cannot start.
    pub held_back: Vec<HeldBack>,
    /// Works before it in its queue.
    pub ahead: u64,
    /// Words of the last failure or cancellation.
    pub last_words: Option<String>,
    /// The program ended while the run waits; whether its result was handed in before.
    pub exited: Option<bool>,
}

/// An agent whose program this host cannot start as it asks to be: its works wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBack {
    /// The agent.
    pub agent: Slug,
    /// What stands in the way.
    pub because: String,
    /// What helps.
    pub hint: Option<String>,
}

/// The explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// One sentence.
    pub summary: String,
    /// Everything that stands in the way, or that decided.
    pub reasons: Vec<String>,
    /// Each agent, whether it may take the work now, and why.
    pub agents: Vec<(Slug, bool, String)>,
    /// What would help.
    pub hint: Option<String>,
}

/// Whether any of these agents is able to take the work, room aside: if not, it is parked.
pub fn is_parked(work: &WorkFacts, agents: &[Candidate], defaults: &Defaults) -> bool {
    let demand = demand(work);
    !agents.iter().any(|agent| matching::able(agent, &demand, defaults).is_ok())
}

/// Explains.
pub fn why(facts: &WhyFacts, env: &Env) -> Why {
    let work = &facts.work;
    let mut why = Why { summary: String::new(), reasons: Vec::new(), agents: verdicts(facts, env), hint: None };
    let held = facts.frozen.iter().filter_map(|scope| frozen(scope, work)).filter(|_| !work.state.is_past());
    let (reasons, thaws): (Vec<String>, Vec<String>) = held.unzip();
    why.reasons.extend(reasons);
    match work.state {
        WorkState::Scheduled => scheduled(work, env, &mut why),
        WorkState::Blocked => blocked(facts, &mut why),
        WorkState::Ready => ready(facts, env, &mut why),
        state if state.is_leased() => leased(facts, env, &mut why),
        WorkState::Verifying => {
            "its result waits for a person".clone_into(&mut why.summary);
            why.hint = Some(format!("agentctl work accept {0}, or agentctl work reject {0} --reason …", work.id));
        }
        _ => past(facts, env, &mut why),
    }
    if work.state.is_leased() && !thaws.is_empty() {
        why.summary = format!("it is frozen; {}", why.summary);
    }
    // Until it is thawed nothing else helps.
    why.hint = thaws.into_iter().next().or(why.hint);
    why
}

/// What of a freeze holds this work, in words, and what ends it.
fn frozen(scope: &Scope, work: &WorkFacts) -> Option<(String, String)> {
    match scope {
        Scope::All => Some(("the whole host is frozen".to_owned(), "agentctl thaw --all".to_owned())),
        Scope::Work(id) if *id == work.id => Some(("this work is frozen".to_owned(), format!("agentctl thaw {id}"))),
        Scope::Agent(name) if work.run.as_ref().is_some_and(|run| run.agent == *name) => {
            Some((format!("agent {name}, which holds it, is frozen"), format!("agentctl thaw {name}")))
        }
        _ => None,
    }
}

/// Why an agent that could take the work may not because of a freeze.
fn chilled(facts: &WhyFacts, agent: &Slug) -> Option<&'static str> {
    let scope = facts.frozen.iter().find(|scope| covers(scope, facts.work.id, agent))?;
    Some(match scope {
        Scope::All => "the whole host is frozen",
        Scope::Work(_) => "the work is frozen",
        Scope::Agent(_) => "it is frozen",
    })
}

fn verdicts(facts: &WhyFacts, env: &Env) -> Vec<(Slug, bool, String)> {
    let demand = demand(&facts.work);
    let explain = |agent: &Candidate| {
        let answer = matching::able(agent, &demand, &env.defaults);
        if let (Ok(_), Some(because)) = (&answer, chilled(facts, &agent.name)) {
            return (agent.name.clone(), false, because.to_owned());
        }
        if let (Ok(_), Some(held)) = (&answer, facts.held_back.iter().find(|held| held.agent == agent.name)) {
            return (agent.name.clone(), false, held.because.clone());
        }
        match answer.and_then(|by| matching::room(agent, env).map(|()| by)) {
            Ok(MatchedBy::Demonstrated) => (agent.name.clone(), true, "matched by demonstrated skill".to_owned()),
            Ok(MatchedBy::Claim) => (agent.name.clone(), true, "matched by claim, not yet demonstrated".to_owned()),
            Ok(MatchedBy::NoSkillNeeded) => (agent.name.clone(), true, "no skill is needed".to_owned()),
            Err(mismatch) => (agent.name.clone(), false, mismatch.to_string()),
        }
    };
    facts.agents.iter().map(explain).collect()
}

fn scheduled(work: &WorkFacts, env: &Env, why: &mut Why) {
    why.summary = match work.spec.not_before {
        Some(time) if work.attempts == 0 && time > env.wall => format!("it is not handed out before {time}"),
        Some(_) if work.attempts == 0 && env.clock_held => {
            why.hint = Some("agentctl clock accept --reason '…'".to_owned());
            "its time has come by a clock that jumped: it is held until somebody looks".to_owned()
        }
        _ => format!("attempt {} of {} failed; the next one follows after a backoff", work.attempts, work.max_attempts),
    };
}

fn blocked(facts: &WhyFacts, why: &mut Why) {
    why.summary = match facts.unmet.len() {
        0 => "its dependencies are met and its time has not come".to_owned(),
        1 => "it waits for another work".to_owned(),
        n => format!("it waits for {n} other works"),
    };
    let shown = facts.unmet.iter().take(20);
    why.reasons.extend(shown.map(|(id, state)| format!("work {id} is {}", state.as_str())));
    if let Some((id, _)) = facts.unmet.iter().find(|(_, state)| state.is_past() && *state != WorkState::Completed) {
        why.hint = Some(format!("agentctl work retry {id} --reason '…'"));
    }
}

fn ready(facts: &WhyFacts, env: &Env, why: &mut Why) {
    if let Some(full) = exhausted(&facts.accounts) {
        why.reasons.push(format!("the account {} has nothing left", full.family()));
        why.hint = Some("agentctl budget show".to_owned());
    }
    if is_parked(&facts.work, &facts.agents, &env.defaults) {
        "nobody is eligible until an agent is enrolled or changes".clone_into(&mut why.summary);
        let skills = facts.work.spec.required_skills.iter().map(|skill| format!(" --skill {skill}"));
        if let Some(agent) = keyless(facts, env) {
            why.hint.get_or_insert(format!("agentctl agent rotate-key {agent} --reason '…'"));
            return;
        }
        let hint = match (paused(facts, env), fallen(facts, env), &facts.work.spec.agent) {
            (Some(agent), ..) => {
                why.summary = format!("agent {}, which could take it, is {}", agent.name, agent.state.as_str());
                format!("agentctl agent resume {} --reason '…'", agent.name)
            }
            (None, Some(agent), _) => format!(
                "repair agent {agent}, then have it count from nothing: agentctl agent probation {agent} --reason '…'; or \
                 enrol another agent"
            ),
            (None, None, Some(only)) => format!("agentctl agent show {only}"),
            (None, None, None) => {
                // Who comes by itself has no workspace.
                let command = if demand(&facts.work).started { " -- COMMAND" } else { "" };
                format!("agentctl agent enroll NAME{}{command}", skills.collect::<String>())
            }
        };
        why.hint.get_or_insert(hint);
        return;
    }
    let able = why.agents.iter().filter(|(_, eligible, _)| *eligible).count();
    let frozen = thawed(facts, env);
    let held_back = held_back(facts, env).filter(|_| able == 0 && frozen.is_none());
    why.summary = match able {
        _ if !why.reasons.is_empty() => "it is held".to_owned(),
        0 if frozen.is_some() => {
            "every agent that could take it is frozen, or holds as many works as it may".to_owned()
        }
        0 if held_back.is_some() => "it waits for this host, which cannot start the program of an agent".to_owned(),
        0 => "every agent that could take it holds as many works as it may".to_owned(),
        _ if facts.ahead == 1 => "1 work goes before it in its queue".to_owned(),
        _ if facts.ahead > 0 => format!("{} works go before it in its queue", facts.ahead),
        n => next(facts, &why.agents, n),
    };
    if let Some(held) = held_back {
        why.reasons.push(format!("agent {}: {}", held.agent, held.because));
        why.hint = why.hint.take().or_else(|| held.hint.clone());
        return;
    }
    if let (0, Some(agent)) = (able, frozen) {
        why.hint.get_or_insert(format!("agentctl thaw {agent}"));
    }
    if let (0, None, Some((agent, mismatch))) = (able, frozen, uncertified(facts, env)) {
        if why.reasons.is_empty() {
            why.summary = format!("agent {}: {mismatch}", agent.name);
        }
        why.hint.get_or_insert(certifying(&agent.name, &mismatch));
    }
}

/// What a work waits for that agents may take.
fn next(facts: &WhyFacts, verdicts: &[(Slug, bool, String)], able: usize) -> String {
    let started = |name: &Slug| facts.agents.iter().any(|agent| agent.name == *name && agent.started);
    let starts = verdicts.iter().any(|(name, eligible, _)| *eligible && started(name));
    match (able, starts) {
        (1, true) => "one agent may take it; agentd starts its program when its turn comes".to_owned(),
        (n, true) => format!("{n} agents may take it; agentd starts a program when its turn comes"),
        (1, false) => "one agent may take it; it waits for that agent to ask".to_owned(),
        (n, false) => format!("{n} agents may take it; it waits for one of them to ask"),
    }
}

/// An agent that could take it, could its program be started here.
fn held_back<'a>(facts: &'a WhyFacts, env: &Env) -> Option<&'a HeldBack> {
    let demand = demand(&facts.work);
    let able = |name: &Slug| {
        let mut agents = facts.agents.iter().filter(|agent| agent.name == *name);
        agents.any(|agent| matching::able(agent, &demand, &env.defaults).is_ok())
    };
    facts.held_back.iter().find(|held| able(&held.agent))
}

/// An agent that could take it, were its key certified.
fn uncertified<'a>(facts: &'a WhyFacts, env: &Env) -> Option<(&'a Candidate, Mismatch)> {
    let demand = demand(&facts.work);
    let mut able = facts.agents.iter().filter(|agent| matching::able(agent, &demand, &env.defaults).is_ok());
    able.find_map(|agent| Some((agent, agent.certified.check(env).err()?)))
}

/// What ends the wait for a certificate.
fn certifying(agent: &Slug, mismatch: &Mismatch) -> String {
    match mismatch {
        Mismatch::ClockHeld => "agentctl clock accept --reason '…'".to_owned(),
        _ => format!("agentctl agent certify {agent}"),
    }
}

/// An agent that could take it, were it not frozen.
fn thawed<'a>(facts: &'a WhyFacts, env: &Env) -> Option<&'a Slug> {
    let demand = demand(&facts.work);
    let frozen = |name: &Slug| facts.frozen.iter().any(|scope| matches!(scope, Scope::Agent(it) if it == name));
    let found =
        facts.agents.iter().find(|agent| frozen(&agent.name) && matching::able(agent, &demand, &env.defaults).is_ok());
    found.map(|agent| &agent.name)
}

/// An agent that could take it, once it is awake and has a key again.
fn keyless<'a>(facts: &'a WhyFacts, env: &Env) -> Option<&'a Slug> {
    let demand = demand(&facts.work);
    let found = facts.agents.iter().filter(|agent| agent.key_revoked).find(|agent| {
        let stopped = matches!(agent.state, AgentState::Paused | AgentState::Suspended);
        let state = if stopped { AgentState::Active } else { agent.state };
        let healed = Candidate { state, key_revoked: false, ..(*agent).clone() };
        matching::able(&healed, &demand, &env.defaults).is_ok()
    });
    found.map(|agent| &agent.name)
}

/// An agent that could take it, were it not paused or suspended.
fn paused<'a>(facts: &'a WhyFacts, env: &Env) -> Option<&'a Candidate> {
    let demand = demand(&facts.work);
    let stopped = |agent: &&Candidate| matches!(agent.state, AgentState::Paused | AgentState::Suspended);
    facts.agents.iter().filter(stopped).find(|agent| {
        let awake = Candidate { state: AgentState::Active, ..(*agent).clone() };
        matching::able(&awake, &demand, &env.defaults).is_ok()
    })
}

/// An agent that could take it, had not a skill of it fallen below its bound.
fn fallen<'a>(facts: &'a WhyFacts, env: &Env) -> Option<&'a Slug> {
    let demand = demand(&facts.work);
    let found = facts
        .agents
        .iter()
        .find(|agent| matches!(matching::able(agent, &demand, &env.defaults), Err(Mismatch::NotDemonstrated { .. })));
    found.map(|agent| &agent.name)
}

fn leased(facts: &WhyFacts, env: &Env, why: &mut Why) {
    let work = &facts.work;
    let Some(run) = &work.run else { return };
    let agent = &run.agent;
    let is_frozen = facts.frozen.iter().any(|scope| frozen(scope, work).is_some());
    match &run.waiting {
        None if is_frozen => {
            why.summary = format!("agent {agent} stands still: attempt {} of {}", work.attempts, work.max_attempts);
        }
        None => why.summary = format!("agent {agent} works on it: attempt {} of {}", work.attempts, work.max_attempts),
        Some(reason) => {
            let problem = super::spend::must_wait(work, reason);
            why.summary = match reason {
                WaitReason::Person => format!("agent {agent} asked a person and waits for the answer"),
                WaitReason::Budget { account, .. } => {
                    format!("agent {agent} waits for budget: {} has too little left", in_words(account))
                }
            };
            why.hint = problem.hint;
            why.reasons.extend(facts.exited.map(|handed_in| exited(reason, handed_in)));
        }
    }
    let holder = facts.agents.iter().find(|candidate| candidate.name == *agent);
    if let Some(mismatch) = holder.and_then(|holder| holder.certified.check(env).err()) {
        why.reasons.push(format!("agent {agent}: {mismatch}; until it is certified, no result of it is taken"));
        why.hint.get_or_insert(certifying(agent, &mismatch));
    }
}

/// What becomes of a run whose program ended while it waits.
fn exited(reason: &WaitReason, handed_in: bool) -> String {
    match (reason, handed_in) {
        (_, true) => "its program ended and handed in its result, which is judged then".to_owned(),
        (WaitReason::Person, false) => {
            "its program ended with its question open: it is started again once there is an answer, in the same attempt"
                .to_owned()
        }
        (WaitReason::Budget { .. }, false) => {
            "its program ended meanwhile: it is started again once there is budget, in the same attempt".to_owned()
        }
    }
}

fn past(facts: &WhyFacts, env: &Env, why: &mut Why) {
    let work = &facts.work;
    why.summary = match work.state {
        WorkState::Completed => "it is done, and every criterion was met".to_owned(),
        WorkState::Failed => format!("it failed after {} of {} attempts", work.attempts, work.max_attempts),
        WorkState::Cancelled => "it was cancelled".to_owned(),
        _ => "it was not started by its deadline".to_owned(),
    };
    if work.state == WorkState::Completed && work.spec.acceptance.is_empty() {
        "it is done; it had no acceptance criteria".clone_into(&mut why.summary);
    }
    why.reasons.extend(facts.last_words.clone());
    if work.state != WorkState::Completed {
        why.hint = Some(match work.spec.deadline {
            Some(deadline) if deadline <= env.wall => "submit it anew with a later deadline".to_owned(),
            _ => format!("agentctl work retry {} --reason '…'", work.id),
        });
    }
}

#[cfg(test)]
mod tests;
