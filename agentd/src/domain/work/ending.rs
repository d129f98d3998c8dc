//! How an attempt and a work end, and what that does to others. Completion and hand-off are one commit; failures spread
//! step by step through the outbox, because they may reach any number of works.

use agentd_schemas::content::TEXT;
use agentd_schemas::event::{
    AgentActivated, AgentPaused, AgentState, FailureReason, Subject, Verdict, WorkFailed, WorkReadied, WorkScheduled,
};

use super::facts::Dependant;
use super::spend::settle_open;
use super::{WorkFacts, judge};
use crate::domain::agent::AgentFacts;
use crate::domain::matching::lower_bound_percent;
use crate::domain::{Draft, Env};

/// The work is done: hand-off to dependants, and the end of a probation that it decides.
pub fn completed(work: &WorkFacts, agent: &AgentFacts, verdicts: Vec<Verdict>, env: &Env) -> Vec<Draft> {
    // As the projection credits it: what nobody judged shows nothing, nor does what another model did.
    let shows = !verdicts.is_empty() && work.run.as_ref().is_some_and(|run| run.epoch == agent.candidate.epoch);
    let Some(data) = judge::completed_data(work, verdicts) else { return Vec::new() };
    let mut drafts = Vec::with_capacity(1 + work.dependants.len());
    drafts.push(work.draft(data).on_behalf_of(work.spec.owner));
    drafts.extend(work.dependants.iter().filter_map(|dependant| hand_off(dependant, "dependencies_completed", env)));
    let judged = agent.judged_in_epoch + 1;
    let accepted = agent.accepted_in_epoch + 1;
    if shows
        && agent.candidate.state == AgentState::Probation
        && judged >= env.defaults.judged_works
        && lower_bound_percent(accepted, judged) >= env.defaults.skill_bound_percent
    {
        let subject = Subject::Agent(agent.candidate.name.clone());
        drafts.push(Draft::new(subject, AgentActivated { reason: "judged_work".to_owned() }).by_host());
    }
    drafts
}

/// One dependency of `dependant` is met: it may go on when that was the last.
pub fn hand_off(dependant: &Dependant, because: &str, env: &Env) -> Option<Draft> {
    if dependant.state != agentd_schemas::event::WorkState::Blocked || dependant.unmet > 1 {
        return None;
    }
    let subject = Subject::Work(dependant.id);
    Some(match dependant.not_before {
        Some(not_before) if !env.has_come(not_before) => Draft::new(subject, WorkScheduled { not_before }).by_host(),
        _ => Draft::new(subject, WorkReadied { because: because.to_owned() }).by_host(),
    })
}

/// The attempt failed: another one after a backoff, or the work fails. Three failures in a row pause the agent.
pub fn attempt_failed(
    work: &WorkFacts,
    agent: &AgentFacts,
    reason: FailureReason,
    verdicts: Vec<Verdict>,
    message: Option<String>,
    env: &Env,
    with_content: impl FnOnce(Draft) -> Draft,
) -> Vec<Draft> {
    let last = work.attempts >= work.max_attempts || reason == FailureReason::Deadline;
    let retry_after_ms = (!last).then(|| backoff_ms(work.attempts, env));
    let Some(data) = judge::failed_data(work, reason, verdicts, retry_after_ms) else { return Vec::new() };
    let mut failed = with_content(work.draft(data).on_behalf_of(work.spec.owner));
    if let Some(message) = message {
        failed = failed.with_blob(2, TEXT, message);
    }
    let mut drafts = settle_open(work);
    drafts.push(failed);
    if last {
        drafts.push(Draft::new(work.subject(), WorkFailed { reason }).by_host());
    }
    if counts_against(reason, work.spec.owner == agent.candidate.owner)
        && agent.failures_in_a_row + 1 >= env.defaults.failures_in_a_row
        && matches!(agent.candidate.state, AgentState::Active | AgentState::Probation)
    {
        let subject = Subject::Agent(agent.candidate.name.clone());
        let paused = AgentPaused { reason: format!("{} failures in a row", agent.failures_in_a_row + 1) };
        drafts.push(Draft::new(subject, paused).by_host());
    }
    drafts
}

/// Whether a failure says something about the agent, or has to keep more works of its owner from failing alike. Where
/// nobody saw the end, as after a power cut, nothing is known; and what a work of somebody else brings along, as a setup
/// that fails, must not stop an agent that serves everybody.
pub const fn counts_against(reason: FailureReason, own: bool) -> bool {
    match reason {
        FailureReason::AgentShutOut
        | FailureReason::Deadline
        | FailureReason::DiskFull
        | FailureReason::OutcomeUnknown => false,
        FailureReason::NotStarted => own,
        _ => true,
    }
}

/// Doubles with each attempt up to the longest; the upper half is jitter, so that many failures do not return at once.
pub fn backoff_ms(attempts: u32, env: &Env) -> u64 {
    let doubled = env.defaults.backoff_ms.saturating_mul(1 << attempts.saturating_sub(1).min(20));
    let longest = doubled.min(env.defaults.max_backoff_ms);
    longest / 2 + env.ids.jitter(longest / 2 + 1)
}

#[cfg(test)]
mod tests;
