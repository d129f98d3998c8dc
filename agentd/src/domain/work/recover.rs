//! What the daemon's timers and its recovery do to works: leases that run out, timeouts, backoffs, reboots, and the
//! step-by-step spread of failures.

use agentd_schemas::document::work::OnDependencyFailure;
use agentd_schemas::event::{
    EffectFinished, FailureReason, LeaseVoided, Subject, WorkBlocked, WorkCancelled, WorkReadied, WorkState,
};
use agentd_schemas::id::WorkId;

use super::facts::Dependant;
use super::spend::settle_open;
use super::{WorkFacts, ending};
use crate::domain::agent::AgentFacts;
use crate::domain::command::RunRef;
use crate::domain::{Decision, Draft, Env};

/// A lease ran out: the attempt failed. A lease that was renewed or ended meanwhile is left alone.
pub fn expire_lease(work: &WorkFacts, agent: &AgentFacts, named: &RunRef, env: &Env) -> Decision {
    Ok(end_attempt(work, agent, named, FailureReason::LeaseExpired, "no heartbeat came for a whole lease", env))
}

/// An attempt ran longer than its timeout.
pub fn time_out(work: &WorkFacts, agent: &AgentFacts, named: &RunRef, env: &Env) -> Decision {
    Ok(end_attempt(work, agent, named, FailureReason::TimedOut, "the attempt ran longer than its timeout", env))
}

pub(super) fn end_attempt(
    work: &WorkFacts,
    agent: &AgentFacts,
    named: &RunRef,
    reason: FailureReason,
    words: &str,
    env: &Env,
) -> Vec<Draft> {
    if work.live(named).is_err() {
        return Vec::new();
    }
    ending::attempt_failed(work, agent, reason, Vec::new(), Some(words.to_owned()), env, Draft::by_host)
}

/// The host rebooted or was restored, or nobody started the program: the lease is void, and the attempt does not count.
pub fn void_lease(work: &WorkFacts, named: &RunRef, because: &str) -> Decision {
    if work.live(named).is_err() {
        return Ok(Vec::new());
    }
    let mut drafts = settle_open(work);
    drafts.push(work.draft(LeaseVoided { because: because.to_owned() }).by_host());
    Ok(drafts)
}

/// The agent gave up.
pub fn fail(work: &WorkFacts, agent: &AgentFacts, named: &RunRef, message: &str, env: &Env) -> Decision {
    work.live(named)?;
    let message = (!message.trim().is_empty()).then(|| message.to_owned());
    Ok(ending::attempt_failed(work, agent, FailureReason::Reported, Vec::new(), message, env, |draft| draft))
}

/// Its time came, or its backoff is over.
pub fn wake(work: &WorkFacts, env: &Env) -> Decision {
    if work.state != WorkState::Scheduled {
        return Ok(Vec::new());
    }
    let because = match work.spec.not_before {
        Some(time) if work.attempts == 0 && !env.has_come(time) => return Ok(Vec::new()),
        _ if work.attempts > 0 => "backoff_over",
        _ => "time_came",
    };
    Ok(vec![work.draft(WorkReadied { because: because.to_owned() }).by_host()])
}

/// What the spread of a failure still has to reach: a bounded part of it.
#[derive(Debug, Clone)]
pub struct CascadeFacts {
    /// Log index of the event that demanded the spread.
    pub effect: u64,
    /// The work that ended without success.
    pub work: WorkId,
    /// Dependants whose dependency on it is open.
    pub dependants: Vec<Dependant>,
    /// Dependants that run all the same and wait for nothing else.
    pub freed: Vec<Dependant>,
    /// Children that are not over, when the work was cancelled.
    pub children: Vec<WorkId>,
    /// Those of them whose runs have something set aside.
    pub spenders: Vec<WorkFacts>,
    /// Whether more are to come.
    pub more: bool,
}

/// Spreads the end of a work without success by one step.
pub fn cascade(facts: &CascadeFacts, env: &Env) -> Decision {
    let mut drafts = Vec::new();
    let mut cancelled = std::collections::HashSet::new();
    for dependant in &facts.dependants {
        let subject = Subject::Work(dependant.id);
        let draft = match dependant.on_failure {
            OnDependencyFailure::Cancel => {
                cancelled.insert(dependant.id);
                Draft::new(subject, WorkCancelled { reason: format!("its dependency {} did not complete", facts.work) })
            }
            OnDependencyFailure::Block => Draft::new(subject, WorkBlocked { by: facts.work }),
            OnDependencyFailure::Run => continue,
        };
        drafts.push(draft.by_host().because_of(facts.effect));
    }
    let freed = facts.freed.iter().filter_map(|dependant| ending::hand_off(dependant, "dependency_failed", env));
    drafts.extend(freed.map(|draft| draft.because_of(facts.effect)));
    for child in &facts.children {
        if cancelled.insert(*child) {
            let reason = format!("its parent {} was cancelled", facts.work);
            let settled = facts.spenders.iter().filter(|work| work.id == *child).flat_map(settle_open);
            drafts.extend(settled.map(|draft| draft.because_of(facts.effect)));
            drafts.push(Draft::new(Subject::Work(*child), WorkCancelled { reason }).by_host().because_of(facts.effect));
        }
    }
    if !facts.more {
        let finished = EffectFinished { effect: facts.effect, kind: "cascade".to_owned() };
        drafts.push(Draft::new(Subject::Host, finished).by_host().because_of(facts.effect));
    }
    Ok(drafts)
}
