//! What was under way when the daemon was killed: a freeze, a tick, an effect that spreads. The next start goes on with it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on ends there, and moves a wall clock from now to a tick"
)]

use agentd_schemas::http::{Claim, Directive, RunStatus};
use agentd_tests::harness::{Agent, Daemon, Operator, Scratch, Settings, eventually, faketime, skip};
use rusqlite::Connection;
use serde_json::{Value, json};

/// Each step of a commit at which a process can die, and what comes right after one.
const STEPS: [&str; 4] = ["commit.begin", "commit.before", "commit.after", "outbox.before"];

/// Starts the daemon with a failpoint; it must die there by itself or under `act`.
fn dies_at(daemon: &mut Daemon, step: &str, nth: u32, act: impl FnOnce(&Daemon)) {
    let before = daemon.settings.clone();
    daemon.settings.env.push(("AGENTD_FAILPOINT".to_owned(), format!("{step}:{nth}")));
    daemon.spawn();
    act(daemon);
    let ended = daemon.wait();
    assert!(std::os::unix::process::ExitStatusExt::signal(&ended) == Some(9), "{step}:{nth}: {}", daemon.log());
    daemon.settings = before;
    daemon.verifies();
}

/// The operators' door of a daemon that is starting and may die meanwhile.
fn door(daemon: &Daemon) -> Operator {
    let socket = daemon.control_socket();
    eventually("the operators' door", || std::os::unix::net::UnixStream::connect(&socket).ok());
    Operator::connect(&socket)
}

fn told(agent: &Agent, claim: &Claim) -> Directive {
    agent.say(claim, "heartbeat", json!({})).read::<RunStatus>().directive
}

#[test]
fn a_frozen_run_is_still_frozen_after_a_kill_and_its_time_stands_still() {
    let mut daemon = Daemon::start();
    let operator = daemon.operator();
    let mut agent = Agent::enrol(&daemon, &operator, "worker", &["one"]);
    let mut other = Agent::enrol(&daemon, &operator, "other", &["two"]);
    let work = |skill: &str| {
        operator.submit(&json!({"title": "x", "required_skills": [skill],
            "limits": {"timeout": "1s", "max_attempts": 1}}))
    };
    let (frozen, running) = (work("one"), work("two"));
    let claim = agent.claim();
    let _: RunStatus = agent.say(&claim, "start", json!({})).read();
    let scope = json!({"work": frozen}).to_string();
    operator.ask("Host", "Freeze", &(scope.as_str(), "look first")).unwrap();
    assert_eq!(told(&agent, &claim), Directive::Freeze);
    drop(operator);
    daemon.kill();
    daemon.verifies();

    daemon.run();
    let operator = daemon.operator();
    agent.sign_in().unwrap();
    other.sign_in().unwrap();
    // A run that began later passes its timeout: the frozen one would have passed its own by then.
    let _: RunStatus = other.say(&other.claim(), "start", json!({})).read();
    operator.until(&running, "failed");
    assert_eq!(told(&agent, &claim), Directive::Freeze);
    let refused = agent.say(&claim, "reserve", json!({"tokens": 1})).problem();
    assert_eq!(refused.code.as_str(), "frozen");
    let report = operator.ask("Host", "FreezeReport", &scope).unwrap();
    assert_eq!((report["runs"].as_u64(), report["confirmed"].as_u64()), (Some(1), Some(0)), "{report}");
    assert_eq!(operator.state(&frozen), "running");
    operator.call::<()>("Host", "Thaw", &scope).unwrap();
    let failed = operator.until(&frozen, "failed");
    assert_eq!(failed["runs"][0]["failure"], "timed_out", "its time goes on after the thaw: {failed}");
    drop(operator);
    daemon.stop();
    daemon.verifies();
}

