use agentd_schemas::document::objective::ObjectiveDocument;
use agentd_schemas::document::schedule::{Missed, Overlap};
use agentd_schemas::event::*;

use super::*;
use crate::domain::work::Reference;
use crate::ledger::project::told::{Told, time_of};

fn slug(text: &str) -> Slug {
    text.parse().unwrap()
}

fn id(byte: u8) -> ScheduleId {
    ScheduleId::from_bytes([byte; 10])
}

fn added(name: &str, owner: u32) -> ScheduleAdded {
    ScheduleAdded {
        name: slug(name),
        owner,
        cron: "@daily".to_owned(),
        time_zone: "UTC".to_owned(),
        missed: Missed::Once,
        overlap: Overlap::Skip,
        next: None,
        declared: None,
    }
}

/// One schedule with this id, whose ticks submit this document.
fn with_document(told: &mut Told, byte: u8, document: &str) {
    told.content(0, document.as_bytes());
    told.tell(Subject::Schedule(id(byte)), added(&format!("plan-{byte}"), 1000));
}

fn for_tick(told: &Told, byte: u8) -> ScheduleFacts {
    schedule(&told.db, id(byte), true, &Defaults::default()).unwrap().unwrap()
}

/// Why the work of a tick is refused.
fn refused(told: &Told, byte: u8) -> Problem {
    for_tick(told, byte).work.unwrap().unwrap_err()
}

#[test]
fn a_name_is_taken_by_a_schedule_of_the_same_owner_that_exists() {
    let mut told = Told::new();
    told.tell(Subject::Schedule(id(1)), added("nightly", 1000));
    told.tell(Subject::Schedule(id(2)), added("gone", 1000));
    told.tell(Subject::Schedule(id(2)), ScheduleRemoved {});
    for (owner, name, taken) in [(1000, "nightly", true), (1001, "nightly", false), (1000, "gone", false)] {
        let facts = add(&told.db, owner, &slug(name)).unwrap();
        assert_eq!((facts.name_taken, facts.count), (taken, 1), "{owner} {name}");
    }
}

#[test]
fn a_text_finds_schedules_by_name_and_by_the_beginning_of_the_id() {
    let mut told = Told::new();
    told.tell(Subject::Schedule(id(1)), added("nightly", 1000));
    told.tell(Subject::Schedule(id(2)), added("nightly", 1001));
    told.tell(Subject::Schedule(id(3)), added("gone", 1000));
    told.tell(Subject::Schedule(id(3)), ScheduleRemoved {});
    let whole = id(1).to_string();
    told.tell(Subject::Schedule(id(4)), added(&whole, 1001));
    let found = |owner, text: &str| find_schedule(&told.db, owner, text).unwrap();
    assert_eq!(found(Some(1000), "nightly"), [id(1)]);
    assert_eq!(found(None, "nightly"), [id(1), id(2)], "ambiguous for whoever sees both");
    assert_eq!(found(None, &whole), [id(1)], "a whole id is never somebody's name");
    assert_eq!(found(None, &id(2).short(6)), [id(2)]);
    assert_eq!(found(Some(1000), &id(2).short(6)), [], "not of this owner");
    assert_eq!(found(None, "s-"), []);
    assert_eq!(found(None, "night"), []);
    assert_eq!(found(None, "gone"), []);
    assert_eq!(found(None, &id(3).to_string()), []);
}

#[test]
fn no_text_finds_more_than_the_bound() {
    let mut told = Told::new();
    for byte in 0..20 {
        let mut bytes = [0; ID_BYTES];
        bytes[9] = byte;
        told.tell(Subject::Schedule(ScheduleId::from_bytes(bytes)), added(&format!("plan-{byte}"), 1000));
    }
    assert_eq!(find_schedule(&told.db, None, "s-aaaa").unwrap().len(), MAX_FOUND);
}

