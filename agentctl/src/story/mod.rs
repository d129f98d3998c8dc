//! Events in words. One sentence for each event; what a newer agentd wrote and this one does not know is told by its
//! type. Nothing is left out of `--json`, which never comes here.

mod actor;
mod held;
mod plan;
pub(crate) mod run;
mod work;

use agentd_schemas::event::{Actor, Event, EventData, WaitReason};
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::WorkView;
use serde::Deserialize;

use crate::output::plain;

pub(crate) use actor::{frozen, scope};
pub(crate) use held::Held;
pub(crate) use work::{verdict, waits_for};

/// One event, told.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// Its place in the log.
    pub(crate) index: u64,
    /// Kind of the subject.
    pub(crate) subject: String,
    /// Id of the subject.
    pub(crate) id: String,
    /// When; absent where the event is not understood.
    pub(crate) time: Option<WallMs>,
    /// Who.
    pub(crate) actor: String,
    /// What, in words that are safe to print.
    pub(crate) words: String,
    /// The event, where it is understood.
    pub(crate) event: Option<Event>,
}

/// What every event of every version has.
#[derive(Deserialize)]
struct Head {
    index: u64,
    subject: String,
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    time: Option<WallMs>,
    #[serde(default)]
    actor: String,
}

/// Tells the event with these exact bytes; `None` where they are no event at all.
pub(crate) fn tell(body: &str) -> Option<Told> {
    let head: Head = serde_json::from_str(body).ok()?;
    let event = Event::from_bytes(body.as_bytes()).ok();
    let words =
        event.as_ref().map_or_else(|| head.kind.clone(), |event| format!("{}{}", attempt(event), words(&event.data)));
    Some(Told {
        index: head.index,
        subject: plain(&head.subject),
        id: plain(&head.id),
        time: head.time,
        actor: plain(&head.actor),
        words: plain(&words),
        event,
    })
}

/// Which attempt an event about a program speaks of: `attempt 2: `.
fn attempt(event: &Event) -> String {
    match (&event.data, event.envelope.run) {
        (EventData::RunEnded(_) | EventData::ProgramExited(_), Some(run)) => format!("attempt {}: ", run.attempt),
        _ => String::new(),
    }
}

/// What happened, in words.
fn words(data: &EventData) -> String {
    work::words(data)
        .or_else(|| actor::words(data))
        .or_else(|| plan::words(data))
        .unwrap_or_else(|| data.type_name().to_owned())
}

/// A stable word as people write it: `lease_expired` as `lease expired`.
fn spaced(word: &str) -> String {
    word.replace('_', " ")
}

/// The wire form of a word that serde writes, with spaces.
pub(crate) fn serde_word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => spaced(&word),
        Ok(serde_json::Value::Object(map)) => map.keys().map(|key| spaced(key)).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }
}

/// What the run of a work asked a person, while it waits for the answer: its newest note.
pub(crate) fn question(view: &WorkView) -> Option<&str> {
    if view.waiting_for != Some(WaitReason::Person) {
        return None;
    }
    let agent = Actor::Agent(view.row.agent.clone()?).to_string();
    view.notes.iter().rfind(|note| note.actor == agent).map(|note| note.text.as_str())
}

/// Why an attempt failed, in words.
pub(crate) fn failure(reason: agentd_schemas::event::FailureReason) -> String {
    serde_word(&reason)
}

/// Where an amount comes from, in a word.
pub(crate) fn source(source: agentd_schemas::event::AmountSource) -> String {
    serde_word(&source)
}

#[cfg(test)]
mod tests {
    use agentd_schemas::event::*;

    use super::*;

    #[test]
    fn no_known_type_is_told_by_its_type_name_alone() {
        let source = include_str!("work.rs").to_owned() + include_str!("actor.rs") + include_str!("plan.rs");
        for kind in EventData::TYPES {
            assert!(source.contains(&format!("EventData::{kind}(")), "{kind} has no words");
        }
    }

    #[test]
    fn an_event_of_a_newer_agentd_is_told_by_its_type() {
        let told = tell(r#"{"v":9,"index":4,"subject":"work","id":"w-a","type":"WorkTeleported"}"#).unwrap();
        assert_eq!((told.index, told.words.as_str()), (4, "WorkTeleported"));
        assert!(told.event.is_none());
        assert!(tell("{}").is_none());
    }

    #[test]
    fn words_of_others_cannot_drive_the_terminal() {
        let data = EventData::from(WorkCancelled { reason: "no\u{1b}[2J".to_owned() });
        assert_eq!(plain(&words(&data)), "cancelled: no\\u{1b}[2J");
    }
}
