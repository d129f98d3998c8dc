use std::collections::BTreeSet;

use agentd_schemas::document::schedule::{Missed, Overlap};
use agentd_schemas::event::{ScheduleAdded, ScheduleRemoved, Subject};
use agentd_schemas::id::{ScheduleId, WorkId};
use agentd_schemas::problem::{Code, Problem};
use proptest::prelude::*;

use super::{Log, agent, operator, person};
use crate::ledger::query::{QueryError, resolve};

/// Works with these ids, and nothing else of them.
fn bare(ids: &BTreeSet<[u8; 10]>) -> Log {
    let log = Log::new();
    let sql = "INSERT INTO works (key, id, version, state, owner, queue, priority, latest_start, max_attempts, changed,
                 changed_by) VALUES (?1, ?2, 1, 2, 1000, 1, 0, 0, 2, 0, 0)";
    for (id, key) in ids.iter().zip(1_i64..) {
        log.conn.execute(sql, (key, id)).unwrap();
    }
    log
}

fn ids(last_bytes: &[u8]) -> BTreeSet<[u8; 10]> {
    last_bytes.iter().map(|last| [0, 0, 0, 0, 0, 0, 0, 0, 0, *last]).collect()
}

#[test]
fn a_prefix_finds_its_work_with_and_without_the_letter() {
    let mut log = Log::new();
    let work = log.submit(1000, "one", |_| {});
    let text = work.text();
    for written in [&text[..], &text[2..], &text[..6], &text[2..7]] {
        let found = resolve::work(&log.conn, &person(1000), written).unwrap();
        assert_eq!((found.key, found.id), (work.key, work.id), "{written}");
    }
}

#[test]
fn what_names_no_work_is_not_found() {
    let mut log = Log::new();
    log.submit(1000, "one", |_| {});
    for written in ["", "w-", "w-1", "W-AAAA", "s-aaaa", "w-aaaaaaaaaaaaaaaaa", "é"] {
        let error = resolve::work(&log.conn, &operator(), written).unwrap_err();
        assert!(matches!(error, QueryError::NotFound { kind: "work", .. }), "{written}: {error}");
    }
}

#[test]
fn an_ambiguous_prefix_names_at_most_five_candidates() {
    let log = bare(&ids(&[1, 2, 3, 4, 5, 6, 7]));
    let problem = Problem::from(resolve::work(&log.conn, &operator(), "aaaa").unwrap_err());
    assert_eq!(problem.code, Code::Ambiguous);
    let candidates = problem.details["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 5);
    assert!(candidates.iter().all(|id| id.as_str().unwrap().parse::<WorkId>().is_ok()));
    let letter = Problem::from(resolve::work(&log.conn, &operator(), "w-").unwrap_err());
    assert_eq!((letter.code, letter.details), (Code::Ambiguous, problem.details));
}

#[test]
fn a_stranger_cannot_tell_a_work_of_another_from_none() {
    let mut log = Log::new();
    let work = log.submit(1000, "one", |_| {});
    let (text, missing) = (work.text(), WorkId::from_bytes([9; 10]).to_string());
    let answer = |text: &str| resolve::work(&log.conn, &person(1001), text).unwrap_err().to_string();
    assert_eq!(answer(&text).replace(&text, "…"), answer(&missing).replace(&missing, "…"));
}

#[test]
fn a_work_of_another_does_not_make_a_prefix_ambiguous() {
    let log = bare(&ids(&[1, 200]));
    log.conn.execute("UPDATE works SET owner = 1001 WHERE key = 2", []).unwrap();
    assert_eq!(resolve::work(&log.conn, &person(1000), "aaaa").unwrap().key, 1);
    assert!(matches!(resolve::work(&log.conn, &operator(), "aaaa"), Err(QueryError::Ambiguous { .. })));
}

#[test]
fn an_agent_sees_the_work_that_it_has_and_no_other() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    log.agent("other", 1000, &[]);
    let mine = log.submit(1000, "mine", |_| {});
    let free = log.submit(1000, "free", |_| {});
    log.claim(mine, "fixer", 1);
    assert_eq!(resolve::work(&log.conn, &agent("fixer"), &mine.text()).unwrap().key, mine.key);
    for (viewer, work) in [("fixer", free), ("other", mine)] {
        assert!(resolve::work(&log.conn, &agent(viewer), &work.text()).is_err(), "{viewer}");
    }
}

fn schedule(log: &mut Log, owner: u32, name: &str, id: [u8; 10]) -> Subject {
    let subject = Subject::Schedule(ScheduleId::from_bytes(id));
    let added = ScheduleAdded {
        name: name.parse().unwrap(),
        owner,
        cron: "@daily".to_owned(),
        time_zone: "UTC".to_owned(),
        missed: Missed::Once,
        overlap: Overlap::Skip,
        next: None,
        declared: None,
    };
    log.tell(subject.clone(), added);
    subject
}

#[test]
fn a_schedule_is_found_by_its_name_and_by_its_id() {
    let mut log = Log::new();
    let id = ScheduleId::from_bytes([3; 10]);
    schedule(&mut log, 1000, "nightly", [3; 10]);
    let text = id.to_string();
    for written in ["nightly", &text, &text[2..], &text[..6]] {
        assert_eq!(resolve::schedule(&log.conn, &person(1000), written).unwrap().id, id, "{written}");
        assert!(resolve::schedule(&log.conn, &person(1001), written).is_err(), "{written}");
    }
}

#[test]
fn ones_own_schedule_goes_before_those_of_others_with_the_same_name() {
    let mut log = Log::new();
    schedule(&mut log, 0, "nightly", [1; 10]);
    schedule(&mut log, 1000, "nightly", [2; 10]);
    schedule(&mut log, 1001, "weekly", [3; 10]);
    schedule(&mut log, 1002, "weekly", [4; 10]);
    let found = |text: &str| resolve::schedule(&log.conn, &operator(), text);
    assert_eq!(found("nightly").unwrap().id, ScheduleId::from_bytes([1; 10]));
    let Err(QueryError::Ambiguous { candidates, .. }) = found("weekly") else { panic!("two are named weekly") };
    assert_eq!(candidates.len(), 2);
}

#[test]
fn a_removed_schedule_is_found_by_its_whole_id_alone() {
    let mut log = Log::new();
    let subject = schedule(&mut log, 1000, "nightly", [3; 10]);
    log.tell(subject.clone(), ScheduleRemoved {});
    let found = |text: &str| resolve::schedule(&log.conn, &person(1000), text).is_ok();
    assert!(found(&subject.id()));
    assert!(!found("nightly") && !found(&subject.id()[..8]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_short_id_is_the_shortest_that_finds_its_work(
        ids in prop::collection::btree_set(prop::array::uniform10(prop_oneof![Just(0_u8), Just(1), Just(0xf0), any::<u8>()]), 1..40),
    ) {
        let log = bare(&ids);
        for id in &ids {
            let id = WorkId::from_bytes(*id);
            let short = resolve::short(&log.conn, &id).unwrap();
            prop_assert_eq!(resolve::work(&log.conn, &operator(), &short).unwrap().id, id);
            if short.len() > 6 {
                let shorter = resolve::work(&log.conn, &operator(), &short[..short.len() - 1]);
                prop_assert!(matches!(shorter, Err(QueryError::Ambiguous { .. })), "{short} is not the shortest");
            }
        }
    }
}
