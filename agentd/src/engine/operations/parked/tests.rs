use agentd_schemas::document::request::WorkFilter;
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

#[test]
fn what_was_judged_may_change_who_is_able_and_nothing_else_of_a_run_does() {
    use agentd_schemas::event::{AttemptFailed, EventData, FailureReason};
    let failed = |reason| {
        let data =
            AttemptFailed { agent: "fixer".parse().unwrap(), reason, verdicts: Vec::new(), retry_after_ms: None };
        crate::engine::shows_skill(&EventData::AttemptFailed(data))
    };
    assert!(failed(FailureReason::Rejected));
    assert!(!failed(FailureReason::LeaseExpired));
}
