use agentd_schemas::document::PersonAcceptance;
use agentd_schemas::event::{
    AmountSource, CostReserved, CostSettled, Criterion, FailureReason, HoldPlaced, NoteAdded, RunStarted,
    ServiceLevelBreached, ServiceLevelKind, Subject, WaitReason, WorkState,
};
use agentd_schemas::id::RunId;
use sha2::{Digest as _, Sha256};

use super::{Log, Work, at, never, operator, person, unknown};
use crate::domain::Draft;
use crate::ledger::query::QueryError;
use crate::ledger::query::works::{Pulse, show};

fn note(log: &mut Log, work: Work, text: &str) -> i64 {
    let draft = Draft::new(Subject::Work(work.id), NoteAdded {});
    log.tell_by(1000, draft.with_blob(0, agentd_schemas::content::TEXT, text))
}

#[test]
fn a_work_shows_what_was_asked_and_its_links() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    let first = log.submit(1000, "first", |_| {});
    let parent = log.submit(1000, "parent", |_| {});
    let work = log.submit(1000, "work", |spec| {
        spec.state = WorkState::Blocked;
        spec.depends_on = vec![first.id];
        spec.parent = Some(parent.id);
        spec.labels.insert("team".parse().unwrap(), "core".parse().unwrap());
        spec.required_skills = vec!["rust".parse().unwrap()];
        spec.agent = Some("fixer".parse().unwrap());
        spec.deadline = Some(at(900));
        spec.finish_by = Some(at(800));
        spec.timeout_ms = Some(60_000);
        spec.max_cost_micro_usd = Some(2_000_000);
        spec.max_tokens = Some(500);
        spec.acceptance = vec![Criterion::Person(PersonAcceptance::Owner)];
    });
    let last = log.submit(1000, "last", |spec| {
        spec.state = WorkState::Blocked;
        spec.depends_on = vec![work.id];
    });
    log.tell(Subject::Work(work.id), HoldPlaced { reason: "kept".to_owned() });
    log.tell(Subject::Work(work.id), ServiceLevelBreached { level: ServiceLevelKind::Finish, due: at(3) });
    let view = show(&log.conn, &person(1000), &work.text(), &never, &unknown).unwrap();
    let linked = |links: &[agentd_schemas::view::work::Linked]| -> Vec<_> {
        links.iter().map(|link| (link.id, link.state.clone())).collect()
    };
    assert_eq!(view.instructions.as_deref(), Some("do work"));
    assert_eq!(view.inputs, Some(serde_json::json!({ "n": 1 })));
    assert_eq!(linked(&view.depends_on), [(first.id, "ready".to_owned())]);
    assert_eq!(linked(&view.dependants), [(last.id, "blocked".to_owned())]);
    assert_eq!(view.parent.map(|link| link.id), Some(parent.id));
    assert_eq!((view.deadline, view.finish_by, view.timeout_ms), (Some(at(900)), Some(at(800)), Some(60_000)));
    assert_eq!(view.max_cost.unwrap().to_string(), "2.00 USD");
    assert_eq!((view.max_tokens, view.max_attempts, view.version), (Some(500), 3, 3));
    assert_eq!((view.held, &view.breaches[..]), (true, &["finish".to_owned()][..]));
    assert_eq!((view.acceptance.len(), view.labels.len(), view.required_skills.len()), (1, 1, 1));
    assert_eq!(view.only_agent.unwrap().as_str(), "fixer");
    let parent = show(&log.conn, &person(1000), &parent.text(), &never, &unknown).unwrap();
    assert_eq!(linked(&parent.children), [(work.id, "blocked".to_owned())]);
}

#[test]
fn the_attempts_show_results_verdicts_failures_and_money() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    let work = log.submit(1000, "work", |spec| spec.max_cost_micro_usd = Some(1_000_000));
    let subject = || Subject::Work(work.id);
    let claim = log.claim(work, "fixer", 1);
    log.tell(subject(), RunStarted::default());
    let charged = vec!["host/day/2026-11-22".to_owned()];
    let reserved = CostReserved { micro_usd: 300, tokens: 30, accounts: charged.clone() };
    let reservation = log.tell(subject(), reserved);
    let settled = |reservation: Option<i64>, released: u64| CostSettled {
        reservation: reservation.map(i64::unsigned_abs),
        micro_usd: Some(200),
        tokens: 20,
        source: AmountSource::Reported,
        effective_model: None,
        released_micro_usd: released,
        released_tokens: released / 10,
        accounts: charged.clone(),
    };
    let run = RunId { work: work.id, attempt: 1 };
    log.tell_by(1000, Draft::new(subject(), settled(Some(reservation), 300)).in_run(run, 1));
    log.tell_by(1000, Draft::new(subject(), CostReserved { micro_usd: 50, tokens: 5, accounts: charged.clone() }));
    let over = log.reject(work, "fixer", "[1]", Some(5));
    log.ready(work);
    log.claim(work, "fixer", 2);
    log.complete(work, "fixer", r#"{"done": true}"#);
    let view = show(&log.conn, &person(1000), &work.text(), &never, &unknown).unwrap();
    let [first, second] = &view.runs[..] else { panic!("two attempts were made: {:?}", view.runs) };
    assert_eq!((first.id.attempt, first.outcome.as_str(), first.failure), (1, "failed", Some(FailureReason::Rejected)));
    assert_eq!((first.claimed_at, first.ended_at), (at(claim), Some(at(over))));
    assert_eq!((first.fence.incarnation, first.fence.n), (1, claim.unsigned_abs()));
    assert_eq!(first.message.as_deref(), Some("/: not an object"));
    assert_eq!(first.verdicts[0].met, Some(false));
    assert_eq!(first.result, Some(serde_json::json!([1])));
    assert_eq!((first.spent.0.as_micro(), first.tokens), (200, 20));
    assert_eq!(first.sources, [AmountSource::Reported]);
    assert_eq!((second.outcome.as_str(), second.failure), ("completed", None));
    assert_eq!(second.result, Some(serde_json::json!({ "done": true })));
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(br#"{"done": true}"#));
    assert_eq!(second.result_sha256, Some(digest));
    assert_eq!(view.row.state, "completed");
}

#[test]
fn a_result_that_is_text_stays_text() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    let work = log.submit(1000, "work", |_| {});
    log.claim(work, "fixer", 1);
    let data = agentd_schemas::event::WorkCompleted {
        agent: "fixer".parse().unwrap(),
        verdicts: Vec::new(),
        artefacts: Vec::new(),
        commit: None,
    };
    let draft = Draft::new(Subject::Work(work.id), data);
    log.tell_by(1000, draft.with_blob(1, agentd_schemas::content::TEXT, "42"));
    let view = show(&log.conn, &person(1000), &work.text(), &never, &unknown).unwrap();
    assert_eq!(view.runs[0].result, Some(serde_json::json!("42")));
}