#[test]
fn a_freeze_whose_answer_was_lost_holds_and_one_that_was_not_written_does_not() {
    for (step, holds) in STEPS.into_iter().zip([false, false, true, true]) {
        let mut daemon = Daemon::start();
        let operator = daemon.operator();
        let mut agent = Agent::enrol(&daemon, &operator, "worker", &[]);
        operator.submit(&json!({"title": "x"}));
        let claim = agent.claim();
        drop(operator);
        daemon.kill();
        // The first commit is that of the start.
        dies_at(&mut daemon, step, 2, |daemon| {
            let lost = door(daemon).ask("Host", "Freeze", &(json!("all").to_string(), "look first"));
            assert_eq!(lost.unwrap_err().code.as_str(), "stopping", "{step}");
        });
        daemon.run();
        agent.sign_in().unwrap();
        let expected = if holds { Directive::Freeze } else { Directive::Continue };
        assert_eq!(told(&agent, &claim), expected, "{step}");
        daemon.stop();
        daemon.verifies();
    }
}

#[test]
fn a_tick_that_was_under_way_fires_exactly_once() {
    if faketime().is_none() {
        return skip("a false clock needs the package faketime");
    }
    for step in STEPS {
        let scratch = Scratch::new();
        let clock = scratch.join("clock");
        std::fs::write(&clock, "+0").unwrap();
        let mut daemon = Daemon::with(Settings::default().false_clock(&clock));
        let line = json!({"name": "hourly", "cron": "0 * * * *", "work": {"title": "tick"}});
        let added = daemon.operator().ask("Schedules", "Add", &(line.to_string(), "")).unwrap();
        daemon.kill();
        // To just after the tick, and by less than the hour from which on a jump holds the clock.
        let due: jiff::Timestamp = added["next"].as_str().unwrap().parse().unwrap();
        let wait = due.as_second() - jiff::Timestamp::now().as_second() + 1;
        std::fs::write(&clock, format!("+{}s", wait.min(3599))).unwrap();
        // The first commit is that of the start, the second that of the tick.
        dies_at(&mut daemon, step, 2, |_| ());
        daemon.run();
        let operator = daemon.operator();
        eventually("the tick", || (operator.count("ScheduleTicked") > 0).then_some(()));
        drop(operator);
        // A start more is a chance more to fire it again.
        daemon.stop();
        daemon.run();
        let operator = daemon.operator();
        operator.submit(&json!({"title": "later"}));
        let events = operator.events();
        let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<&Value>>();
        let (ticks, works) = (of("ScheduleTicked"), of("WorkSubmitted"));
        assert_eq!((ticks.len(), works.len()), (1, 2), "{step}: {events:?}");
        assert_eq!(ticks[0]["data"]["tick"], added["next"], "{step}");
        assert_eq!(works[0]["data"]["from_schedule"]["tick"], added["next"], "{step}");
        drop(operator);
        daemon.stop();
        daemon.verifies();
    }
}

#[test]
fn an_effect_that_was_under_way_reaches_everybody_once() {
    // The first commit is that of the start, the second cancels `a`; from the third on the outbox spreads it.
    for (step, nth) in [("outbox.before", 2), ("commit.begin", 3), ("commit.before", 3), ("commit.after", 3)] {
        let mut daemon = Daemon::start();
        let operator = daemon.operator();
        let works = json!([{"title": "a", "ref": "a"}, {"title": "b", "ref": "b", "depends_on": ["ref:a"]},
            {"title": "c", "depends_on": ["ref:b"]}]);
        let submitted = operator.ask("Works", "SubmitMany", &(works.to_string(), "")).unwrap();
        let id = |n: usize| submitted["works"][n]["id"].as_str().unwrap().to_owned();
        drop(operator);
        daemon.kill();
        dies_at(&mut daemon, step, nth, |daemon| {
            // It may be answered or not: the outbox comes after the answer.
            let _ = door(daemon).ask("Works", "Cancel", &(id(0).as_str(), "not needed"));
        });
        assert!(entries(&daemon) > 0, "{step}: an entry is open");
        daemon.run();
        let operator = daemon.operator();
        for n in 0..3 {
            operator.until(&id(n), "cancelled");
        }
        eventually("the outbox to be empty", || (entries(&daemon) == 0).then_some(()));
        assert_eq!(operator.count("WorkCancelled"), 3, "{step}: each once");
        drop(operator);
        daemon.stop();
        daemon.verifies();
    }
}

/// Open entries of the outbox.
fn entries(daemon: &Daemon) -> u64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let conn = Connection::open_with_flags(daemon.database(), flags).unwrap();
    conn.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0)).unwrap()
}
