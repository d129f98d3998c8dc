//! Money as agents and persons see it at their doors: parts spend from their whole, and nothing that was set aside is
//! lost.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

use agentd_schemas::event::WorkState;
use agentd_schemas::http::{Directive, RunStatus};
use agentd_tests::harness::{Agent, Daemon, Operator, eventually};
use serde_json::{Value, json};

fn scene() -> (Daemon, Operator, Agent) {
    let daemon = Daemon::start();
    let operator = daemon.operator();
    let agent = Agent::enrol(&daemon, &operator, "worker", &[]);
    (daemon, operator, agent)
}

fn verified(mut daemon: Daemon, operator: Operator) {
    drop(operator);
    assert!(daemon.stop().success());
    daemon.verifies();
}

#[test]
fn an_agent_does_not_lift_its_own_limit_by_submitting_parts() {
    let (daemon, operator, agent) = scene();
    let helper = Agent::enrol(&daemon, &operator, "helper", &["part"]);
    let whole = operator.submit(&json!({"title": "whole", "limits": {"max_cost": "1.00 USD"}}));
    let claim = agent.claim();
    let _: RunStatus = agent.say(&claim, "cost", json!({"micro_usd": 900_000})).read();
    let part = |limits: Value| json!({"works": [{"title": "part", "required_skills": ["part"], "limits": limits}]});
    let refused = agent.say(&claim, "children", part(json!({"max_cost": "15.00 USD"}))).problem();
    assert_eq!(refused.code.as_str(), "out_of_bounds");
    assert!(refused.message.contains(&format!("work {whole} has left for its parts: 0.10 USD")), "{}", refused.message);
    let made: Value = agent.say(&claim, "children", part(json!({}))).read();
    let part_id = made["works"][0]["id"].as_str().unwrap().to_owned();
    agent.complete(&claim, "done");

    let held = helper.claim();
    let asked: RunStatus = helper.say(&held, "reserve", json!({"micro_usd": 9_000_000})).read();
    assert_eq!(asked.directive, Directive::Wait);
    assert!(asked.reason.unwrap().contains(&format!("work {whole} has too little left")));
    let waits = operator.until(&part_id, "waiting");
    assert!(waits["reason"].as_str().unwrap().contains(&whole), "{waits}");
    let why = operator.ask("Works", "Why", &part_id.as_str()).unwrap();
    assert!(why["hint"].as_str().unwrap().contains(&format!("agentctl work raise {whole} --max-cost")), "{why}");
    let status = daemon.told(&["status"]);
    assert!(status.contains(&format!("agentctl work raise {whole}")), "{status}");

    daemon.told(&["work", "raise", &whole, "--max-cost", "20usd"]);
    eventually("the part to go on", || {
        let status: RunStatus = helper.say(&held, "heartbeat", json!({})).read();
        (status.directive == Directive::Continue).then_some(())
    });
    let reserved: RunStatus = helper.say(&held, "reserve", json!({"micro_usd": 9_000_000, "tokens": 5})).read();
    let cost = json!({"micro_usd": 9_000_000, "tokens": 5, "reservation": reserved.reservation.unwrap()});
    let _: RunStatus = helper.say(&held, "cost", cost).read();
    helper.complete(&held, "done");
    let shown = operator.work(&whole);
    assert_eq!((shown["spent"].as_str(), shown["spent_with_parts"].as_str()), (Some("0.90 USD"), Some("9.90 USD")));
    assert_eq!(shown["tokens_with_parts"], 5);
    assert!(operator.work(&part_id)["spent_with_parts"].is_null());
    assert!(daemon.told(&["work", "show", &whole]).contains("9.90 USD, 5 tokens"));
    verified(daemon, operator);
}

