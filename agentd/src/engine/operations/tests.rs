//! A request under a key counts once, whatever became of the world since.

use agentd_schemas::http::{Children, Claim, ClaimRequest, Cost, Directive, Fail, Note, Reserve};
use serde_json::{Value, json};

use super::*;
use crate::domain::Defaults;
use crate::engine::trial::{self, document, enrol, submit};
use crate::sys::scratch::Scratch;

const OWNER: Caller = Caller::person(1000, false, false);

async fn claimed() -> (Engine, Scratch, Caller, Claim) {
    let (engine, state) = trial::engine().await;
    enrol(&engine, &OWNER, "fixer", 1).await;
    submit(&engine, &OWNER, json!({"title": "x", "limits": {"max_attempts": 1}})).await;
    let agent = Caller::agent("fixer".parse().unwrap(), 1000);
    let claim = engine.claim(&agent, &ClaimRequest::default()).await.unwrap().unwrap();
    (engine, state, agent, claim)
}

fn said<T: serde::de::DeserializeOwned>(claim: &Claim, mut body: Value) -> T {
    body["fence"] = json!(claim.fence);
    serde_json::from_value(body).unwrap()
}

#[tokio::test]
async fn what_an_agent_says_twice_under_a_key_counts_once() {
    let (engine, _state, agent, claim) = claimed().await;
    let reserve: Reserve = said(&claim, json!({"micro_usd": 500, "key": "r"}));
    let first = engine.reserve(&agent, claim.run, &reserve).await.unwrap();
    assert!(first.reservation.is_some());
    assert_eq!(engine.reserve(&agent, claim.run, &reserve).await.unwrap().reservation, first.reservation);
    let cost: Cost = said(&claim, json!({"micro_usd": 7, "tokens": 3, "key": "c"}));
    let note: Note = said(&claim, json!({"text": "half", "key": "n"}));
    let ask: Note = said(&claim, json!({"text": "which?", "key": "a"}));
    for _ in 0..2 {
        assert_eq!(engine.cost(&agent, claim.run, &cost).await.unwrap().directive, Directive::Continue);
        engine.run_note(&agent, claim.run, &note).await.unwrap();
    }
    let size = *engine.size().borrow();
    for _ in 0..2 {
        assert_eq!(engine.ask(&agent, claim.run, &ask).await.unwrap().directive, Directive::Wait);
    }
    assert_eq!(*engine.size().borrow(), size + 2, "a question, and that it waits, once");
    let work = serde_json::to_value(engine.work(&OWNER, &claim.work.to_string()).unwrap()).unwrap();
    assert_eq!(work["runs"][0]["tokens"], 3, "{work}");
    let other: Cost = said(&claim, json!({"micro_usd": 8, "key": "c"}));
    assert_eq!(engine.cost(&agent, claim.run, &other).await.unwrap_err().code, Code::KeyReused);
}

#[tokio::test]
async fn a_run_does_not_fill_the_ledger_with_notes_and_its_costs_are_taken_still() {
    let (engine, _state, agent, claim) = claimed().await;
    let (most, text) = (crate::domain::work::share::MAX_RUN_NOTE_BYTES, "x".repeat(64 << 10));
    let note: Note = said(&claim, json!({"text": text}));
    for _ in 0..most / text.len() as u64 {
        engine.run_note(&agent, claim.run, &note).await.unwrap();
    }
    let size = *engine.size().borrow();
    let more: Note = said(&claim, json!({"text": "one more"}));
    let refused = engine.run_note(&agent, claim.run, &more).await.unwrap_err();
    assert!(refused.code == Code::TooLarge && refused.hint.is_some(), "{refused}");
    assert_eq!(engine.ask(&agent, claim.run, &more).await.unwrap_err().code, Code::TooLarge);
    assert_eq!(*engine.size().borrow(), size, "nothing was written");
    let cost: Cost = said(&claim, json!({"tokens": 3}));
    engine.cost(&agent, claim.run, &cost).await.unwrap();
}

