use agentd_schemas::event::*;
use agentd_schemas::id::WorkId;

use super::*;
use crate::ledger::project::told::Told;

fn agent() -> Scope {
    Scope::Agent("fixer".parse().unwrap())
}

#[test]
fn a_quiet_host_is_neither_frozen_nor_held() {
    let facts = facts(&Told::new().db, None).unwrap();
    assert_eq!((facts.frozen, facts.clock_held, facts.scope_exists), (Vec::new(), None, true));
}

#[test]
fn freezes_and_a_held_clock_are_seen() {
    let mut told = Told::new();
    for scope in [Scope::All, Scope::Work(WorkId::from_bytes([1; 10])), agent()] {
        told.tell(Subject::Host, Frozen { scope, reason: "look".to_owned() });
    }
    told.tell(Subject::Host, ClockJumped { by_ms: -7_200_000 });
    let facts = facts(&told.db, None).unwrap();
    assert_eq!(facts.frozen, [Scope::All, agent(), Scope::Work(WorkId::from_bytes([1; 10]))]);
    assert_eq!(facts.clock_held, Some(-7_200_000));
}

#[test]
fn a_scope_exists_when_its_work_or_agent_does() {
    let told = Told::new();
    told.work(5, [5; 10], 2, &[]);
    for (scope, exists) in [
        (Scope::All, true),
        (Scope::Work(WorkId::from_bytes([5; 10])), true),
        (Scope::Work(WorkId::from_bytes([6; 10])), false),
        (agent(), false),
    ] {
        assert_eq!(facts(&told.db, Some(&scope)).unwrap().scope_exists, exists, "{scope:?}");
    }
}

#[test]
fn content_is_there_erased_or_under_hold() {
    let mut told = Told::new();
    for slot in [0, 1] {
        told.content(slot, b"text");
    }
    told.tell(Subject::Host, DaemonStopped { reason: "end".to_owned() });
    told.content(0, b"text");
    told.tell(Subject::Host, ContentRedacted { event: 0, slot: 1, reason: "secret".to_owned() });
    let there = RedactFacts { exists: true, erased: false, held: false };
    assert_eq!(redact(&told.db, 0, 0).unwrap(), there);
    assert_eq!(redact(&told.db, 0, 1).unwrap(), RedactFacts { erased: true, ..there });
    assert_eq!(redact(&told.db, 1, 0).unwrap(), there);
    for (event, slot) in [(0, 2), (0, 16), (2, 0), (i64::MAX.unsigned_abs(), 0)] {
        assert!(!redact(&told.db, event, slot).unwrap().exists, "{event} {slot}");
    }
    told.work(0, [1; 10], 2, &[]);
    assert_eq!(redact(&told.db, 1, 0).unwrap(), there, "not held");
    told.db.execute("UPDATE works SET held = 1", []).unwrap();
    assert_eq!(redact(&told.db, 1, 0).unwrap(), RedactFacts { held: true, ..there }, "any event of the work");
}

#[test]
fn a_scope_that_no_event_can_have_written_is_named() {
    let told = Told::new();
    told.db.execute("INSERT INTO frozen (scope, idx) VALUES ('everything', 9)", []).unwrap();
    let error = frozen(&told.db).unwrap_err().to_string();
    assert!(error.starts_with("table frozen, row 9: scope:"), "{error}");
}
