use agentd_schemas::document::ScheduleDocument;
use agentd_schemas::document::request::{EventFilter, Scope, WorkFilter};
use agentd_schemas::http::{ClaimRequest, Cost};
use agentd_schemas::problem::{Code, Problem};
use serde_json::json;

use crate::engine::Engine;
use crate::engine::trial::{self, enrol, recorded, submit};
use crate::policy::{Action, Caller};

const OWNER: Caller = Caller::person(1000, false, false);
const STRANGER: Caller = Caller::person(1001, false, false);
const OPERATOR: Caller = Caller::person(0, true, false);
/// A work that never was.
const NOBODYS: &str = "w-7kq3x2mbnd5fa6uz";

/// Everything that names a work, with the action that it asks for.
async fn at_work(engine: &Engine, caller: &Caller, work: &str) -> Vec<(&'static str, Problem)> {
    let filter = WorkFilter { parent: work.parse().ok(), ..WorkFilter::default() };
    let events = EventFilter { subject: Some("work".into()), id: Some(work.into()), ..EventFilter::default() };
    let scope = Scope::Work(work.parse().unwrap());
    let part = trial::document(json!({"title": "x", "depends_on": [work]}));
    vec![
        ("work.read", engine.work(caller, work).unwrap_err()),
        ("work.read", engine.why(caller, work).unwrap_err()),
        ("work.read", engine.works(caller, &filter).unwrap_err()),
        ("work.read", engine.events(caller, &events).unwrap_err()),
        ("work.read", engine.check(caller, vec![part]).await.unwrap_err()),
        ("work.manage", engine.cancel(caller, work, "no").await.unwrap_err()),
        ("work.manage", engine.retry(caller, work, "no").await.unwrap_err()),
        ("work.judge", engine.accept(caller, work, "").await.unwrap_err()),
        ("content.manage", engine.hold(caller, work, true, "mine").await.unwrap_err()),
        ("host.freeze_own", engine.freeze(caller, scope, "mine").await.unwrap_err()),
    ]
}

/// The same words, whatever was named.
fn alike(problem: &Problem, named: &str) -> (Code, String, Option<String>, String) {
    let details = serde_json::to_string(&problem.details).unwrap();
    (problem.code, problem.message.replace(named, "…"), problem.hint.clone(), details.replace(named, "…"))
}

#[tokio::test]
async fn a_strangers_attempt_is_recorded_and_answered_as_if_there_were_no_such_work() {
    let (engine, _state) = trial::engine().await;
    let id = submit(&engine, &OWNER, json!({"title": "private"})).await;
    let hidden = at_work(&engine, &STRANGER, &id).await;
    let record = recorded(&engine);
    let missing = at_work(&engine, &STRANGER, NOBODYS).await;
    assert_eq!(recorded(&engine), [""; 0], "nothing of nobody's was asked for");
    for ((action, hidden), (_, missing)) in hidden.iter().zip(&missing) {
        assert_eq!(alike(hidden, &id), alike(missing, NOBODYS), "{action}");
        assert_eq!(hidden.code, Code::NotFound);
    }
    let expected: Vec<String> = hidden.iter().map(|(action, _)| format!("{action} on work {id} (no_rule)")).collect();
    assert_eq!(record, expected);
}

#[tokio::test]
async fn a_strangers_attempt_at_an_agent_a_schedule_an_event_or_content_is_recorded_too() {
    let (engine, _state) = trial::engine().await;
    enrol(&engine, &OWNER, "fixer", 1).await;
    let document = json!({"name": "nightly", "cron": "0 3 * * *", "work": {"title": "sweep"}});
    let document: ScheduleDocument = serde_json::from_value(document).unwrap();
    let schedule = engine.add_schedule(&OWNER, document, None, None, b"").await.unwrap();
    submit(&engine, &OWNER, json!({"title": "private"})).await;
    let submitted = *engine.size().borrow() - 1;
    let all = |agent: &str, schedule: &str, event: u64| {
        [
            engine.agent(&STRANGER, agent).unwrap_err(),
            engine.history(&STRANGER, agent, 0, 0).unwrap_err(),
            engine.model_history(&STRANGER, agent).unwrap_err(),
            engine.next_ticks(&STRANGER, schedule, 1).unwrap_err(),
            engine.content(&STRANGER, event, 0).unwrap_err(),
        ]
    };
    let schedule = schedule.id.to_string();
    let hidden = all("fixer", &schedule, submitted);
    let prove = engine.prove(&STRANGER, submitted).await.unwrap_err();
    let retire = engine.set_agent_state(&STRANGER, "fixer", "retire", "no").await.unwrap_err();
    let freeze = engine.freeze(&STRANGER, Scope::Agent("fixer".parse().unwrap()), "no").await.unwrap_err();
    assert_eq!(recorded(&engine).len(), 8);
    let missing = all("ghost", "s-7kq3x2mbnd5fa6uz", 999_999);
    for (hidden, missing) in hidden.iter().zip(&missing) {
        assert_eq!((hidden.code, &hidden.hint), (Code::NotFound, &missing.hint), "{hidden:?}");
        let words = |problem: &Problem| problem.message.split('"').next().unwrap().to_owned();
        assert_eq!(words(hidden), words(missing));
    }
    assert_eq!(prove.hint, engine.prove(&STRANGER, 999_999).await.unwrap_err().hint);
    let ghost = engine.set_agent_state(&STRANGER, "ghost", "retire", "no").await.unwrap_err();
    assert_eq!(alike(&retire, "fixer"), alike(&ghost, "ghost"));
    let ghost = engine.freeze(&STRANGER, Scope::Agent("ghost".parse().unwrap()), "no").await.unwrap_err();
    assert_eq!(alike(&freeze, "fixer"), alike(&ghost, "ghost"));
    assert_eq!(recorded(&engine), [""; 0]);
}