#[test]
fn what_was_set_aside_counts_when_the_run_ends() {
    let (daemon, operator, agent) = scene();
    for end in ["complete", "fail", "cancel", "lease", "person"] {
        let acceptance = if end == "person" { json!([{"person": "owner"}]) } else { json!([]) };
        let id = operator.submit(&json!({"title": end, "limits": {"max_attempts": 1}, "acceptance": acceptance}));
        let claim = if end == "lease" { agent.claim_briefly() } else { agent.claim() };
        let reserved: RunStatus = agent.say(&claim, "reserve", json!({"micro_usd": 600_000, "tokens": 9})).read();
        match end {
            "complete" => assert_eq!(agent.complete(&claim, "x").state, WorkState::Completed),
            "person" => assert_eq!(agent.complete(&claim, "x").state, WorkState::Verifying),
            "fail" => drop(agent.say(&claim, "fail", json!({"message": "no"})).read::<Value>()),
            "cancel" => drop(operator.ask("Works", "Cancel", &(id.as_str(), "enough"))),
            _ => drop(operator.until(&id, "failed")),
        }
        let work = operator.work(&id);
        assert_eq!((work["spent"].as_str(), work["tokens"].as_u64()), (Some("0.60 USD"), Some(9)), "{end}");
        assert_eq!((work["reserved"].as_str(), &work["runs"][0]["spent"]), (Some("0.00 USD"), &work["spent"]), "{end}");
        let late = json!({"micro_usd": 100_000, "reservation": reserved.reservation.unwrap()});
        let late = agent.say(&claim, "cost", late).problem();
        assert_eq!(late.code.as_str(), "stale_fence", "{end}");
        assert!(late.hint.unwrap().contains("settled as estimated"), "{end}");
    }
    let log = daemon.told(&["budget", "show"]);
    assert!(log.contains("3.00 USD"), "{log}");
    verified(daemon, operator);
}

#[test]
fn a_whole_that_is_cancelled_settles_what_its_parts_set_aside() {
    let (daemon, operator, agent) = scene();
    let helper = Agent::enrol(&daemon, &operator, "helper", &["part"]);
    let whole = operator.submit(&json!({"title": "whole", "limits": {"max_cost": "1.00 USD"}}));
    let claim = agent.claim();
    let works = json!({"works": [{"title": "part", "required_skills": ["part"]}]});
    let made: Value = agent.say(&claim, "children", works).read();
    let part = helper.claim();
    let _: RunStatus = helper.say(&part, "reserve", json!({"micro_usd": 250_000})).read();
    operator.ask("Works", "Cancel", &(whole.as_str(), "enough")).unwrap();
    let part = operator.until(made["works"][0]["id"].as_str().unwrap(), "cancelled");
    assert_eq!((part["spent"].as_str(), part["reserved"].as_str()), (Some("0.25 USD"), Some("0.00 USD")));
    assert_eq!(operator.work(&whole)["spent_with_parts"], "0.25 USD");
    verified(daemon, operator);
}

#[test]
fn a_missed_level_counts_when_it_is_missed_and_once() {
    let (daemon, operator, agent) = scene();
    for (name, indicator) in [("begins", "start_within"), ("ends", "finish_within")] {
        let objective = json!({"name": name, "indicator": indicator, "target_percent": "50", "window": "7d"});
        operator.call::<()>("Objectives", "Set", &objective.to_string()).unwrap();
    }
    let bad = || -> Vec<(u64, u64)> {
        let listed = operator.ask("Objectives", "List", &()).unwrap();
        let counts = |each: &Value| (each["good"].as_u64().unwrap(), each["bad"].as_u64().unwrap());
        listed.as_array().unwrap().iter().map(counts).collect()
    };
    let levels = |skill: &str| {
        let level = json!({"start_within": "1s", "finish_within": "1s"});
        operator.submit(&json!({"title": "late", "required_skills": [skill], "slo": level}))
    };
    let called_off = levels("nobody-has-it");
    let done_late = levels("nobody-has-it-yet");
    eventually("both to be missed", || (bad() == [(0, 2), (0, 2)]).then_some(()));
    operator.ask("Works", "Cancel", &(called_off.as_str(), "enough")).unwrap();
    let skills = json!(["nobody-has-it-yet"]).to_string();
    operator.call::<()>("Agents", "DeclareSkills", &("worker", skills.as_str())).unwrap();
    agent.complete(&agent.claim(), "late");
    assert_eq!(operator.state(&done_late), "completed");
    assert_eq!(bad(), [(0, 2), (0, 2)], "each work once for each level");
    let listed = operator.ask("Objectives", "List", &()).unwrap();
    assert_eq!(
        (&listed[0]["attainment_milli_percent"], &listed[0]["budget_left"]),
        (&json!(0), &json!(-1)),
        "{listed}"
    );
    assert!(daemon.told(&["digest"]).contains('4'), "as many as the digest says");
    verified(daemon, operator);
}
