use agentd_schemas::problem::{Code, Problem};
use serde_json::{Value, json};

use crate::domain::Command;
use crate::engine::Engine;
use crate::engine::trial::{self, enrol, submit};
use crate::policy::Caller;

const OWNER: Caller = Caller::person(1000, true, false);

async fn add(engine: &Engine, name: &str, work: Value) -> Result<(), Problem> {
    let document = json!({"name": name, "cron": "0 4 * * *", "time_zone": "UTC", "work": work});
    engine.add_schedule(&OWNER, serde_json::from_value(document).unwrap(), None, None, b"").await.map(drop)
}

#[tokio::test]
async fn a_schedule_whose_work_can_never_be_submitted_is_refused_as_the_submit_would_be() {
    let (engine, _state) = trial::engine().await;
    enrol(&engine, &OWNER, "gone", 1).await;
    engine.set_agent_state(&OWNER, "gone", "retire", "old").await.unwrap();
    let over = submit(&engine, &OWNER, json!({"title": "over"})).await;
    engine.cancel(&OWNER, &over, "no").await.unwrap();
    for (work, code, words) in [
        (json!({"title": "x", "agent": "gone"}), Code::WrongState, "agent gone is retired"),
        (json!({"title": "x", "agent": "none"}), Code::NotFound, "no agent is named none"),
        (json!({"title": "x", "depends_on": [over]}), Code::WrongState, "which is cancelled"),
        (json!({"title": "x", "deadline": "2100-01-01T00:00:00Z"}), Code::InvalidDocument, "a deadline is one moment"),
    ] {
        let problem = add(&engine, "nightly", work).await.unwrap_err();
        assert!(problem.code == code && problem.message.contains(words), "{problem:?}");
        assert!(problem.hint.is_some(), "{problem:?}");
    }
    add(&engine, "nightly", json!({"title": "x"})).await.unwrap();
}

#[tokio::test]
async fn an_agent_that_nothing_holds_is_not_resumed() {
    let (engine, _state) = trial::engine().await;
    enrol(&engine, &OWNER, "fixer", 1).await;
    let problem = engine.set_agent_state(&OWNER, "fixer", "resume", "go on").await.unwrap_err();
    assert!(problem.code == Code::WrongState && problem.message.contains("it is probation"), "{problem:?}");
    engine.set_agent_state(&OWNER, "fixer", "pause", "look").await.unwrap();
    engine.revoke_key(&OWNER, "fixer", "lost").await.unwrap();
    let problem = engine.set_agent_state(&OWNER, "fixer", "resume", "go on").await.unwrap_err();
    assert!(problem.message.contains("its key is revoked"), "{problem:?}");
    assert!(problem.hint.unwrap().contains("agentctl agent rotate-key fixer"));
}

#[tokio::test]
async fn what_stands_still_until_somebody_acts_is_in_health_and_digest() {
    let (engine, _state) = trial::engine().await;
    for (seed, name) in [(1, "tired"), (2, "keyless"), (3, "resting")] {
        enrol(&engine, &OWNER, name, seed).await;
    }
    let pause =
        |agent: &str| Command::PauseAgent { agent: agent.parse().unwrap(), reason: "3 failures in a row".into() };
    engine.execute(&Caller::host(), pause("tired"), None).await.unwrap();
    engine.execute(&OWNER, pause("resting"), None).await.unwrap();
    engine.revoke_key(&OWNER, "keyless", "lost").await.unwrap();
    let told = engine.status(&OWNER).unwrap().health;
    let about = |words: &str| told.iter().any(|line| line.contains(words));
    assert!(about("agent tired was paused: 3 failures in a row (agentctl agent resume tired --reason"), "{told:?}");
    assert!(about("agentctl agent rotate-key keyless"), "{told:?}");
    assert!(!about("resting"), "a person knows whom it paused: {told:?}");
    let digest = engine.digest(&OWNER, engine.now()).unwrap();
    assert!(digest.attention.iter().all(|line| told.contains(line)) && digest.attention.len() == 2, "{digest:?}");
    let other = engine.status(&Caller::person(1001, false, false)).unwrap().health;
    assert!(!other.iter().any(|line| line.contains("tired") || line.contains("keyless")), "{other:?}");
}
