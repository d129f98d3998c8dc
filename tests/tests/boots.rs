//! A machine that slept or booted anew between two starts of the daemon.
//!
//! A test cannot suspend the machine. It can start the daemon in a time namespace whose boot clock is ahead of the
//! monotonic one, which is what a machine that slept looks like, and in a mount namespace with another boot id. That the
//! machine sleeps under a running daemon is held by unit tests alone: no namespace moves its clock once it runs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

use std::process::Command;

use agentd_schemas::event::WorkState;
use agentd_schemas::http::{Directive, RunStatus};
use agentd_tests::harness::{Agent, Daemon, Scratch, Settings, skip};
use serde_json::{Value, json};

/// How long the machine sleeps: longer than every lease here, and shorter than what counts as a jump of the wall clock.
const SLEPT_S: i64 = 3000;

/// The command that starts a program with the boot clock so many seconds away from the machine's.
fn boot_clock(seconds: i64) -> Vec<String> {
    ["unshare", "--mount", "--time", "--boottime", &seconds.to_string(), "--"].map(str::to_owned).into()
}

/// The command that starts a program a few seconds after a boot with this id.
fn new_boot(scratch: &Scratch, id: &str) -> Vec<String> {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let seconds: i64 = uptime.split('.').next().unwrap().parse().unwrap();
    let file = scratch.join("boot_id");
    std::fs::write(&file, format!("{id}\n")).unwrap();
    let script = format!("mount --bind {} /proc/sys/kernel/random/boot_id && exec \"$@\"", file.display());
    let mut command = boot_clock(20 - seconds);
    command.extend(["sh", "-c", &script, "sh"].map(str::to_owned));
    command
}

/// Whether a command works here.
fn works(within: &[String]) -> bool {
    let works = Command::new(&within[0]).args(&within[1..]).arg("true").output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        skip("another boot clock needs root, unshare and a kernel with time namespaces");
    }
    works
}

fn patient() -> Settings {
    Settings {
        config: Some("[limits]\nbackoff = \"40min\"\nmax_backoff = \"40min\"\n".to_owned()),
        ..Settings::default()
    }
}

#[test]
fn a_sleep_between_two_starts_ends_no_lease_and_no_timeout_and_ends_a_backoff() {
    let slept = boot_clock(SLEPT_S);
    if !works(&slept) {
        return;
    }
    let mut daemon = Daemon::with(patient());
    let operator = daemon.operator();
    let mut agent = Agent::enrol(&daemon, &operator, "worker", &["one"]);
    let mut brief = Agent::enrol(&daemon, &operator, "brief", &["two"]);
    let mut failing = Agent::enrol(&daemon, &operator, "failing", &["three"]);
    let submit = |skill: &str, attempts: u32| {
        operator.submit(&json!({"title": "x", "required_skills": [skill],
            "limits": {"timeout": "10min", "max_attempts": attempts}}))
    };
    let (long, lost, retried) = (submit("one", 1), submit("two", 1), submit("three", 2));
    let claim = agent.claim();
    let _: RunStatus = agent.say(&claim, "start", json!({})).read();
    let short = brief.claim_briefly();
    failing.say(&failing.claim(), "fail", json!({"message": "not yet"})).read::<Value>();
    assert_eq!(operator.state(&retried), "scheduled");
    drop(operator);
    daemon.kill();
    daemon.verifies();

    daemon.settings.within = slept;
    daemon.run();
    let operator = daemon.operator();
    for agent in [&mut agent, &mut brief, &mut failing] {
        agent.sign_in().unwrap();
    }
    // The backoff was shorter than the sleep: boot time went on.
    assert_eq!(failing.claim().work.to_string(), retried);
    // What was leased gets one full period, and the sleep is no running time.
    for (agent, claim) in [(&agent, &claim), (&brief, &short)] {
        let told: RunStatus = agent.say(claim, "heartbeat", json!({})).read();
        assert_eq!(told.directive, Directive::Continue);
    }
    assert_eq!(operator.ask("Host", "Status", &()).unwrap()["clock_held_ms"].as_i64().unwrap_or(0), 0);
    // Without another heartbeat the short lease ends on the new boot time.
    let failed = operator.until(&lost, "failed");
    assert_eq!(failed["runs"][0]["failure"], "lease_expired", "{failed}");
    assert_eq!(agent.complete(&claim, "slept well").state, WorkState::Completed);
    assert_eq!(operator.state(&long), "completed");
    drop(operator);
    daemon.stop();
    daemon.verifies();
}

#[test]
fn a_reboot_voids_leases_without_using_up_an_attempt_and_ends_backoffs() {
    let scratch = Scratch::new();
    let boot = new_boot(&scratch, "11111111-2222-4333-8444-555555555555");
    if !works(&boot) {
        return;
    }
    let mut daemon = Daemon::with(patient());
    let operator = daemon.operator();
    let mut agent = Agent::enrol(&daemon, &operator, "worker", &["one"]);
    let mut failing = Agent::enrol(&daemon, &operator, "failing", &["two"]);
    let submit = |skill: &str, attempts: u32| {
        let limits = json!({"max_attempts": attempts});
        operator.submit(&json!({"title": "x", "required_skills": [skill], "limits": limits}))
    };
    let (leased, retried) = (submit("one", 1), submit("two", 2));
    let old = agent.claim();
    failing.say(&failing.claim(), "fail", json!({"message": "not yet"})).read::<Value>();
    drop(operator);
    daemon.kill();

    daemon.settings.within = boot;
    daemon.run();
    let operator = daemon.operator();
    agent.sign_in().unwrap();
    failing.sign_in().unwrap();
    assert_eq!(agent.say(&old, "heartbeat", json!({})).problem().code.as_str(), "stale_fence");
    let new = agent.claim();
    assert_eq!(new.work.to_string(), leased, "its one attempt is not used up");
    assert!(new.fence > old.fence);
    agent.complete(&new, "in another life");
    assert_eq!(failing.claim().work.to_string(), retried, "the clock of its backoff is gone");
    let events = operator.events();
    let voided: Vec<&Value> = events.iter().filter(|event| event["type"] == "LeaseVoided").collect();
    assert_eq!((voided.len(), &voided[0]["data"]["because"]), (1, &json!("new_boot")));
    assert_ne!(events[0]["boot"], events[events.len() - 1]["boot"], "events say which boot they are of");
    drop(operator);
    daemon.stop();
    daemon.verifies();

    // Back on the machine's own clock: another boot again.
    daemon.settings.within = Vec::new();
    daemon.run();
    assert_eq!(daemon.operator().count("LeaseVoided"), 2, "that of the retried work");
    daemon.stop();
    daemon.verifies();
}
