use agentd_schemas::document::request::{EventFilter, Scope};
use agentd_schemas::event::{AccountLimitSet, ContentRedacted, Event, Frozen, NoteAdded, ObjectiveSet, Subject};
use agentd_schemas::log::note::{SignedNote, VerifierKey};
use agentd_schemas::problem::{Code, Problem};

use super::{Log, Work, agent, no_limit, operator, person};
use crate::domain::Draft;
use crate::ledger::query::QueryError;
use crate::ledger::query::ledger::{content, events, head};
use crate::policy::Viewer;

/// Events of every kind of subject, of two owners.
fn history() -> (Log, Work) {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    log.agent("other", 1001, &[]);
    let work = log.submit(1000, "work", |_| {});
    let foreign = log.submit(1001, "foreign", |_| {});
    log.claim(work, "fixer", 1);
    for n in 0..9 {
        let of = if n % 3 == 0 { foreign } else { work };
        log.tell_by(of.owner, Draft::new(Subject::Work(of.id), NoteAdded {}));
    }
    for account in ["owner:1000/day", "agent:other/day", "host/day"] {
        let limit = AccountLimitSet { max_cost_micro_usd: Some(5), ..no_limit() };
        log.tell_by(0, Draft::new(Subject::Account(account.to_owned()), limit));
    }
    let objective =
        serde_json::from_value(serde_json::json!({ "name": "all", "target_percent": "99", "window": "28d" })).unwrap();
    log.tell(Subject::Objective("1000/all".to_owned()), ObjectiveSet { owner: 1000, objective });
    log.tell(Subject::Host, Frozen { scope: Scope::All, reason: "look".to_owned() });
    (log, work)
}

/// Every page of a filter, three rows at a time.
fn pages(log: &Log, viewer: &Viewer, filter: &EventFilter) -> Vec<Event> {
    let mut filter = EventFilter { limit: Some(3), ..filter.clone() };
    let mut all = Vec::new();
    loop {
        let page = events(&log.conn, viewer, &filter).unwrap();
        all.extend(page.events.iter().map(|event| Event::from_bytes(event.body.as_bytes()).unwrap()));
        let over = if filter.newest_first { page.next == 0 } else { page.next == page.size };
        if over {
            return all;
        }
        assert_ne!(page.next, filter.since, "a page that goes on gets further");
        filter.since = page.next;
    }
}

fn indexes(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.envelope.index).collect()
}

fn is_of(subject: &Subject, uid: u32) -> bool {
    let names = match uid {
        1000 => ["fixer", "1000"],
        _ => ["other", "1001"],
    };
    match subject {
        Subject::Host => false,
        Subject::Agent(name) => name.as_str() == names[0],
        Subject::Objective(id) => id.starts_with(names[1]),
        Subject::Account(id) => id.contains(names[0]) || id.contains(names[1]),
        Subject::Work(_) | Subject::Schedule(_) => unreachable!("works are compared by their events"),
    }
}

#[test]
fn a_page_shows_what_belongs_to_the_viewer_and_no_more() {
    let (log, work) = history();
    let everything = pages(&log, &operator(), &EventFilter::default());
    assert_eq!(indexes(&everything), (0..log.appender.size()).collect::<Vec<_>>());
    for uid in [1000, 1001] {
        let expected: Vec<u64> = everything
            .iter()
            .filter(|event| match &event.envelope.subject {
                Subject::Work(id) => (*id == work.id) == (uid == 1000),
                subject => is_of(subject, uid),
            })
            .map(|event| event.envelope.index)
            .collect();
        assert!(expected.len() > 4);
        assert_eq!(indexes(&pages(&log, &person(uid), &EventFilter::default())), expected, "uid {uid}");
    }
    assert!(pages(&log, &person(7), &EventFilter::default()).is_empty());
    let own = pages(&log, &agent("fixer"), &EventFilter::default());
    assert!(own.iter().all(|event| match &event.envelope.subject {
        Subject::Work(id) => *id == work.id,
        Subject::Agent(name) => name.as_str() == "fixer",
        Subject::Account(id) => id.starts_with("agent:fixer"),
        _ => false,
    }));
    assert!(own.len() > 4);
}