#[tokio::test]
async fn a_repeat_is_answered_when_the_attempt_is_over() {
    let (engine, _state, agent, claim) = claimed().await;
    let cost: Cost = said(&claim, json!({"tokens": 3, "key": "c"}));
    engine.cost(&agent, claim.run, &cost).await.unwrap();
    let children = || -> Children { said(&claim, json!({"works": [{"title": "part"}], "key": "k"})) };
    let parts = engine.children(&agent, claim.run, children()).await.unwrap();
    let fail: Fail = said(&claim, json!({"message": "no", "key": "f"}));
    let failed = engine.fail(&agent, claim.run, &fail).await.unwrap();
    assert_eq!(engine.fail(&agent, claim.run, &fail).await.unwrap().state, failed.state);
    let status = engine.cost(&agent, claim.run, &cost).await.unwrap();
    assert_eq!((status.directive, status.lease_s), (Directive::Wait, 0));
    let again = engine.children(&agent, claim.run, children()).await.unwrap();
    assert!(again.repeated && again.works[0].id == parts.works[0].id);
    let fresh: Cost = said(&claim, json!({"tokens": 3, "key": "d"}));
    assert_eq!(engine.cost(&agent, claim.run, &fresh).await.unwrap_err().code, Code::StaleFence);
}

#[tokio::test]
async fn the_key_is_looked_at_before_what_the_works_refer_to() {
    let (engine, _state) = trial::engine().await;
    let works = |after: &str| vec![document(json!({"title": "x", "depends_on": [after]}))];
    let before = submit(&engine, &OWNER, json!({"title": "first"})).await;
    let body = b"the same bytes";
    let submitted = engine.submit(&OWNER, works(&before[..8]), Some("k"), body).await.unwrap();
    // By now the prefix means nothing that could be told apart.
    let again = engine.submit(&OWNER, works("w-7kq3x2mb"), Some("k"), body).await.unwrap();
    assert!(again.repeated && again.works[0].id == submitted.works[0].id);
    let other = engine.submit(&OWNER, works("w-7kq3x2mb"), Some("k"), b"other bytes").await.unwrap_err();
    assert_eq!(other.code, Code::KeyReused);
    let fresh = engine.submit(&OWNER, works("w-7kq3x2mb"), Some("l"), body).await.unwrap_err();
    assert_eq!(fresh.code, Code::NotFound);
}

#[tokio::test]
async fn one_owner_has_a_share_of_agents_and_schedules() {
    let shares = Defaults { max_agents_per_owner: 1, max_schedules_per_owner: 1, ..Defaults::default() };
    let (engine, _state) = trial::engine_with(shares).await;
    enrol(&engine, &OWNER, "fixer", 1).await;
    enrol(&engine, &Caller::person(1001, false, false), "other", 2).await;
    let full = trial::enrolled(&engine, &OWNER, "second", 3).await.unwrap_err();
    assert!(full.code == Code::Busy && full.hint.unwrap().contains("limits.max_agents_per_owner"));
    engine.set_agent_state(&OWNER, "fixer", "retire", "old").await.unwrap();
    enrol(&engine, &OWNER, "second", 3).await;
    let plan = |name: &str| {
        serde_json::from_value(json!({"name": name, "cron": "0 3 * * *", "work": {"title": "sweep"}})).unwrap()
    };
    engine.add_schedule(&OWNER, plan("a"), None, None, b"").await.unwrap();
    engine.add_schedule(&Caller::person(1001, false, false), plan("a"), None, None, b"").await.unwrap();
    let full = engine.add_schedule(&OWNER, plan("b"), None, None, b"").await.unwrap_err();
    assert!(full.code == Code::Busy && full.hint.unwrap().contains("limits.max_schedules_per_owner"));
    engine.remove_schedule(&OWNER, "a").await.unwrap();
    engine.add_schedule(&OWNER, plan("b"), None, None, b"").await.unwrap();
}

#[tokio::test]
async fn a_schedule_that_was_added_under_a_key_is_shown_again() {
    let (engine, _state) = trial::engine().await;
    let add = |zone: &str| {
        let plan = json!({"name": "nightly", "cron": "0 3 * * *", "time_zone": zone, "work": {"title": "sweep"}});
        serde_json::from_value(plan).unwrap()
    };
    let first = engine.add_schedule(&OWNER, add("UTC"), None, Some("k"), b"b").await.unwrap();
    engine.remove_schedule(&OWNER, "nightly").await.unwrap();
    let again = engine.add_schedule(&OWNER, add("No/Where"), None, Some("k"), b"b").await.unwrap();
    assert_eq!(first.id, again.id);
}
