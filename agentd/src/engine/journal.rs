//! The daemon's own log of what became durable: one line for each event, with the fields that `journalctl` filters by
//! (`journalctl AGENT_ID=fixer`). It names what happened and to what; content and reasons never stand in it.

use agentd_schemas::event::{Actor, Event, EventData, Subject};

macro_rules! line {
    ($level:ident, $event:expr) => {{
        let envelope = &$event.envelope;
        tracing::$level!(
            WORK_ID = work($event),
            AGENT_ID = agent($event),
            RUN_ID = envelope.run.map(|run| run.to_string()),
            EVENT = envelope.index,
            "{}: {}",
            envelope.subject,
            $event.data.type_name()
        );
    }};
}

/// Writes the line: what an operator looks for at night at `info`, the daily course of work at `debug`.
pub(super) fn write(event: &Event) {
    if is_noteworthy(&event.data) {
        line!(info, event);
    } else if tracing::enabled!(tracing::Level::DEBUG) {
        line!(debug, event);
    }
}

const fn is_noteworthy(data: &EventData) -> bool {
    matches!(
        data,
        EventData::AttemptFailed(_)
            | EventData::WorkFailed(_)
            | EventData::WorkExpired(_)
            | EventData::RunWaiting(_)
            | EventData::LeaseVoided(_)
            | EventData::ServiceLevelBreached(_)
            | EventData::AgentEnrolled(_)
            | EventData::AgentPaused(_)
            | EventData::AgentResumed(_)
            | EventData::AgentSuspended(_)
            | EventData::AgentRetired(_)
            | EventData::KeyRotated(_)
            | EventData::KeyRevoked(_)
            | EventData::KeyCertified(_)
            | EventData::ModelBound(_)
            | EventData::ModelMismatched(_)
            | EventData::Frozen(_)
            | EventData::Thawed(_)
            | EventData::ContentRedacted(_)
    )
}

fn work(event: &Event) -> Option<String> {
    match &event.envelope.subject {
        Subject::Work(id) => Some(id.to_string()),
        _ => None,
    }
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
