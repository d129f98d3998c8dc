use agentd_schemas::document::PersonAcceptance;
use agentd_schemas::event::{Criterion, FailureReason, WorkState};

use super::{Log, at};
use crate::domain::work::judge::acceptance_digest;
use crate::ledger::query::QueryError;
use crate::ledger::query::claim::claim_document;

#[test]
fn a_claim_carries_all_that_the_agent_needs() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &["rust"]);
    let before = log.submit(1000, "before", |_| {});
    log.claim(before, "fixer", 1);
    log.complete(before, "fixer", r#"{"found": 3}"#);
    let criteria = vec![Criterion::JsonSchema { sha256: "11".repeat(32) }, Criterion::Person(PersonAcceptance::Owner)];
    let work = log.submit(1000, "work", |spec| {
        spec.depends_on = vec![before.id];
        spec.required_skills = vec!["rust".parse().unwrap()];
        spec.acceptance.clone_from(&criteria);
        spec.max_cost_micro_usd = Some(1000);
        spec.max_tokens = Some(10);
        spec.timeout_ms = Some(90_000);
        spec.finish_by = Some(at(500));
        spec.state = WorkState::Ready;
    });
    let run = log.claim(work, "fixer", 1);
    log.conn
        .execute(
            "UPDATE works SET spent = 300, reserved = 200, tokens = 4, reserved_tokens = 9 WHERE key = ?1",
            [work.key],
        )
        .unwrap();
    let (claim, _) = claim_document(&log.conn, run).unwrap();
    assert_eq!((claim.work, claim.run.attempt, claim.attempt, claim.max_attempts), (work.id, 1, 1, 3));
    assert_eq!((claim.fence.incarnation, claim.fence.n, claim.lease_s), (1, run.unsigned_abs(), 60));
    assert_eq!((claim.title.as_str(), claim.instructions.as_str()), ("work", "do work"));
    assert_eq!(claim.schemas, [serde_json::json!({ "type": "object" })]);
    assert!(claim.judged_by_person);
    assert_eq!(claim.acceptance, acceptance_digest(&criteria));
    assert_eq!((claim.cost_left_micro_usd, claim.tokens_left), (Some(500), Some(0)));
    assert_eq!((claim.timeout_s, claim.finish_by), (Some(90), Some(at(500))));
    let [dependency] = &claim.dependencies[..] else { panic!("it has one dependency") };
    assert_eq!((dependency.work, dependency.title.as_str()), (before.id, "before"));
    assert_eq!(dependency.result.as_deref(), Some(r#"{"found": 3}"#));
    assert!(claim.previous.is_none());
}

#[test]
fn the_next_attempt_learns_what_became_of_the_one_before() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    let work = log.submit(1000, "work", |_| {});
    log.claim(work, "fixer", 1);
    log.reject(work, "fixer", "[1]", Some(5));
    log.ready(work);
    let run = log.claim(work, "fixer", 2);
    let previous = claim_document(&log.conn, run).unwrap().0.previous.unwrap();
    assert_eq!(previous.reason, FailureReason::Rejected);
    assert_eq!(previous.verdicts[0].met, Some(false));
    assert_eq!(previous.message.as_deref(), Some("/: not an object"));
    assert_eq!(previous.result.as_deref(), Some("[1]"));
}

#[test]
fn dependency_results_beyond_the_bound_are_left_out() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    let large = format!("\"{}\"", "x".repeat(3 << 20));
    let mut ids = Vec::new();
    for n in 0..3 {
        let work = log.submit(1000, &n.to_string(), |_| {});
        log.claim(work, "fixer", 1);
        log.complete(work, "fixer", &large);
        ids.push(work.id);
    }
    let work = log.submit(1000, "work", |spec| spec.depends_on.clone_from(&ids));
    let run = log.claim(work, "fixer", 1);
    let (claim, _) = claim_document(&log.conn, run).unwrap();
    let given: Vec<bool> = claim.dependencies.iter().map(|dependency| dependency.result.is_some()).collect();
    assert_eq!(given, [true, true, false]);
}

#[test]
fn a_run_that_never_was_is_not_found() {
    let log = Log::new();
    assert!(matches!(claim_document(&log.conn, 99), Err(QueryError::NotFound { kind: "run", .. })));
}
