//! Deadlines and service levels of one work.

use agentd_schemas::document::work::OnDeadline;
use agentd_schemas::event::{FailureReason, ServiceLevelBreached, ServiceLevelKind, WorkExpired, WorkState};

use super::{WorkFacts, ending};
use crate::domain::agent::AgentFacts;
use crate::domain::{Decision, Draft, Env};

/// The deadline came: not started means expired; running means a breach, or the end where the work says `stop`.
pub fn pass(work: &WorkFacts, agent: Option<&AgentFacts>, env: &Env) -> Decision {
    let Some(due) = work.spec.deadline.filter(|due| env.has_come(*due)) else { return Ok(Vec::new()) };
    if work.state.is_past() {
        return Ok(Vec::new());
    }
    if work.state.is_future() {
        return Ok(vec![work.draft(WorkExpired {}).by_host()]);
    }
    if work.breached_deadline {
        return Ok(Vec::new());
    }
    let breached = ServiceLevelBreached { level: ServiceLevelKind::Deadline, due };
    let mut drafts = vec![work.draft(breached).by_host()];
    if let (OnDeadline::Stop, true, Some(agent)) = (work.spec.on_deadline, work.state.is_leased(), agent) {
        let words = Some("its deadline came".to_owned());
        drafts.extend(ending::attempt_failed(
            work,
            agent,
            FailureReason::Deadline,
            Vec::new(),
            words,
            env,
            Draft::by_host,
        ));
    }
    Ok(drafts)
}

/// A service level was missed. It is noted once, and the work goes on.
pub fn breach(work: &WorkFacts, level: ServiceLevelKind, env: &Env) -> Decision {
    let (due, missed) = match level {
        ServiceLevelKind::Start => {
            (work.spec.latest_start, work.attempts == 0 && work.state.is_future() && !work.breached_start)
        }
        ServiceLevelKind::Finish => (work.spec.finish_by, !work.state.is_past() && !work.breached_finish),
        ServiceLevelKind::Deadline => return Ok(Vec::new()),
    };
    match due {
        Some(due) if missed && env.has_come(due) && work.state != WorkState::Completed => {
            Ok(vec![work.draft(ServiceLevelBreached { level, due }).by_host()])
        }
        _ => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests;