#[test]
fn the_facts_of_a_schedule_are_what_its_events_said() {
    let mut told = Told::new();
    told.tell(Subject::Schedule(id(1)), ScheduleAdded { time_zone: "UTC".to_owned(), ..added("nightly", 1000) });
    let load = |told: &Told| schedule(&told.db, id(1), false, &Defaults::default()).unwrap();
    let facts = load(&told).unwrap();
    assert_eq!((facts.id, facts.start, facts.last, facts.frozen), (id(1), time_of(0), None, false));
    assert_eq!(facts.added, added("nightly", 1000));
    assert_eq!((facts.state, facts.work, facts.unfinished), (ScheduleState::Active, None, Vec::new()));
    told.tell(Subject::Schedule(id(1)), SchedulePaused { reason: "rest".to_owned() });
    assert_eq!(load(&told).unwrap().state, ScheduleState::Paused);
    told.tell(Subject::Schedule(id(1)), ScheduleResumed { next: None });
    told.tell(Subject::Host, Frozen { scope: Scope::All, reason: "look".to_owned() });
    let facts = load(&told).unwrap();
    assert_eq!((facts.state, facts.last, facts.frozen), (ScheduleState::Active, Some(time_of(2)), true));
    told.tell(Subject::Schedule(id(1)), ScheduleRemoved {});
    assert!(load(&told).is_none(), "a removed one is gone");
    assert!(schedule(&told.db, id(9), true, &Defaults::default()).unwrap().is_none());
}

