//! The life of work, from submit to an end, as persons and agents see it at their doors.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

use agentd_schemas::event::WorkState;
use agentd_schemas::http::{Directive, RunStatus};
use agentd_tests::harness::{Agent, Daemon, eventually, scene};
use serde_json::{Value, json};

fn number_schema() -> Value {
    json!({"json_schema": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}})
}

#[test]
fn a_work_is_submitted_claimed_done_with_a_signature_and_verified() {
    let (mut daemon, operator, agent) = scene(&["rust"]);
    let id = operator.submit(&json!({"title": "Count", "required_skills": ["rust"], "inputs": {"of": [1, 2]}}));
    let claim = agent.claim();
    assert_eq!(claim.work.to_string(), id);
    assert_eq!((claim.attempt, claim.title.as_str(), claim.inputs.clone()), (1, "Count", Some(json!({"of": [1, 2]}))));
    let started: RunStatus = agent.say(&claim, "start", json!({})).read();
    assert_eq!(started.directive, Directive::Continue);
    let _: RunStatus = agent.say(&claim, "heartbeat", json!({"progress": "halfway"})).read();
    assert_eq!(operator.work(&id)["runs"][0]["progress"], "halfway");
    let _: RunStatus = agent.say(&claim, "cost", json!({"micro_usd": 1_500_000, "tokens": 12})).read();
    let _: RunStatus = agent.say(&claim, "note", json!({"text": "two so far"})).read();
    operator.ask("Works", "Note", &(id.as_str(), "be quick")).unwrap();
    let told: RunStatus = agent.say(&claim, "heartbeat", json!({})).read();
    assert!(told.notes.iter().any(|note| note.contains("be quick")), "{told:?}");
    assert_eq!(agent.complete(&claim, "2").state, WorkState::Completed);

    let work = operator.work(&id);
    assert_eq!(work["state"], "completed");
    assert_eq!(work["runs"][0]["tokens"], 12);
    assert!(work["spent"].to_string().contains("1.5"), "{}", work["spent"]);
    let history = operator.ask("Agents", "History", &("worker", 0_u64, 10_u32)).unwrap();
    assert_eq!(history[0]["outcome"], "completed", "{history}");
    drop(operator);
    assert!(daemon.stop().success());
    assert_eq!(daemon.verifies()["deep"]["statements"], 1);
}

#[test]
fn agentctl_enrols_an_agent_with_a_key_of_its_own_and_submits_work_for_it() {
    let daemon = Daemon::start();
    daemon.told(&["agent", "enroll", "fixer", "--skill", "rust"]);
    let key = daemon.file("config/agentd/agents/fixer/id_ed25519");
    assert!(std::fs::read_to_string(key).unwrap().contains("OPENSSH PRIVATE KEY"));
    let id = daemon.told(&["submit", "Fix it", "--skill", "rust", "-q"]);
    let shown: Value = serde_json::from_str(&daemon.told(&["work", "show", id.trim(), "--json"])).unwrap();
    assert_eq!(shown["state"], "ready", "{shown}");
    assert!(daemon.told(&["agent", "list"]).contains("fixer"));
    let again = daemon.agentctl(&["agent", "enroll", "fixer"]);
    assert!(!again.status.success(), "a name is never used again");
}

