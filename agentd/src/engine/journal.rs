//! The daemon's own log of what became durable: one line for each event, with the fields that `journalctl` filters by
//! (`journalctl AGENT_ID=fixer`). It names what happened and to what; content and reasons never stand in it.

use agentd_schemas::event::{Actor, Event, EventData, FailureReason, Subject};

use super::live::LiveRuns;
use super::message_ids;

macro_rules! line {
    ($level:ident, $event:expr, $message_id:expr, $agent:expr) => {{
        let envelope = &$event.envelope;
        tracing::$level!(
            MESSAGE_ID = $message_id,
            WORK_ID = work($event),
            AGENT_ID = $agent,
            RUN_ID = envelope.run.map(|run| run.to_string()),
            EVENT = envelope.index,
            "{}: {}",
            envelope.subject,
            $event.data.type_name()
        );
    }};
}

/// Writes the line: what an operator looks for at night at `info`, the daily course of work at `debug`. What an event of a
/// run does not say itself is known of the run while it lives.
pub(super) fn write(event: &Event, living: &LiveRuns) {
    let message_id = message_id(&event.data);
    if message_id.is_some() {
        line!(info, event, message_id, agent(event).or_else(|| of_run(event, living)));
    } else if tracing::enabled!(tracing::Level::DEBUG) {
        line!(debug, event, message_id, agent(event).or_else(|| of_run(event, living)));
    }
}

/// What the line is known by; none for the daily course of work.
fn message_id(data: &EventData) -> Option<&'static str> {
    Some(match data {
        EventData::AttemptFailed(failed) if failed.reason == FailureReason::OutcomeUnknown => message_ids::RUN_LOST,
        EventData::AttemptFailed(_) => message_ids::ATTEMPT_FAILED,
        EventData::RunStarted(started) if started.confinement.is_some() => message_ids::RUN_STARTED,
        EventData::RunEnded(_) => message_ids::RUN_ENDED,
        EventData::WorkFailed(_) => message_ids::WORK_FAILED,
        EventData::WorkExpired(_) => message_ids::WORK_EXPIRED,
        EventData::RunWaiting(_) => message_ids::RUN_WAITING,
        EventData::LeaseVoided(_) => message_ids::LEASE_VOIDED,
        EventData::ServiceLevelBreached(_) => message_ids::SERVICE_LEVEL_BREACHED,
        EventData::AgentEnrolled(_) => message_ids::AGENT_ENROLLED,
        EventData::AgentPaused(_) => message_ids::AGENT_PAUSED,
        EventData::AgentResumed(_) => message_ids::AGENT_RESUMED,
        EventData::AgentSuspended(_) => message_ids::AGENT_SUSPENDED,
        EventData::AgentRetired(_) => message_ids::AGENT_RETIRED,
        EventData::KeyRotated(_) => message_ids::KEY_ROTATED,
        EventData::KeyRevoked(_) => message_ids::KEY_REVOKED,
        EventData::KeyCertified(_) => message_ids::KEY_CERTIFIED,
        EventData::ModelBound(_) => message_ids::MODEL_BOUND,
        EventData::ModelMismatched(_) => message_ids::MODEL_MISMATCHED,
        EventData::Frozen(_) => message_ids::FROZEN,
        EventData::Thawed(_) => message_ids::THAWED,
        EventData::ContentRedacted(_) => message_ids::CONTENT_REDACTED,
        _ => return None,
    })
}

fn work(event: &Event) -> Option<String> {
    match &event.envelope.subject {
        Subject::Work(id) => Some(id.to_string()),
        _ => None,
    }
}

fn of_run(event: &Event, living: &LiveRuns) -> Option<String> {
    let run = event.envelope.run?;
    // Another attempt may live by now, and be another agent's.
    let live = living.get(run.work).filter(|live| live.run.attempt == run.attempt)?;
    Some(live.agent.to_string())
}

fn agent(event: &Event) -> Option<String> {
    match (&event.envelope.subject, &event.data, &event.envelope.actor) {
        (Subject::Agent(name), _, _) => Some(name.to_string()),
        (_, EventData::WorkClaimed(data), _) => Some(data.agent.to_string()),
        (_, EventData::WorkCompleted(data), _) => Some(data.agent.to_string()),
        (_, EventData::AttemptFailed(data), _) => Some(data.agent.to_string()),
        (_, _, Actor::Agent(name)) => Some(name.to_string()),
        _ => None,
    }
}
