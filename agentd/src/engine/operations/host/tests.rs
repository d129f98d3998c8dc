use agentd_schemas::document::request::WorkFilter;
use agentd_schemas::event::Assurance;
use agentd_schemas::http::ClaimRequest;
use serde_json::json;

use super::*;
use crate::engine::trial::{self, document, enrol, submit};

const OWNER: Caller = Caller::person(1000, false, false);
const STRANGER: Caller = Caller::person(1001, false, false);
const OPERATOR: Caller = Caller::person(0, true, false);

async fn running(engine: &Engine) -> String {
    enrol(engine, &OWNER, "fixer", 1).await;
    let id = submit(engine, &OWNER, json!({"title": "private"})).await;
    let agent = Caller::agent("fixer".parse().unwrap(), 1000);
    engine.claim(&agent, &ClaimRequest::default()).await.unwrap().unwrap();
    id
}

#[tokio::test]
async fn a_freeze_report_names_only_what_its_reader_may_know_of() {
    let (engine, _state) = trial::engine().await;
    let id = running(&engine).await;
    let report = engine.freeze(&OPERATOR, Scope::All, "look").await.unwrap();
    assert_eq!((report.runs, report.unconfirmed.len()), (1, 1));
    assert!(report.unconfirmed[0].contains(&id), "{report:?}");
    assert_eq!(engine.freeze_report(&OWNER, &Scope::All).unwrap(), report);
    let none = FreezeReport { runs: 0, confirmed: 0, unconfirmed: Vec::new(), ending: Vec::new() };
    assert_eq!(engine.freeze_report(&STRANGER, &Scope::All).unwrap(), none);
    for scope in [Scope::Work(id.parse().unwrap()), Scope::Agent("fixer".parse().unwrap())] {
        assert_eq!(engine.freeze_report(&OWNER, &scope).unwrap().runs, 1);
        assert_eq!(engine.freeze_report(&STRANGER, &scope).unwrap_err().code, Code::NotFound);
    }
}

#[tokio::test]
async fn a_freeze_names_a_cancelled_run_until_its_agent_heard_of_it() {
    let (engine, _state) = trial::engine().await;
    enrol(&engine, &OWNER, "fixer", 1).await;
    let id = submit(&engine, &OWNER, json!({"title": "x"})).await;
    let agent = Caller::agent("fixer".parse().unwrap(), 1000);
    let claim = engine.claim(&agent, &ClaimRequest::default()).await.unwrap().unwrap();
    engine.cancel(&OWNER, &id, "enough").await.unwrap();
    let report = engine.freeze(&OPERATOR, Scope::All, "look").await.unwrap();
    assert_eq!((report.runs, report.ending.len()), (0, 1), "{report:?}");
    assert!(report.ending[0].contains(&id), "{report:?}");
    assert_eq!(engine.freeze_report(&STRANGER, &Scope::All).unwrap().ending, [""; 0]);
    let beat = serde_json::from_value(json!({"fence": claim.fence})).unwrap();
    assert_eq!(engine.heartbeat(&agent, claim.run, beat).unwrap_err().code, Code::StaleFence);
    assert_eq!(engine.freeze_report(&OPERATOR, &Scope::All).unwrap().ending, [""; 0]);
}

#[tokio::test]
async fn a_heartbeat_for_what_never_was_leaves_nothing() {
    let (engine, _state) = trial::engine().await;
    enrol(&engine, &OWNER, "fixer", 1).await;
    let agent = Caller::agent("fixer".parse().unwrap(), 1000);
    for _ in 0..20 {
        let beat = serde_json::from_value(json!({"fence": "1.7"})).unwrap();
        let problem = engine.heartbeat(&agent, "w-7kq3x2mbnd5fa6uz.1".parse().unwrap(), beat).unwrap_err();
        assert_eq!(problem.code, Code::NotFound, "{problem}");
    }
    assert_eq!(trial::recorded(&engine), [""; 0]);
}

