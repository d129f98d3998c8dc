//! The daemon dies at each step of a commit: nothing that was acknowledged is lost, nothing is there twice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::thread;

use agentd_schemas::event::WorkState;
use agentd_tests::harness::{Agent, Daemon, Operator, Settings};
use serde_json::{Value, json};

/// Steps of a commit at which the process can die.
const STEPS: [&str; 4] = ["commit.begin", "commit.before", "commit.after", "outbox.before"];
const CLIENTS: usize = 4;
/// More than any client gets through before its daemon dies.
const MANY: usize = 200;

/// Key and id of each submit that one client knows to be durable, and the key whose answer it never got.
struct Told {
    acknowledged: BTreeMap<String, String>,
    unanswered: String,
}

fn submit(operator: &Operator, key: &str) -> Option<String> {
    let document = json!({"title": format!("work of {key}")}).to_string();
    let submitted = operator.ask("Works", "Submit", &(document, key)).ok()?;
    Some(submitted["works"][0]["id"].as_str().unwrap().to_owned())
}

fn submit_until_the_daemon_dies(socket: &std::path::Path, client: usize) -> Told {
    let operator = Operator::connect(socket);
    let mut acknowledged = BTreeMap::new();
    for n in 0..MANY {
        let key = format!("client-{client}-{n}");
        match submit(&operator, &key) {
            Some(id) => acknowledged.insert(key, id),
            None => return Told { acknowledged, unanswered: key },
        };
    }
    panic!("the daemon outlived {MANY} submits of client {client}");
}

fn dies_at(step: &str, count: u32) {
    // The first commits are the daemon's own: its start. The failpoint is armed for a later one.
    let mut daemon = Daemon::with(Settings::default().env("AGENTD_FAILPOINT", format!("{step}:{count}")));
    let socket = daemon.control_socket();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let socket = socket.clone();
            thread::spawn(move || submit_until_the_daemon_dies(&socket, client))
        })
        .collect();
    let told: Vec<Told> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert_eq!(daemon.wait().signal(), Some(9), "{step}: {}", daemon.log());
    daemon.settings.env.clear();
    daemon.verifies();

    daemon.run();
    let operator = daemon.operator();
    for Told { acknowledged, unanswered } in &told {
        for (key, id) in acknowledged {
            assert_eq!(submit(&operator, key).as_ref(), Some(id), "{step}: {key} answers with the same work");
        }
        let (once, twice) = (submit(&operator, unanswered), submit(&operator, unanswered));
        assert!(once.is_some() && once == twice, "{step}: {unanswered}");
    }
    let submitted: Vec<Value> =
        operator.events().into_iter().filter(|event| event["type"] == "WorkSubmitted").collect();
    let works: BTreeSet<String> = submitted.iter().map(|event| event["id"].to_string()).collect();
    let keys: usize = told.iter().map(|told| told.acknowledged.len() + 1).sum();
    assert_eq!((submitted.len(), works.len()), (keys, keys), "{step}: each key has one work");
    drop(operator);
    daemon.stop();
    daemon.verifies();
}

#[test]
fn every_acknowledged_work_is_there_once_after_a_death_at_commit_begin() {
    dies_at(STEPS[0], 23);
}

#[test]
fn every_acknowledged_work_is_there_once_after_a_death_before_the_commit() {
    dies_at(STEPS[1], 23);
}

#[test]
fn every_acknowledged_work_is_there_once_after_a_death_after_the_commit() {
    dies_at(STEPS[2], 23);
}

#[test]
fn every_acknowledged_work_is_there_once_after_a_death_before_the_outbox() {
    dies_at(STEPS[3], 23);
}

#[test]
fn a_first_start_that_dies_at_any_step_starts_the_next_time() {
    for step in STEPS.into_iter().chain(["secret.publish"]) {
        for count in 1..=3 {
            let mut daemon = Daemon::prepared(Settings::default().env("AGENTD_FAILPOINT", format!("{step}:{count}")));
            daemon.spawn();
            let ready = agentd_tests::harness::eventually("an end or a door", || {
                let open = std::os::unix::net::UnixStream::connect(daemon.agents_socket()).is_ok();
                (open || daemon.exited().is_some()).then_some(open)
            });
            daemon.kill();
            daemon.settings.env.clear();
            daemon.run();
            daemon.operator().submit(&json!({"title": "after all"}));
            daemon.stop();
            assert!(daemon.verifies()["events"].as_u64().unwrap() > 1, "{step}:{count}, ready {ready}");
        }
    }
}

#[test]
fn a_disk_that_is_full_at_a_step_refuses_one_batch_and_no_more() {
    for step in ["commit.begin", "commit.before"] {
        let mut daemon = Daemon::with(Settings::default().env("AGENTD_FAILPOINT", format!("{step}:6=error")));
        let operator = daemon.operator();
        let codes: Vec<Option<&str>> = (0..10)
            .map(|n| {
                let document = json!({"title": n.to_string()}).to_string();
                operator.ask("Works", "Submit", &(document, "")).err().map(|problem| problem.code.as_str())
            })
            .collect();
        let refused: Vec<_> = codes.iter().flatten().collect();
        assert_eq!(refused, [&"disk_full"], "{step}: {codes:?}");
        assert_eq!(operator.count("WorkSubmitted"), 9, "{step}");
        drop(operator);
        daemon.stop();
        daemon.verifies();
    }
}

#[test]
fn a_run_goes_on_after_its_daemon_was_killed() {
    let mut daemon = Daemon::start();
    let operator = daemon.operator();
    let mut agent = Agent::enrol(&daemon, &operator, "worker", &[]);
    let id = operator.submit(&json!({"title": "long"}));
    let claim = agent.claim();
    daemon.kill();
    daemon.run();
    agent.sign_in().unwrap();
    agent.say(&claim, "heartbeat", json!({})).read::<Value>();
    assert_eq!(agent.complete(&claim, "all the same").state, WorkState::Completed);
    assert_eq!(daemon.operator().state(&id), "completed");
    daemon.stop();
    daemon.verifies();
}

#[test]
fn a_completion_that_was_not_answered_is_answered_when_it_comes_again() {
    let mut daemon = Daemon::start();
    let mut agent = Agent::enrol(&daemon, &daemon.operator(), "worker", &[]);
    let id = daemon.operator().submit(&json!({"title": "once"}));
    daemon.kill();
    // Start, claim, completion: the third commit is the one that nobody hears of.
    daemon.settings = Settings::default().env("AGENTD_FAILPOINT", "commit.after:3");
    daemon.run();
    agent.sign_in().unwrap();
    let claim = agent.claim();
    let lost = agent.hand_in(&claim, "result", &agent.statement(&claim, "result"), &agent.key);
    assert_eq!(lost.status, 0, "{}", daemon.log());
    daemon.wait();
    daemon.settings = Settings::default();
    daemon.run();
    agent.sign_in().unwrap();
    assert_eq!(agent.complete(&claim, "result").state, WorkState::Completed);
    assert_eq!(daemon.operator().work(&id)["runs"].as_array().unwrap().len(), 1);
    assert_eq!(daemon.operator().count("WorkCompleted"), 1);
}