#[tokio::test]
async fn a_prefix_of_another_owners_work_is_an_attempt_at_it() {
    let (engine, _state) = trial::engine().await;
    let id = submit(&engine, &OWNER, json!({"title": "private"})).await;
    let problem = engine.cancel(&STRANGER, &id[..8], "no").await.unwrap_err();
    assert!(!problem.to_string().contains(&id), "{problem}");
    assert_eq!(recorded(&engine), [format!("work.manage on work {id} (no_rule)")]);
}

#[tokio::test]
async fn lists_are_asked_for_as_what_is_ones_own() {
    let (engine, _state) = trial::engine().await;
    submit(&engine, &OWNER, json!({"title": "private"})).await;
    assert_eq!(engine.works(&STRANGER, &WorkFilter::default()).unwrap().works.len(), 0);
    assert_eq!(engine.works(&OWNER, &WorkFilter::default()).unwrap().works.len(), 1);
    assert_eq!(engine.works(&OPERATOR, &WorkFilter::default()).unwrap().works.len(), 1);
    assert_eq!(recorded(&engine), [""; 0]);
    let agent = Caller::agent("fixer".parse().unwrap(), 1000);
    assert_eq!(engine.schedules(&agent).unwrap_err().code, Code::Denied);
    assert_eq!(engine.objectives(&agent).unwrap_err().code, Code::Denied);
    let never = |action: Action, what| format!("{} on {what} of one's own (agent.never_governs)", action.as_str());
    assert_eq!(
        recorded(&engine),
        [never(Action::ScheduleRead, "schedules"), never(Action::ObjectiveRead, "objectives")]
    );
}

#[tokio::test]
async fn who_sees_a_thing_and_may_not_change_it_is_told_so() {
    let (engine, _state) = trial::engine().await;
    let id = submit(&engine, &OWNER, json!({"title": "private"})).await;
    let auditor = Caller::person(1002, false, true);
    engine.work(&auditor, &id).unwrap();
    assert_eq!(engine.cancel(&auditor, &id, "no").await.unwrap_err().code, Code::Denied);
    assert_eq!(recorded(&engine), [format!("work.manage on work {id} (no_rule)")]);
}

#[tokio::test]
async fn the_whole_log_is_denied_and_the_denial_recorded() {
    let (engine, state) = trial::engine().await;
    let file = std::fs::File::create(state.join("export")).unwrap();
    let problem = engine.export(&STRANGER, file.into(), false, true).await.unwrap_err();
    assert_eq!(problem.code, Code::Denied);
    assert!(problem.hint.unwrap().contains("--mine"));
    assert_eq!(recorded(&engine), ["ledger.read_all on host (no_rule)"]);
}

#[tokio::test]
async fn what_a_decision_denies_is_recorded_as_well() {
    let (engine, _state) = trial::engine().await;
    enrol(&engine, &OWNER, "fixer", 1).await;
    let id = submit(&engine, &OWNER, json!({"title": "x"})).await;
    let agent = Caller::agent("fixer".parse().unwrap(), 1000);
    let claim = engine.claim(&agent, &ClaimRequest::default()).await.unwrap().unwrap();
    let cost = json!({"fence": claim.fence, "micro_usd": 1, "source": "metered"});
    let cost: Cost = serde_json::from_value(cost).unwrap();
    assert_eq!(engine.cost(&agent, claim.run, &cost).await.unwrap_err().code, Code::Denied);
    assert_eq!(recorded(&engine), [format!("run.act on work {id} (decision)")]);
}
