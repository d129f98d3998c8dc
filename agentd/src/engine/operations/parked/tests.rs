use agentd_schemas::document::request::WorkFilter;
use agentd_schemas::view::SubmittedView;
use serde_json::json;

use crate::engine::Engine;
use crate::engine::trial::{self, enrol, submit};
use crate::policy::Caller;

const OWNER: Caller = Caller::person(1000, false, false);

fn states(engine: &Engine) -> Vec<String> {
    let page = engine.works(&OWNER, &WorkFilter::default()).unwrap();
    page.works.into_iter().map(|row| row.state).collect()
}

#[tokio::test]
async fn other_queues_of_the_same_number_are_other_queues() {
    let (engine, _state) = trial::engine().await;
    enrol(&engine, &OWNER, "fixer", 1).await;
    let first = submit(&engine, &OWNER, json!({"title": "a", "agent": "fixer"})).await;
    let second = submit(&engine, &OWNER, json!({"title": "b", "required_skills": ["sing"]})).await;
    submit(&engine, &OWNER, json!({"title": "c"})).await;
    // A queue in the middle goes and comes back: as many queues, the same newest one.
    engine.cancel(&OWNER, &second, "later").await.unwrap();
    assert_eq!(states(&engine), ["ready", "cancelled", "ready"]);
    engine.cancel(&OWNER, &first, "later").await.unwrap();
    engine.retry(&OWNER, &second, "now").await.unwrap();
    assert_eq!(states(&engine), ["ready", "parked", "cancelled"]);
    assert_eq!(engine.why(&OWNER, &second).unwrap().state, "parked");
    assert_eq!(engine.status(&OWNER).unwrap().works.get("parked"), Some(&1));
}

#[tokio::test]
async fn a_submit_and_a_list_have_the_same_word() {
    let (engine, _state) = trial::engine().await;
    enrol(&engine, &OWNER, "fixer", 1).await;
    enrol(&engine, &OWNER, "singer", 2).await;
    engine.set_agent_state(&OWNER, "singer", "pause", "hoarse").await.unwrap();
    let works: Vec<_> = [
        json!({"title": "a", "required_skills": ["sing"]}),
        json!({"title": "b", "agent": "singer"}),
        json!({"title": "c"}),
        json!({"title": "d", "not_before": "2999-01-01T00:00:00Z"}),
    ]
    .map(trial::document)
    .into();
    let words = |view: SubmittedView| view.works.into_iter().map(|work| work.state).collect::<Vec<_>>();
    let expected = ["parked", "parked", "ready", "scheduled"];
    assert_eq!(words(engine.check(&OWNER, works.clone()).await.unwrap()), expected);
    assert_eq!(words(engine.submit(&OWNER, works.clone(), Some("k"), b"").await.unwrap()), expected);
    assert_eq!(words(engine.submit(&OWNER, works, Some("k"), b"").await.unwrap()), expected);
    let mut listed = states(&engine);
    listed.reverse();
    assert_eq!(listed, expected);
}

#[test]
fn what_was_judged_may_change_who_is_able_and_nothing_else_of_a_run_does() {
    use agentd_schemas::event::{AttemptFailed, EventData, FailureReason};
    let failed = |reason| {
        let data = AttemptFailed {
            agent: "fixer".parse().unwrap(),
            reason,
            verdicts: Vec::new(),
            retry_after_ms: None,
            artefacts: Vec::new(),
            commit: None,
        };
        crate::engine::shows_skill(&EventData::AttemptFailed(data))
    };
    assert!(failed(FailureReason::Rejected));
    assert!(!failed(FailureReason::LeaseExpired));
}