#[tokio::test]
async fn reads_are_counted_and_those_of_others_by_themselves() {
    let (engine, _state) = trial::engine().await;
    let id = submit(&engine, &OWNER, json!({"title": "x"})).await;
    let before = engine.0.reads.counts();
    engine.work(&OWNER, &id).unwrap();
    engine.works(&OWNER, &WorkFilter::default()).unwrap();
    engine.work(&STRANGER, &id).unwrap_err();
    engine.work(&OPERATOR, &id).unwrap();
    engine.works(&OPERATOR, &WorkFilter::default()).unwrap();
    let after = engine.0.reads.counts();
    assert_eq!((after.own - before.own, after.others - before.others), (2, 2));
    assert_eq!(engine.status(&OWNER).unwrap().reads, agentd_schemas::view::Reads::default());
    assert_eq!(engine.status(&OPERATOR).unwrap().reads.others, after.others);
}

#[tokio::test]
async fn a_freeze_of_a_work_ends_with_the_work() {
    let (engine, _state) = trial::engine().await;
    let id = submit(&engine, &OWNER, json!({"title": "x"})).await;
    let scope = Scope::Work(id.parse().unwrap());
    engine.freeze(&OWNER, scope.clone(), "look").await.unwrap();
    assert_eq!(engine.status(&OWNER).unwrap().frozen, std::slice::from_ref(&scope));
    engine.cancel(&OWNER, &id, "enough").await.unwrap();
    assert_eq!(engine.status(&OWNER).unwrap().frozen, []);
    assert_eq!(engine.freeze(&OWNER, scope, "late").await.unwrap_err().code, Code::WrongState);
}

#[tokio::test]
async fn an_agent_of_another_owner_is_no_agent_to_submit_to() {
    let (engine, _state) = trial::engine().await;
    enrol(&engine, &OWNER, "fixer", 1).await;
    enrol(&engine, &OWNER, "gone", 2).await;
    engine.set_agent_state(&OWNER, "gone", "retire", "old").await.unwrap();
    let to = |agent: &str| document(json!({"title": "x", "agent": agent}));
    engine.check(&OWNER, vec![to("fixer")]).await.unwrap();
    let alike = async |agent: &str| {
        let problem = engine.check(&STRANGER, vec![to(agent)]).await.unwrap_err();
        (problem.code, problem.message.replace(agent, "…"), problem.hint)
    };
    assert_eq!(alike("ghost").await.0, Code::NotFound);
    assert_eq!(alike("fixer").await, alike("ghost").await);
    assert_eq!(alike("gone").await, alike("ghost").await);
}

#[tokio::test]
async fn who_may_not_is_told_in_words_of_the_group_that_may() {
    let (engine, _state) = trial::engine().await;
    let governed = |caller: Caller| caller.governed_by("admins".into());
    let outsider = governed(STRANGER.outside_of("users".into()));
    let auditor = governed(Caller::person(1002, false, true).outside_of("users".into()));
    for caller in [governed(STRANGER), outsider.clone(), auditor] {
        let problem = engine.freeze(&caller, Scope::All, "look").await.unwrap_err();
        assert_eq!(problem.message, format!("{} may not freeze or manage the host", caller.actor));
        assert!(problem.hint.as_deref().is_some_and(|hint| hint.contains("usermod -aG admins")), "{problem:?}");
    }
    // What members may, its own or not, membership helps to.
    let submitted = engine.submit(&outsider, vec![document(json!({"title": "x"}))], None, b"").await.unwrap_err();
    assert!(submitted.hint.as_deref().is_some_and(|hint| hint.contains("usermod -aG users")), "{submitted:?}");
    let id = submit(&engine, &OWNER, json!({"title": "x"})).await;
    let frozen = engine.freeze(&outsider, Scope::Work(id.parse().unwrap()), "look").await.unwrap_err();
    assert_eq!(frozen.message, format!("uid:1001 may not freeze or thaw (work {id})"));
    assert!(frozen.hint.as_deref().is_some_and(|hint| hint.contains("usermod -aG users")), "{frozen:?}");
}