#[test]
fn freezing_one_agent_does_not_freeze_schedules() {
    let mut told = Told::new();
    with_document(&mut told, 1, r#"{"title":"tidy"}"#);
    told.tell(Subject::Host, Frozen { scope: Scope::Agent(slug("fixer")), reason: "look".to_owned() });
    assert!(!for_tick(&told, 1).frozen);
}

#[test]
fn works_that_are_not_over_are_listed_oldest_first() {
    let mut told = Told::new();
    with_document(&mut told, 1, r#"{"title":"tidy"}"#);
    for (key, state) in [(13, 2), (12, 7), (11, 4), (14, 10), (15, 6), (16, 2)] {
        told.work(key, [u8::try_from(key).unwrap(); 10], state, &[]);
    }
    told.db.execute("UPDATE works SET schedule = 0 WHERE key < 16", []).unwrap();
    let expected = [(11, WorkState::Running), (13, WorkState::Ready), (15, WorkState::Verifying)];
    assert_eq!(for_tick(&told, 1).unfinished, expected.map(|(byte, state)| (WorkId::from_bytes([byte; 10]), state)));
}

#[test]
fn no_more_works_are_listed_than_may_wait_and_one() {
    let mut told = Told::new();
    with_document(&mut told, 1, r#"{"title":"tidy"}"#);
    for key in 100..250 {
        told.work(key, [u8::try_from(key).unwrap(); 10], 2, &[]);
    }
    told.db.execute("UPDATE works SET schedule = 0", []).unwrap();
    assert_eq!(for_tick(&told, 1).unfinished.len(), MAX_QUEUED as usize + 1);
}

#[test]
fn the_work_of_a_tick_is_prepared_from_the_document_that_was_added() {
    let mut told = Told::new();
    with_document(&mut told, 1, r#"{"title":"tidy","priority":5}"#);
    let defaults = Defaults { max_attempts: 9, ..Defaults::default() };
    let facts = schedule(&told.db, id(1), true, &defaults).unwrap().unwrap();
    let work = facts.work.unwrap().unwrap();
    assert_eq!((work.spec.priority, work.spec.max_attempts), (5, 9));
    assert!(String::from_utf8(work.content).unwrap().contains("tidy"));
}

#[test]
fn references_of_the_document_are_whole_ids_or_beginnings_that_only_one_work_of_the_owner_has() {
    let mut told = Told::new();
    let works = [[1; 10], [2; 10], [2, 2, 2, 2, 2, 2, 2, 2, 2, 3], [3; 10]];
    for (key, bytes) in (100..).zip(works) {
        told.work(key, bytes, 2, &[]);
    }
    told.db.execute("UPDATE works SET owner = 7 WHERE key = 103", []).unwrap();
    let name = |nth: usize, chars| WorkId::from_bytes(works[nth]).short(chars);
    let cases = [
        (name(0, 16), Ok(works[0])),
        (WorkId::from_bytes([9; 10]).to_string(), Ok([9; 10])),
        (name(0, 5), Ok(works[0])),
        (name(1, 5), Err(Code::InvalidDocument)),
        (name(3, 5), Err(Code::NotFound)),
        ("w-aaa".to_owned(), Err(Code::InvalidDocument)),
        ("yesterday".to_owned(), Err(Code::InvalidDocument)),
    ];
    for (byte, (text, expected)) in (1..).zip(cases) {
        with_document(&mut told, byte, &format!(r#"{{"title":"tidy","depends_on":["{text}"]}}"#));
        let found = for_tick(&told, byte).work.unwrap();
        let found = found.map(|work| work.depends_on).map_err(|problem| problem.code);
        assert_eq!(found, expected.map(|bytes| vec![Reference::Work(WorkId::from_bytes(bytes))]), "{text}");
    }
}

#[test]
fn a_work_that_was_erased_or_cannot_be_read_is_refused_and_says_so() {
    let mut told = Told::new();
    with_document(&mut told, 1, r#"{"title":"tidy"}"#);
    told.tell(Subject::Host, ContentRedacted { event: 0, slot: 0, reason: "secret".to_owned() });
    assert_eq!(refused(&told, 1).code, Code::Redacted);
    with_document(&mut told, 2, r#"{"titel":"tidy"}"#);
    let problem = refused(&told, 2);
    assert!(problem.message.contains("plan-2") && problem.message.contains("titel"), "{problem}");
    with_document(&mut told, 3, "{}");
    assert_eq!(refused(&told, 3).code, Code::InvalidDocument);
}

#[test]
fn a_zone_that_is_no_longer_known_stops_ticks_and_nothing_else() {
    let mut told = Told::new();
    told.content(0, br#"{"title":"tidy"}"#);
    let lost = ScheduleAdded { time_zone: "Atlantis/Poseidonis".to_owned(), ..added("lost", 1000) };
    told.tell(Subject::Schedule(id(1)), lost);
    assert!(refused(&told, 1).message.contains("Atlantis/Poseidonis"));
    assert!(schedule(&told.db, id(1), false, &Defaults::default()).unwrap().is_some());
}

#[test]
fn a_schedule_whose_first_event_is_another_is_named() {
    let mut told = Told::new();
    told.tell(Subject::Schedule(id(1)), added("nightly", 1000));
    let load = |told: &Told| schedule(&told.db, id(1), false, &Defaults::default()).unwrap_err().to_string();
    let stopped = told.tell(Subject::Host, DaemonStopped { reason: "end".to_owned() });
    let sql = "UPDATE events SET body = (SELECT body FROM events WHERE idx = ?1) WHERE idx = 0";
    told.db.execute(sql, [stopped]).unwrap();
    assert_eq!(load(&told), "table schedules, row 0: its first event is DaemonStopped");
    told.db.execute("UPDATE events SET body = '{'", []).unwrap();
    assert!(load(&told).starts_with("event 0: "), "{}", load(&told));
}

#[test]
fn objectives_are_counted_by_owner() {
    let mut told = Told::new();
    let document = |name: &str| ObjectiveDocument {
        name: slug(name),
        labels: std::collections::BTreeMap::new(),
        indicator: agentd_schemas::document::objective::Indicator::Success,
        target_percent: "99".to_owned(),
        window: "28d".parse().unwrap(),
    };
    for (owner, name) in [(1000, "ci"), (1000, "docs"), (1001, "ci")] {
        let set = ObjectiveSet { owner, objective: document(name) };
        told.tell(Subject::Objective(format!("{owner}/{name}")), set);
    }
    for (owner, name, exists, count) in [(1000, "ci", true, 2), (1000, "new", false, 2), (7, "ci", false, 0)] {
        let facts = objective(&told.db, owner, &slug(name)).unwrap();
        assert_eq!((facts.existing, facts.count), (exists.then(|| document(name)), count), "{owner} {name}");
    }
    told.db.execute("UPDATE objectives SET document = '{}'", []).unwrap();
    let error = objective(&told.db, 1000, &slug("ci")).unwrap_err().to_string();
    assert!(error.contains("objective ci"), "{error}");
}