#[test]
fn a_verifying_run_shows_its_result_and_undecided_verdict() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    let work = log.submit(1000, "work", |_| {});
    log.claim(work, "fixer", 1);
    log.judge(work, r#""hello""#);
    let view = show(&log.conn, &person(1000), &work.text(), &never, &unknown).unwrap();
    let [run] = &view.runs[..] else { panic!("one attempt was made") };
    assert_eq!((run.outcome.as_str(), run.verdicts[0].met), ("verifying", None));
    assert_eq!(run.result, Some(serde_json::json!("hello")));
}

#[test]
fn a_live_run_shows_what_memory_knows_of_it() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    let work = log.submit(1000, "work", |_| {});
    log.claim(work, "fixer", 1);
    log.wait(work, WaitReason::Budget { account: "work".to_owned(), micro_usd: 1, tokens: 0 });
    let live = |run: RunId| {
        assert_eq!(run, RunId { work: work.id, attempt: 1 });
        Some(Pulse { progress: Some("reading".to_owned()), heartbeat_at: at(77) })
    };
    let view = show(&log.conn, &person(1000), &work.text(), &never, &live).unwrap();
    assert_eq!(view.runs[0].progress.as_deref(), Some("reading"));
    assert_eq!(view.runs[0].heartbeat_at, Some(at(77)));
    assert_eq!(view.waiting_for, Some(WaitReason::Budget { account: "work".to_owned(), micro_usd: 1, tokens: 0 }));
}

#[test]
fn notes_stand_in_the_order_in_which_they_were_written() {
    let mut log = Log::new();
    let work = log.submit(1000, "work", |_| {});
    let first = note(&mut log, work, "one");
    note(&mut log, work, "two");
    log.conn.execute("UPDATE blobs SET data = NULL, salt = NULL WHERE id = ?1", [first * 16]).unwrap();
    let view = show(&log.conn, &person(1000), &work.text(), &never, &unknown).unwrap();
    let notes: Vec<_> = view.notes.iter().map(|note| (note.actor.as_str(), note.at, note.text.as_str())).collect();
    assert_eq!(notes, [("uid:1000", at(first), "(redacted)"), ("uid:1000", at(first + 1), "two")]);
}

#[test]
fn linked_works_are_capped_at_a_hundred() {
    let mut log = Log::new();
    let parent = log.submit(1000, "parent", |_| {});
    for n in 0..103 {
        log.submit(1000, &n.to_string(), |spec| spec.parent = Some(parent.id));
    }
    let view = show(&log.conn, &person(1000), &parent.text(), &never, &unknown).unwrap();
    assert_eq!(view.children.len(), 100);
}

#[test]
fn old_results_make_room_for_the_newest() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    let work = log.submit(1000, "work", |_| {});
    let large = format!("\"{}\"", "x".repeat(3 << 20));
    for attempt in 1..=2 {
        log.claim(work, "fixer", attempt);
        log.reject(work, "fixer", &large, Some(5));
        log.ready(work);
    }
    let view = show(&log.conn, &person(1000), &work.text(), &never, &unknown).unwrap();
    let shown: Vec<bool> = view.runs.iter().map(|run| run.result.is_some()).collect();
    assert_eq!(shown, [false, true]);
    assert!(view.runs.iter().all(|run| run.message.is_some()));
}

#[test]
fn a_work_of_another_is_not_found() {
    let mut log = Log::new();
    let work = log.submit(1000, "work", |_| {});
    let answer = show(&log.conn, &person(1001), &work.text(), &never, &unknown);
    assert!(matches!(answer, Err(QueryError::NotFound { kind: "work", .. })));
    assert!(show(&log.conn, &operator(), &work.text(), &never, &unknown).is_ok());
}