#[tokio::test]
async fn nobody_is_told_of_a_group_that_would_not_help() {
    let (engine, _state) = trial::engine().await;
    let id = submit(&engine, &OWNER, json!({"title": "x"})).await;
    enrol(&engine, &OWNER, "fixer", 1).await;
    let hint = |refused: Problem| {
        assert_eq!(refused.code, Code::Denied, "{refused:?}");
        refused.hint.unwrap_or_default()
    };
    let governed = |caller: Caller| caller.governed_by("admins".into());
    let agent = governed(Caller::agent("fixer".parse().unwrap(), 1000));
    let told = hint(engine.freeze(&agent, Scope::All, "look").await.unwrap_err());
    assert!(told.contains("agent.never_governs") && !told.contains("usermod"), "{told}");
    // What agents alone do, no group lets a person do.
    for person in [governed(STRANGER), governed(STRANGER.outside_of("users".into())), governed(OPERATOR), OPERATOR] {
        let told = hint(engine.permit(&person, Action::WorkClaim, &Resource::own("work", &person)).unwrap_err());
        assert!(told.is_empty(), "{told}");
    }
    // An automation judges nothing, whatever group it is in; an auditor changes what is another's once it is an operator.
    let automation = Caller { assurance: Assurance::Unattended, ..governed(OPERATOR) };
    let told = hint(engine.permit(&automation, Action::WorkJudge, &Resource::owned("work", 1000)).unwrap_err());
    assert!(told.contains("automation.never_judges") && !told.contains("usermod"), "{told}");
    let auditor = governed(Caller::person(1002, false, true));
    let told = hint(engine.cancel(&auditor, &id, "enough").await.unwrap_err());
    assert!(told.contains("usermod -aG admins"), "{told}");
}

#[tokio::test]
async fn who_is_in_no_group_sees_the_status_and_neither_accounts_nor_the_digest() {
    let (engine, _state) = trial::engine().await;
    let outsider = STRANGER.outside_of("users".into());
    engine.status(&outsider).unwrap();
    assert_eq!(engine.accounts(&outsider).unwrap_err().code, Code::Denied);
    assert_eq!(engine.digest(&outsider, WallMs::EPOCH).unwrap_err().code, Code::Denied);
    let auditor = Caller::person(1001, false, true).outside_of("users".into());
    assert!(engine.accounts(&auditor).is_ok() && engine.digest(&auditor, WallMs::EPOCH).is_ok());
}

#[tokio::test]
async fn a_work_that_a_freeze_holds_says_so_with_who_froze_it_and_why() {
    let (engine, _state) = trial::engine().await;
    let id = running(&engine).await;
    let waits = submit(&engine, &OWNER, json!({"title": "waits"})).await;
    let frozen = |id: &str| engine.work(&OWNER, id).unwrap().row.frozen;
    assert!(!frozen(&id) && !frozen(&waits));
    engine.freeze(&OPERATOR, Scope::Agent("fixer".parse().unwrap()), "odd answers").await.unwrap();
    assert!(frozen(&id) && !frozen(&waits), "a freeze of the agent holds what it works on");
    let view = engine.work(&OWNER, &id).unwrap();
    assert_eq!(
        view.freezes.iter().map(|freeze| (freeze.actor.as_str(), freeze.reason.as_str())).collect::<Vec<_>>(),
        [("uid:0", "odd answers")]
    );
    engine.freeze(&OPERATOR, Scope::All, "look").await.unwrap();
    let listed = engine.works(&OWNER, &WorkFilter::default()).unwrap().works;
    assert!(listed.len() == 2 && listed.iter().all(|row| row.frozen), "{listed:?}");
    engine.cancel(&OWNER, &id, "enough").await.unwrap();
    assert!(!frozen(&id), "what is over is held by nothing");
    engine.thaw(&OPERATOR, Scope::All).await.unwrap();
    assert!(!frozen(&waits) && engine.work(&OWNER, &waits).unwrap().freezes.is_empty());
}
