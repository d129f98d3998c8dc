//! SIGHUP: what counts at once, what a restart takes over, and a file that cannot be read.

use std::fs;

use agentd_tests::harness::{Daemon, Scratch, Settings, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::manager::Managed;

/// Has the daemon read another file, and waits until it says that it did.
pub(crate) fn reload(managed: &mut Managed, config: &str) {
    fs::write(managed.scratch.join("etc/agentd.toml"), config).unwrap();
    while managed.told().is_some() {}
    let pid = Pid::from_raw(i32::try_from(managed.daemon.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    let told = managed.is_told("RELOADING=1");
    let time = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{told:?}"));
    assert!(time.parse::<u64>().unwrap() > 0, "{told:?}");
    managed.is_told("READY=1");
}

/// What the newest event of a kind says; none where there is none.
fn newest(managed: &Managed, kind: &str) -> Option<Value> {
    let indexes = managed.ctl(&["ledger", "log", "--type", kind, "--quiet"]);
    let shown = managed.ctl(&["ledger", "show", indexes.lines().last()?, "--json"]);
    let event: Value = serde_json::from_str(&shown).unwrap();
    let event = if event["event"].is_object() { &event["event"] } else { &event };
    Some(event["data"].clone())
}

fn attempts_of_a_new_work(managed: &Managed) -> u64 {
    let id = managed.ctl(&["submit", "Anything", "-q"]);
    let shown: Value = serde_json::from_str(&managed.ctl(&["work", "show", id.trim(), "--json"])).unwrap();
    shown["max_attempts"].as_u64().unwrap()
}

#[test]
fn limits_log_and_runs_count_at_once_and_the_rest_is_named() {
    let mut managed = Managed::started("[limits]\nmax_attempts = 3\n");
    assert_eq!(attempts_of_a_new_work(&managed), 3);
    reload(
        &mut managed,
        "time_zone = \"Asia/Tokyo\"\n[limits]\nmax_attempts = 5\n[runs]\nmax = 77\ntasks_max = 9\n[log]\nlevel = \"info,agentd=debug\"\n",
    );
    assert_eq!(attempts_of_a_new_work(&managed), 5);
    let status: Value = serde_json::from_str(&managed.ctl(&["status", "--json"])).unwrap();
    assert_eq!(status["runs"]["max"], 77, "{status}");
    let log = managed.daemon.log();
    assert!(log.contains("this counts from now on: limits.max_attempts, log.level, runs.max"), "{log}");
    let warned: Vec<&str> = log.lines().filter(|line| line.contains("restart agentd")).collect();
    assert!(warned.len() == 1 && warned[0].contains("runs.tasks_max") && warned[0].contains("time_zone"), "{log}");
    let before = managed.daemon.log().matches("DEBUG").count();
    eventually("a line at the new level", || {
        managed.ctl(&["status"]);
        (managed.daemon.log().matches("DEBUG").count() > before).then_some(())
    });
}

#[test]
fn the_ledger_says_which_configuration_counted() {
    let mut managed = Managed::started("[limits]\nmax_attempts = 3\n");
    let started = newest(&managed, "DaemonStarted").unwrap()["configuration"].as_str().unwrap().to_owned();
    assert_eq!(started.len(), 64);
    reload(&mut managed, "[limits]\nmax_attempts = 3\n");
    assert_eq!(newest(&managed, "ConfigurationReloaded"), None, "nothing was different");
    reload(&mut managed, "[limits]\nmax_attempts = 4\n[runs]\ntasks_max = 9\n");
    let reloaded = newest(&managed, "ConfigurationReloaded").unwrap();
    assert_eq!(reloaded["changed"], serde_json::json!(["limits.max_attempts"]));
    assert_eq!(reloaded["pending"], serde_json::json!(["runs.tasks_max"]));
    assert_ne!(reloaded["configuration"], started.as_str());
    reload(&mut managed, "[limits]\nmax_attempts = 3\n");
    let again = newest(&managed, "ConfigurationReloaded").unwrap();
    assert_eq!(again["configuration"], started.as_str(), "as at the start");
    assert!(managed.daemon.stop().success());
    managed.daemon.verifies();
}

#[test]
fn a_broken_file_changes_nothing_and_is_shown_until_it_is_mended() {
    let mut managed = Managed::started("[limits]\nmax_attempts = 3\n");
    for broken in ["[limits]\nmax_attempts = 101\n", "[limits]\nmax_atempts = 4\n", "[log]\nlevel = \"loud\"\n", "=\n"]
    {
        reload(&mut managed, broken);
        assert_eq!(attempts_of_a_new_work(&managed), 3, "{broken}");
        let health = managed.health();
        let line = health.iter().find(|line| line.starts_with("the configuration could not be read again"));
        assert!(line.is_some_and(|line| line.contains("agentd.toml")), "{broken}: {health:?}");
    }
    assert!(managed.health().iter().any(|line| line.contains("agentd.toml")));
    reload(&mut managed, "[limits]\nmax_attempts = 6\n");
    assert_eq!(attempts_of_a_new_work(&managed), 6);
    assert!(!managed.health().iter().any(|line| line.contains("configuration")), "{:?}", managed.health());
}

#[test]
fn whom_the_daemon_serves_stays_as_it_was_at_the_start_whatever_follows_from_it() {
    for (mode, other, for_all) in [("private", "system", false), ("system", "private", true)] {
        let config = |mode: &str| format!("mode = \"{mode}\"\n[groups]\nusers = \"agentd-no-such-group\"\n");
        let bus = Scratch::new();
        let settings = Settings { config: Some(config(mode)), ..Settings::default() };
        let daemon =
            Daemon::with(settings.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", bus.join("none").display())));
        // On a host that is served for all its users, that nobody is one is a complaint.
        let complains = || daemon.told(&["status"]).contains("there is no group agentd-no-such-group");
        assert_eq!(complains(), for_all, "{mode}");
        fs::write(daemon.file("agentd.toml"), config(other)).unwrap();
        kill_process(Pid::from_raw(i32::try_from(daemon.pid()).unwrap()).unwrap(), Signal::HUP).unwrap();
        eventually("the reload", || {
            daemon.log().contains("this counts from the next start, restart agentd: mode").then_some(())
        });
        assert_eq!(complains(), for_all, "{mode}, and then {other}");
    }
}

#[test]
fn who_is_an_automation_counts_at_once_and_is_told_as_that() {
    let own = rustix::process::geteuid().as_raw();
    let mut managed = Managed::started("");
    for agent in ["first", "second"] {
        managed.ctl(&["agent", "enroll", agent, "--skill", "read"]);
    }
    managed.ctl(&["agent", "activate", "first", "--reason", "it is good"]);
    reload(&mut managed, &format!("automation_users = [{own}]\n"));
    let reloaded = newest(&managed, "ConfigurationReloaded").unwrap();
    assert_eq!(reloaded["changed"], serde_json::json!(["automation_users"]), "{reloaded}");
    assert!(reloaded["pending"].as_array().is_none_or(Vec::is_empty), "{reloaded}");
    let refused = managed.ctl_command().args(["agent", "activate", "second", "--reason", "x"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("automation.never_judges"), "{said}");
}