#[test]
fn a_result_that_its_schema_refuses_comes_back_with_the_verdict() {
    let (_daemon, operator, agent) = scene(&[]);
    let id = operator.submit(&json!({"title": "Number", "acceptance": [number_schema()]}));
    let first = agent.claim();
    let refused = agent.complete(&first, r#"{"n": "two"}"#);
    assert_eq!((refused.state, refused.verdicts[0].met), (WorkState::Scheduled, Some(false)));
    assert!(refused.message.is_some_and(|message| message.contains("integer")));
    let second = agent.claim();
    let previous = second.previous.clone().expect("the second attempt is told of the first");
    assert_eq!((second.attempt, previous.result.as_deref()), (2, Some(r#"{"n": "two"}"#)));
    assert!(previous.message.is_some_and(|message| message.contains("integer")));
    assert!(second.fence.n > first.fence.n);
    assert_eq!(agent.complete(&second, r#"{"n": 2}"#).state, WorkState::Completed);
    operator.until(&id, "completed");
}

#[test]
fn attempts_run_out_and_a_person_grants_one_more() {
    let (_daemon, operator, agent) = scene(&[]);
    let id = operator.submit(&json!({"title": "Hard", "limits": {"max_attempts": 1}}));
    agent.say(&agent.claim(), "fail", json!({"message": "no idea"})).read::<Value>();
    let failed = operator.until(&id, "failed");
    assert!(failed["reason"].to_string().contains("no idea") || failed.to_string().contains("no idea"), "{failed}");
    operator.ask("Works", "Retry", &(id.as_str(), "once more")).unwrap();
    let claim = agent.claim();
    assert_eq!(claim.attempt, 2);
    agent.complete(&claim, "done");
    operator.until(&id, "completed");
}

#[test]
fn a_dependant_is_handed_the_result_it_waited_for() {
    let (_daemon, operator, agent) = scene(&[]);
    let works = json!([{"title": "first", "ref": "a"}, {"title": "second", "depends_on": ["ref:a"]}]);
    let submitted = operator.ask("Works", "SubmitMany", &(works.to_string(), "")).unwrap();
    let second = submitted["works"][1]["id"].as_str().unwrap();
    assert_eq!(operator.state(second), "blocked");
    agent.complete(&agent.claim(), "from the first");
    let claim = agent.claim();
    assert_eq!(claim.work.to_string(), second);
    assert_eq!(claim.dependencies[0].result.as_deref(), Some("from the first"));
}

#[test]
fn a_cancelled_work_takes_its_dependants_along() {
    let (_daemon, operator, agent) = scene(&[]);
    let works = json!([{"title": "a", "ref": "a"}, {"title": "b", "ref": "b", "depends_on": ["ref:a"]},
        {"title": "c", "depends_on": ["ref:b"]}, {"title": "d", "depends_on": ["ref:a"], "on_dependency_failure": "run"}]);
    let submitted = operator.ask("Works", "SubmitMany", &(works.to_string(), "")).unwrap();
    let id = |n: usize| submitted["works"][n]["id"].as_str().unwrap().to_owned();
    let claim = agent.claim();
    operator.ask("Works", "Cancel", &(id(0).as_str(), "not needed")).unwrap();
    operator.until(&id(1), "cancelled");
    operator.until(&id(2), "cancelled");
    operator.until(&id(3), "ready");
    let problem = agent.say(&claim, "heartbeat", json!({})).problem();
    assert!(problem.message.contains("cancel") || problem.code.as_str() == "stale_fence", "{problem:?}");
}

#[test]
fn a_dependency_on_nothing_or_on_itself_is_refused_whole() {
    let (_daemon, operator, _agent) = scene(&[]);
    let before = operator.events().len();
    for works in [
        json!([{"title": "a", "ref": "a", "depends_on": ["ref:b"]}, {"title": "b", "ref": "b", "depends_on": ["ref:a"]}]),
        json!([{"title": "a", "ref": "a", "depends_on": ["ref:a"]}]),
        json!([{"title": "good"}, {"title": "bad", "depends_on": ["ref:missing"]}]),
        json!([{"title": "bad", "depends_on": ["w-7kq3x2mbnd5fa6uz"]}]),
    ] {
        let problem = operator.ask("Works", "SubmitMany", &(works.to_string(), "")).unwrap_err();
        assert!(!problem.message.is_empty() && problem.code.as_str() != "internal", "{problem:?}");
    }
    assert_eq!(operator.events().len(), before);
}

#[test]
fn a_person_judges_what_a_person_must_judge() {
    let (_daemon, operator, agent) = scene(&[]);
    let id = operator.submit(&json!({"title": "Write", "acceptance": [{"person": "owner"}]}));
    assert_eq!(agent.complete(&agent.claim(), "draft").state, WorkState::Verifying);
    operator.ask("Works", "Reject", &(id.as_str(), "too short")).unwrap();
    let second = agent.claim();
    assert!(second.previous.clone().unwrap().message.unwrap().contains("too short"));
    assert_eq!(agent.complete(&second, "longer draft").state, WorkState::Verifying);
    let status = operator.ask("Host", "Status", &()).unwrap();
    assert_eq!(status["waiting"][0]["work"], id.as_str());
    operator.ask("Works", "Accept", &(id.as_str(), "good")).unwrap();
    assert_eq!(operator.state(&id), "completed");
}

#[test]
fn work_that_must_wait_or_that_nobody_can_do_says_so() {
    let (_daemon, operator, agent) = scene(&["rust"]);
    let later = operator.submit(&json!({"title": "later", "not_before": "2199-01-01T00:00:00Z"}));
    assert_eq!(operator.state(&later), "scheduled");
    let parked = operator.submit(&json!({"title": "odd", "required_skills": ["juggling"]}));
    let why = operator.ask("Works", "Why", &parked.as_str()).unwrap();
    assert!(why.to_string().contains("juggling"), "{why}");
    let passed =
        operator.ask("Works", "Submit", &(json!({"title": "x", "deadline": "2001-01-01T00:00:00Z"}).to_string(), ""));
    if let Ok(submitted) = passed {
        operator.until(submitted["works"][0]["id"].as_str().unwrap(), "expired");
    }
    assert!(agent.ask(0).is_none());
}

#[test]
fn a_run_submits_parts_of_its_work() {
    let (daemon, operator, agent) = scene(&[]);
    let helper = Agent::enrol(&daemon, &operator, "helper", &["part"]);
    let id = operator.submit(&json!({"title": "whole"}));
    let claim = agent.claim();
    let works = json!({"works": [{"title": "part", "required_skills": ["part"]}], "key": "k1"});
    let first: Value = agent.say(&claim, "children", works.clone()).read();
    let again: Value = agent.say(&claim, "children", works).read();
    assert_eq!(first["works"][0]["id"], again["works"][0]["id"]);
    let part = helper.claim();
    assert_eq!(json!(part.work), first["works"][0]["id"]);
    helper.complete(&part, "part done");
    let whole = operator.work(&id);
    assert_eq!(whole["children"].as_array().unwrap().len(), 1, "{whole}");
    agent.complete(&claim, "whole done");
    operator.until(&id, "completed");
}

#[test]
fn a_run_beyond_its_budget_waits_until_it_is_raised() {
    let (_daemon, operator, agent) = scene(&[]);
    let id = operator.submit(&json!({"title": "dear", "limits": {"max_cost": "1.00 USD"}}));
    let claim = agent.claim();
    let asked = agent.say(&claim, "reserve", json!({"micro_usd": 2_000_000}));
    let waits = asked.status == 402 || asked.read::<RunStatus>().directive == Directive::Wait;
    assert!(waits, "{}", String::from_utf8_lossy(&asked.body));
    operator.until(&id, "waiting");
    operator.ask("Works", "Raise", &(id.as_str(), json!({"max_cost": "5.00 USD"}).to_string())).unwrap();
    eventually("the run to go on", || {
        let status: RunStatus = agent.say(&claim, "heartbeat", json!({})).read();
        (status.directive == Directive::Continue).then_some(())
    });
    let reserved: RunStatus = agent.say(&claim, "reserve", json!({"micro_usd": 2_000_000})).read();
    let settled = json!({"micro_usd": 1_250_000, "reservation": reserved.reservation.unwrap()});
    let _: RunStatus = agent.say(&claim, "cost", settled).read();
    agent.complete(&claim, "done");
    let work = operator.until(&id, "completed");
    assert!(work["spent"].to_string().contains("1.25"), "{}", work["spent"]);
    assert!(!work["reserved"].to_string().contains('2'), "{}", work["reserved"]);
}

#[test]
fn a_run_that_asks_a_person_waits_for_the_answer() {
    let (_daemon, operator, agent) = scene(&[]);
    let id = operator.submit(&json!({"title": "unclear"}));
    let claim = agent.claim();
    let asked: RunStatus = agent.say(&claim, "ask", json!({"text": "red or blue?"})).read();
    assert_eq!(asked.directive, Directive::Wait);
    operator.ask("Works", "Answer", &(id.as_str(), "blue")).unwrap();
    let told: RunStatus = agent.say(&claim, "heartbeat", json!({})).read();
    assert_eq!(told.directive, Directive::Continue);
    assert!(told.notes.iter().any(|note| note.contains("blue")), "{told:?}");
}

#[test]
fn a_freeze_stops_starts_and_tells_runs() {
    let (daemon, operator, agent) = scene(&[]);
    operator.submit(&json!({"title": "one"}));
    let claim = agent.claim();
    operator.ask("Host", "Freeze", &(json!("all").to_string(), "look first")).unwrap();
    let told: RunStatus = agent.say(&claim, "heartbeat", json!({})).read();
    assert_eq!(told.directive, Directive::Freeze);
    let _: RunStatus = agent.say(&claim, "heartbeat", json!({"frozen": true})).read();
    let report = operator.ask("Host", "FreezeReport", &json!("all").to_string()).unwrap();
    assert_eq!((report["runs"].as_u64(), report["confirmed"].as_u64()), (Some(1), Some(1)), "{report}");
    let other = Agent::enrol(&daemon, &operator, "other", &[]);
    operator.submit(&json!({"title": "two"}));
    let nothing = other.post("/v1/claim", &json!({}));
    assert!(nothing.status == 204 || nothing.problem().code.as_str() == "frozen", "{}", nothing.status);
    operator.call::<()>("Host", "Thaw", &json!("all").to_string()).unwrap();
    assert_eq!(other.claim().title, "two");
    let told: RunStatus = agent.say(&claim, "heartbeat", json!({})).read();
    assert_eq!(told.directive, Directive::Continue);
}

#[test]
fn a_lease_without_heartbeats_passes_to_another_agent_and_its_fence_is_stale() {
    let (daemon, operator, agent) = scene(&[]);
    let other = Agent::enrol(&daemon, &operator, "other", &[]);
    let id = operator.submit(&json!({"title": "sleepy"}));
    let old = agent.claim_briefly();
    let new = other.claim();
    assert_eq!((new.work, new.attempt > old.attempt || new.fence.n > old.fence.n), (old.work, true));
    for answer in [
        agent.say(&old, "heartbeat", json!({})),
        agent.say(&old, "note", json!({"text": "late"})),
        agent.say(&old, "cost", json!({"tokens": 1})),
        agent.hand_in(&old, "late", &agent.statement(&old, "late"), &agent.key),
    ] {
        assert_eq!(answer.problem().code.as_str(), "stale_fence");
    }
    other.complete(&new, "in time");
    assert_eq!(operator.until(&id, "completed")["runs"].as_array().unwrap().len(), 2);
}

#[test]
fn a_run_beyond_its_timeout_is_ended() {
    let (_daemon, operator, agent) = scene(&[]);
    let id = operator.submit(&json!({"title": "slow", "limits": {"timeout": "1s", "max_attempts": 1}}));
    let claim = agent.claim();
    let _: RunStatus = agent.say(&claim, "start", json!({})).read();
    let failed = operator.until(&id, "failed");
    assert_eq!(failed["runs"][0]["failure"], "timed_out", "{}", failed["runs"][0]);
    assert_eq!(agent.say(&claim, "heartbeat", json!({})).problem().code.as_str(), "stale_fence");
}

#[test]
fn a_schedule_knows_its_next_ticks_and_refuses_what_never_comes() {
    let (_daemon, operator, _agent) = scene(&[]);
    let document =
        json!({"name": "nightly", "cron": "30 2 * * *", "time_zone": "Europe/Berlin", "work": {"title": "t"}});
    let added = operator.ask("Schedules", "Add", &(document.to_string(), "")).unwrap();
    let next = operator.ask("Schedules", "Next", &("nightly", 3_u32)).unwrap();
    assert_eq!((next.as_array().unwrap().len(), &next[0]), (3, &added["next"]), "{next}");
    operator.call::<()>("Schedules", "Pause", &("nightly", "holiday")).unwrap();
    assert_eq!(operator.ask("Schedules", "List", &()).unwrap()[0]["state"], "paused");
    operator.call::<()>("Schedules", "Resume", &"nightly").unwrap();
    operator.call::<()>("Schedules", "Remove", &"nightly").unwrap();
    for (cron, zone) in [("0 0 30 2 *", "UTC"), ("61 * * * *", "UTC"), ("* * * * *", "Europe/Atlantis"), ("", "UTC")] {
        let document = json!({"name": "never", "cron": cron, "time_zone": zone, "work": {"title": "t"}});
        let problem = operator.ask("Schedules", "Add", &(document.to_string(), "")).unwrap_err();
        assert_ne!(problem.code.as_str(), "internal", "{cron} {zone}");
    }
    let every = json!({"name": "often", "cron": "@every 1min", "work": {"title": "t"}});
    operator.ask("Schedules", "Add", &(every.to_string(), "")).unwrap();
}

#[test]
fn an_objective_counts_what_ended_well_and_what_did_not() {
    let (_daemon, operator, agent) = scene(&[]);
    let objective = json!({"name": "builds", "labels": {"kind": "build"}, "target_percent": "90", "window": "7d"});
    operator.call::<()>("Objectives", "Set", &objective.to_string()).unwrap();
    for (title, well) in [("a", true), ("b", true), ("c", false)] {
        let work = json!({"title": title, "labels": {"kind": "build"}, "limits": {"max_attempts": 1}});
        operator.submit(&work);
        let claim = agent.claim();
        if well {
            agent.complete(&claim, "ok");
        } else {
            agent.say(&claim, "fail", json!({"message": "broken"})).read::<Value>();
        }
    }
    operator.submit(&json!({"title": "of another class"}));
    let listed = operator.ask("Objectives", "List", &()).unwrap();
    assert_eq!((listed[0]["good"].as_u64(), listed[0]["bad"].as_u64()), (Some(2), Some(1)), "{listed}");
    assert_eq!(listed[0]["attainment_milli_percent"], 66_666, "{listed}");
}

#[test]
fn a_change_of_model_begins_an_epoch_that_every_later_claim_carries() {
    let (_daemon, operator, agent) = scene(&[]);
    operator.submit(&json!({"title": "before"}));
    let before = agent.claim();
    agent.complete(&before, "x");
    let binding = json!({"provider": "main", "name": "vendor-large", "helpers": ["vendor-small"]}).to_string();
    let epoch: u32 = operator.call("Agents", "SetModel", &("worker", binding.as_str(), "trial")).unwrap();
    assert_eq!(epoch, before.epoch + 1);
    operator.submit(&json!({"title": "after"}));
    assert_eq!(agent.claim().epoch, epoch);
    let history = operator.ask("Agents", "ModelHistory", &"worker").unwrap();
    let last = &history.as_array().unwrap()[history.as_array().unwrap().len() - 1];
    assert_eq!(
        (last["reason"].as_str(), last["to"]["name"].as_str()),
        (Some("trial"), Some("vendor-large")),
        "{history}"
    );
    assert!(last["from"].is_null());
}