#[test]
fn every_filter_finds_what_a_look_at_all_events_finds() {
    let (log, work) = history();
    let everything = pages(&log, &operator(), &EventFilter::default());
    let id = work.text();
    for (subject, name) in [
        (None, None),
        (Some("work"), None),
        (Some("work"), Some(id.as_str())),
        (Some("agent"), Some("fixer")),
        (Some("host"), None),
        (Some("account"), Some("host/day")),
        (Some("objective"), Some("1000/all")),
    ] {
        for event_type in [None, Some("NoteAdded")] {
            for actor in [None, Some("uid:1001")] {
                for since in [0, 4, 9, 1000] {
                    for newest_first in [false, true] {
                        let filter = EventFilter {
                            since,
                            subject: subject.map(str::to_owned),
                            id: name.map(str::to_owned),
                            event_type: event_type.map(str::to_owned),
                            actor: actor.map(str::to_owned),
                            limit: None,
                            newest_first,
                        };
                        let mut expected: Vec<u64> = everything
                            .iter()
                            .filter(|event| {
                                let envelope = &event.envelope;
                                let in_reach = if newest_first {
                                    since == 0 || envelope.index < since
                                } else {
                                    envelope.index >= since
                                };
                                in_reach
                                    && subject.is_none_or(|kind| envelope.subject.kind().as_str() == kind)
                                    && name.is_none_or(|name| envelope.subject.id() == name)
                                    && event_type.is_none_or(|name| event.data.type_name() == name)
                                    && actor.is_none_or(|actor| envelope.actor.to_string() == actor)
                            })
                            .map(|event| event.envelope.index)
                            .collect();
                        if newest_first {
                            expected.reverse();
                        }
                        assert_eq!(indexes(&pages(&log, &operator(), &filter)), expected, "{filter:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_subject_of_another_is_not_found() {
    let (log, work) = history();
    let id = work.text();
    for (kind, name) in [
        ("work", id.as_str()),
        ("agent", "fixer"),
        ("account", "owner:1000/day"),
        ("objective", "1000/all"),
        ("host", "host"),
    ] {
        let filter =
            EventFilter { subject: Some(kind.to_owned()), id: Some(name.to_owned()), ..EventFilter::default() };
        let answer = events(&log.conn, &person(1001), &filter);
        assert!(matches!(answer, Err(QueryError::NotFound { .. })), "{kind} {name}: {answer:?}");
        assert!(events(&log.conn, &operator(), &filter).is_ok(), "{kind} {name}");
    }
}

#[test]
fn an_objective_may_be_named_without_its_owner() {
    let (log, _) = history();
    let filter =
        EventFilter { subject: Some("objective".to_owned()), id: Some("all".to_owned()), ..EventFilter::default() };
    assert_eq!(pages(&log, &person(1000), &filter).len(), 1);
}

#[test]
fn a_filter_that_means_nothing_is_refused_with_its_field() {
    let log = Log::new();
    for (filter, field) in [
        (EventFilter { subject: Some("works".to_owned()), ..EventFilter::default() }, "subject"),
        (EventFilter { id: Some("x".to_owned()), ..EventFilter::default() }, "id"),
        (EventFilter { event_type: Some("NoteTaken".to_owned()), ..EventFilter::default() }, "type"),
        (EventFilter { actor: Some("root".to_owned()), ..EventFilter::default() }, "actor"),
        (EventFilter { limit: Some(5000), ..EventFilter::default() }, "limit"),
    ] {
        let problem = Problem::from(events(&log.conn, &operator(), &filter).unwrap_err());
        assert_eq!(problem.code, Code::InvalidDocument);
        assert!(problem.message.contains(field), "{problem:?}");
    }
}

#[test]
fn a_page_is_bounded_by_its_bytes() {
    let mut log = Log::new();
    let work = log.submit(1000, "work", |_| {});
    let words = "x".repeat(60_000);
    for _ in 0..80 {
        let paused = agentd_schemas::event::HoldPlaced { reason: words.clone() };
        log.tell(Subject::Work(work.id), paused);
    }
    let filter = EventFilter { limit: Some(1000), ..EventFilter::default() };
    let page = events(&log.conn, &operator(), &filter).unwrap();
    let bytes: usize = page.events.iter().map(|event| event.body.len()).sum();
    assert!(bytes <= 4 << 20 && page.events.len() > 60);
    assert_eq!(page.next, page.events.last().unwrap().index + 1);
}

#[test]
fn the_head_is_the_signed_checkpoint() {
    let (log, _) = history();
    let view = head(&log.conn).unwrap();
    assert_eq!((view.size, view.incarnation), (log.appender.size(), 1));
    assert_eq!(view.origin, "h-test.agentd.internal/log/1");
    let key: VerifierKey = view.log_key.parse().unwrap();
    let note = SignedNote::parse(&view.checkpoint).unwrap();
    assert_eq!(note.verify(&[key]).unwrap().len(), 1);
    assert!(note.text().contains(&view.root));
}

#[test]
fn content_is_given_to_who_may_see_the_event() {
    let (mut log, work) = history();
    let event = work.key.unsigned_abs();
    let bytes = content(&log.conn, &person(1000), event, 0).unwrap();
    assert!(bytes.starts_with(br#"{"title":"work""#));
    for (viewer, event, slot) in
        [(person(1001), event, 0), (person(1000), event, 1), (person(1000), event, 16), (operator(), u64::MAX, 0)]
    {
        let answer = content(&log.conn, &viewer, event, slot);
        assert!(matches!(answer, Err(QueryError::NotFound { kind: "content", .. })), "{answer:?}");
    }
    log.tell(Subject::Host, ContentRedacted { event, slot: 0, reason: "asked to".to_owned() });
    assert!(matches!(content(&log.conn, &person(1000), event, 0), Err(QueryError::Redacted { .. })));
    assert!(matches!(content(&log.conn, &person(1001), event, 0), Err(QueryError::NotFound { .. })));
}
