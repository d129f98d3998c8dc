use agentd_schemas::document::work::OnDependencyFailure;
use agentd_schemas::event::{EventData, WorkState};
use agentd_schemas::id::WorkId;
use agentd_schemas::unit::duration::Span;

use super::*;
use crate::domain::fixture::{self, names};

fn met() -> Vec<Verdict> {
    vec![Verdict { criterion: 0, kind: "person".to_owned(), sha256: None, met: Some(true), evidence: None }]
}

#[test]
fn a_probation_ends_with_the_fifth_judged_work_and_with_none_that_nobody_judged() {
    let (work, env) = (fixture::work(), fixture::env());
    let agent = AgentFacts { judged_in_epoch: 4, accepted_in_epoch: 4, ..fixture::agent() };
    assert_eq!(names(&completed(&work, &agent, met(), &env)), ["WorkCompleted", "AgentActivated"]);
    assert_eq!(names(&completed(&work, &agent, Vec::new(), &env)), ["WorkCompleted"]);
    let third = AgentFacts { judged_in_epoch: 2, accepted_in_epoch: 2, ..fixture::agent() };
    assert_eq!(names(&completed(&work, &third, met(), &env)), ["WorkCompleted"]);
}

#[test]
fn what_another_model_did_ends_no_probation() {
    let mut agent = AgentFacts { judged_in_epoch: 4, accepted_in_epoch: 4, ..fixture::agent() };
    agent.candidate.epoch = 2;
    assert_eq!(names(&completed(&fixture::work(), &agent, met(), &fixture::env())), ["WorkCompleted"]);
}

#[test]
fn a_dependant_goes_on_when_its_last_dependency_is_met() {
    let env = fixture::env();
    let later = env.wall.saturating_add("1h".parse::<Span>().unwrap());
    let waits = Dependant {
        id: WorkId::from_bytes([2; 10]),
        state: WorkState::Blocked,
        unmet: 1,
        on_failure: OnDependencyFailure::Cancel,
        not_before: None,
    };
    let cases = [
        (waits.clone(), Some("WorkReadied")),
        (Dependant { unmet: 2, ..waits.clone() }, None),
        (Dependant { state: WorkState::Cancelled, ..waits.clone() }, None),
        (Dependant { not_before: Some(later), ..waits.clone() }, Some("WorkScheduled")),
        (Dependant { not_before: Some(env.wall), ..waits }, Some("WorkReadied")),
    ];
    for (dependant, expected) in cases {
        let draft = hand_off(&dependant, "dependencies_completed", &env);
        assert_eq!(draft.map(|draft| draft.data.type_name()), expected, "{dependant:?}");
    }
}

#[test]
fn the_last_attempt_fails_the_work_and_the_third_failure_in_a_row_pauses_the_agent() {
    let (first, env) = (fixture::work(), fixture::env());
    let last = WorkFacts { attempts: 2, ..fixture::work() };
    let tired = AgentFacts { failures_in_a_row: 2, ..fixture::agent() };
    let fails = |work: &WorkFacts, agent: &AgentFacts, reason| {
        attempt_failed(work, agent, reason, Vec::new(), None, &env, |draft| draft)
    };
    let retried = fails(&first, &fixture::agent(), FailureReason::Rejected);
    assert_eq!(names(&retried), ["AttemptFailed"]);
    assert!(matches!(&retried[0].data, EventData::AttemptFailed(data) if data.retry_after_ms.is_some()));
    assert_eq!(names(&fails(&last, &fixture::agent(), FailureReason::Rejected)), ["AttemptFailed", "WorkFailed"]);
    assert_eq!(names(&fails(&first, &tired, FailureReason::Rejected)), ["AttemptFailed", "AgentPaused"]);
    for reason in [FailureReason::AgentShutOut, FailureReason::DiskFull, FailureReason::OutcomeUnknown] {
        assert_eq!(names(&fails(&first, &tired, reason)), ["AttemptFailed"], "{reason:?}");
    }
    assert_eq!(names(&fails(&first, &tired, FailureReason::Deadline)), ["AttemptFailed", "WorkFailed"]);
    assert_eq!(names(&fails(&first, &tired, FailureReason::NotStarted)), ["AttemptFailed", "AgentPaused"]);
    let mut foreign = fixture::work();
    std::sync::Arc::make_mut(&mut foreign.spec).owner += 1;
    assert_eq!(names(&fails(&foreign, &tired, FailureReason::NotStarted)), ["AttemptFailed"], "not its owner's work");
    assert_eq!(names(&fails(&foreign, &tired, FailureReason::Rejected)), ["AttemptFailed", "AgentPaused"]);
}

#[test]
fn a_backoff_doubles_up_to_its_longest_and_half_of_it_is_jitter() {
    let env = fixture::env();
    for (attempts, longest) in [(1, 1_000), (2, 2_000), (5, 16_000), (11, 600_000), (4_000_000_000, 600_000)] {
        let backoff = backoff_ms(attempts, &env);
        assert!((longest / 2..=longest).contains(&backoff), "attempt {attempts}: {backoff}");
    }
}
