//! What the host cannot do: works wait for it and say so, and a run that cannot be gone on with does not run on unwatched.
//! What a run is, it stays: its program, and its user.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};

use agentd_tests::harness::{is_root, skip};
use serde_json::Value;

use super::scene::{Scene, Who, everybody};

/// Says that it began, and waits until it may go on.
const WAITS: &str = "echo began >began; while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done";

fn let_go(scene: &Scene, id: &str, attempt: u32) {
    scene.write(&scene.folder(id, attempt).join("home/go"), "");
}

#[test]
fn works_that_ask_for_more_than_the_host_can_do_wait_unharmed_and_begin_once_it_can() {
    let mut scene = Scene::prepared(Who::Ordinary, "least_level = \"landlock\"");
    scene.write(&scene.control("weak"), "");
    scene.daemon.run();
    scene.agent("worker", "", "echo done");
    scene.agent("modest", "sandbox.level = \"landlock\"", "echo done");
    let ids: Vec<String> = (0..3).map(|_| scene.submit("worker", &["--max-attempts", "1"])).collect();
    let asks = "the run asks for a sandbox of level strict, and this host can do landlock at best";
    scene.eventually("the word of it", || scene.told(&["status"]).contains(asks).then_some(()));
    let check = scene.agentctl(&["status", "--check"]);
    assert_eq!(check.status.code(), Some(1), "others go on: {check:?}");
    for id in &ids {
        let why = scene.told(&["why", id, "--json"]);
        assert!(why.contains(asks) && why.contains("agentctl doctor"), "{why}");
        let work = scene.work(id);
        assert_eq!((work["state"].as_str(), work["attempts"].as_u64()), (Some("ready"), Some(0)), "{work:#}");
    }
    let shown = scene.told(&["agent", "show", "worker", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["state"], "active");
    // Somebody installs what was missing; nobody tells the daemon.
    fs::remove_file(scene.control("weak")).unwrap();
    for id in &ids {
        assert_eq!(scene.until(id, "completed")["attempts"], 1);
    }
    scene.eventually("the end of it", || (!scene.told(&["status"]).contains("works wait")).then_some(()));
    scene.ends_well();
}

#[test]
fn a_folder_of_runs_that_cannot_be_written_uses_up_no_attempt_and_works_go_on_once_it_can() {
    let mut scene = Scene::new(Who::Ordinary);
    scene.agent("worker", "", "echo done");
    let (runs, aside) = (scene.daemon.state().join("runs"), scene.daemon.state().join("aside"));
    fs::rename(&runs, &aside).unwrap();
    // Root may write what is read-only; nobody makes a folder in a file.
    fs::write(&runs, "").unwrap();
    let ids: Vec<String> = (0..3).map(|_| scene.submit("worker", &["--max-attempts", "1"])).collect();
    let words = "no run begins: the folder of runs, ";
    scene.eventually("the word of it", || scene.told(&["status"]).contains(words).then_some(()));
    for id in &ids {
        let ready = || (scene.work(id)["state"] == "ready").then_some(());
        scene.eventually("the work to wait", ready);
        let work = scene.work(id);
        assert!(work["runs"].as_array().unwrap().iter().all(|run| run["failure"].is_null()), "{work:#}");
        let why = scene.told(&["why", id]);
        assert!(why.contains(words) && why.contains("go on by themselves"), "{why}");
    }
    let log = ids.iter().map(|id| scene.told(&["log", id])).collect::<String>();
    assert!(log.contains("lease void, no attempt used up: runs unwritable"), "{log}");
    let shown = scene.told(&["agent", "show", "worker", "--json"]);
    assert_eq!(
        serde_json::from_str::<Value>(&shown).unwrap()["state"],
        "active",
        "three faults of the host pause nobody"
    );
    fs::remove_file(&runs).unwrap();
    fs::rename(&aside, &runs).unwrap();
    for id in &ids {
        scene.until(id, "completed");
        let log = scene.told(&["log", id]);
        assert!(!log.contains("attempt by worker failed"), "the one attempt was there for the program: {log}");
    }
    assert!(!scene.told(&["status"]).contains(words));
    scene.ends_well();
}

#[test]
fn a_spec_that_cannot_be_written_after_a_good_lay_out_uses_up_no_attempt() {
    let mut scene = Scene::prepared(Who::Ordinary, "");
    scene.daemon.settings.env.push(("AGENTD_FAILPOINT".to_owned(), "spec.write=error".to_owned()));
    scene.daemon.run();
    scene.agent("worker", "", "echo done");
    let id = scene.submit("worker", &["--max-attempts", "1"]);
    let work = scene.until(&id, "completed");
    assert!(work["runs"].as_array().unwrap().iter().all(|run| run["failure"].is_null()), "{work:#}");
    let log = scene.told(&["log", &id]);
    assert!(log.contains("lease void, no attempt used up: runs unwritable"), "{log}");
    assert!(!log.contains("attempt by worker failed"), "{log}");
    assert!(!scene.told(&["status"]).contains("cannot be written"));
    scene.ends_well();
}

#[test]
fn what_lives_goes_on_before_it_is_known_what_the_host_can_do_and_what_is_new_waits_for_that() {
    let mut scene = Scene::new(Who::Ordinary);
    scene.agent("worker", "limits.max_concurrency = 2", &format!("{WAITS}; echo done"));
    let id = scene.submit("worker", &[]);
    scene.until_workspace_has(&id, "began");
    scene.daemon.kill();
    scene.write(&scene.control("hold-probe"), "");
    scene.daemon.run();
    let next = scene.submit("worker", &["--max-attempts", "1"]);
    let_go(&scene, &id, 1);
    assert_eq!(scene.until(&id, "completed")["attempts"], 1);
    let work = scene.work(&next);
    assert_eq!((work["state"].as_str(), work["attempts"].as_u64()), (Some("ready"), Some(0)), "{work:#}");
    fs::remove_file(scene.control("hold-probe")).unwrap();
    scene.until_workspace_has(&next, "began");
    let_go(&scene, &next, 1);
    scene.until(&next, "completed");
    scene.ends_well();
}

#[test]
fn a_living_run_that_cannot_be_gone_on_with_is_ended_told_as_unknown_and_tried_again_when_it_can() {
    let profile = "[runs.profiles.words]\nenvironment = { WORD = 'said' }";
    for who in everybody() {
        let mut scene = Scene::with(who, profile);
        scene.agent("worker", "sandbox.profiles = [\"words\"]", &format!("{WAITS}; echo $WORD"));
        let id = scene.submit("worker", &["--max-attempts", "2"]);
        scene.until_workspace_has(&id, "began");
        scene.daemon.kill();
        scene.configure("");
        scene.daemon.run();
        let run = |n: usize| scene.work(&id)["runs"].as_array().unwrap().get(n).cloned();
        let failed = |run: &Value| run["failure"].is_string();
        let failed = scene.eventually("the end of the run", || run(0).filter(failed));
        assert_eq!(failed["failure"], "outcome_unknown", "{failed:#}");
        assert!(failed["message"].as_str().unwrap().contains("there is no profile words"), "{failed:#}");
        assert!(failed["program"]["usage"]["wall_ms"].as_u64().is_some(), "what it used is told: {failed:#}");
        scene.nothing_is_left(&id);
        // The attempt that is left waits for the host.
        scene.eventually("the word of it", || {
            scene.told(&["why", &id]).contains("there is no profile words").then_some(())
        });
        let work = scene.work(&id);
        assert_eq!((work["state"].as_str(), scene.launches(&id, "program")), (Some("ready"), 1), "{work:#}");
        scene.daemon.stop();
        scene.configure(profile);
        scene.daemon.run();
        let began = scene.folder(&id, 2).join("workspace/began");
        scene.eventually("the second attempt", || began.exists().then_some(()));
        let_go(&scene, &id, 2);
        let work = scene.until(&id, "completed");
        assert!(work["runs"].as_array().unwrap().iter().any(|run| run["result"] == "said"), "{work:#}");
        scene.ends_well();
    }
}

#[test]
fn a_run_that_was_cancelled_just_before_its_daemon_died_is_ended_and_what_it_used_is_told() {
    let mut scene = Scene::new(Who::Ordinary);
    scene.agent("worker", "", &format!("trap '' TERM; {WAITS}"));
    let id = scene.submit("worker", &[]);
    scene.until_workspace_has(&id, "began");
    scene.told(&["cancel", &id, "--reason", "not needed"]);
    scene.daemon.kill();
    scene.daemon.run();
    scene.nothing_is_left(&id);
    scene.eventually("what it used", || {
        scene.work(&id)["runs"][0]["program"]["usage"]["wall_ms"].as_u64().filter(|ms| *ms > 0)
    });
    assert_eq!(scene.work(&id)["state"], "cancelled");
    scene.ends_well();
}

#[test]
fn a_run_keeps_the_program_that_it_was_claimed_with_whatever_is_bound_and_whoever_dies() {
    let mut scene = Scene::new(Who::Ordinary);
    let folder = scene.path("agents").join("worker");
    scene.write(&folder.join("word"), "one");
    scene.agent("worker", "files = [\"word\"]", &format!("{WAITS}; cat \"${{0%/*}}/word\""));
    let id = scene.submit("worker", &[]);
    scene.until_workspace_has(&id, "began");
    scene.write(&folder.join("word"), "two");
    let document = folder.join("agent.toml");
    scene.told(&["agent", "program", "worker", "--file", document.to_str().unwrap(), "--reason", "another word"]);
    scene.crash();
    scene.eventually("the run to be taken over", || (scene.work(&id)["state"] == "running").then_some(()));
    let_go(&scene, &id, 1);
    assert_eq!(scene.until(&id, "completed")["runs"][0]["result"], "one");
    let next = scene.submit("worker", &[]);
    scene.until_workspace_has(&next, "began");
    let_go(&scene, &next, 1);
    assert_eq!(scene.until(&next, "completed")["runs"][0]["result"], "two");
    scene.ends_well();
}

#[test]
fn an_agent_that_this_host_could_never_start_is_not_taken_in() {
    let scene = Scene::new(Who::Ordinary);
    let binaries = scene.bin("agentd").parent().unwrap().display().to_string();
    for (sandbox, why) in [
        ("profiles = [\"nowhere\"]".to_owned(), "there is no profile nowhere; this host has: none"),
        (format!("read_only_paths = [\"{binaries}\"]"), "agentd-shim is kept from them"),
    ] {
        let document =
            format!("name = \"never\"\nskills = [\"never\"]\ncommand = [\"/bin/true\"]\n[sandbox]\n{sandbox}\n");
        let file = scene.path("home/never.toml");
        scene.write(&file, &document);
        let refused = scene.agentctl(&["agent", "enroll", "--file", file.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(why), "{sandbox}: {said}");
    }
    assert!(!scene.told(&["agent", "list"]).contains("never"));
}

#[test]
fn two_runs_of_one_agent_have_users_of_their_own_which_they_keep() {
    if !is_root() {
        return skip("users for runs need root");
    }
    let mut scene = Scene::new(Who::Root);
    scene.agent("worker", "limits.max_concurrency = 2", &format!("{WAITS}; echo done"));
    let ids = [scene.submit("worker", &[]), scene.submit("worker", &[])];
    let user = |id: &String| fs::metadata(scene.folder(id, 1).join("workspace/began")).unwrap().uid();
    for id in &ids {
        scene.until_workspace_has(id, "began");
    }
    let users: Vec<u32> = ids.iter().map(user).collect();
    assert!(users[0] != users[1] && users.iter().all(|uid| *uid >= 2_100_000_000), "{users:?}");
    scene.crash();
    for id in &ids {
        let_go(&scene, id, 1);
        let work = scene.until(id, "completed");
        assert_eq!(work["attempts"], 1, "{work:#}");
    }
    scene.ends_well();
}

#[test]
fn where_users_of_runs_may_not_pass_works_wait_and_are_told_the_folder() {
    if !is_root() {
        return skip("users of runs need root");
    }
    let mut scene = Scene::prepared(Who::Root, "");
    let closed = scene.path("closed");
    fs::create_dir(&closed).unwrap();
    let pass = |mode| fs::set_permissions(&closed, PermissionsExt::from_mode(mode)).unwrap();
    pass(0o700);
    scene.daemon.settings.state = Some(closed.join("s"));
    scene.daemon.run();
    scene.agent("worker", "", "echo done");
    let id = scene.submit("worker", &["--max-attempts", "1"]);
    let words =
        format!("the folder of runs is below {}, which users of runs may not pass: chmod o+x", closed.display());
    scene.eventually("the word of it", || scene.told(&["why", &id]).contains(&words).then_some(()));
    let checked = scene.agentctl(&["doctor"]);
    assert!(String::from_utf8_lossy(&checked.stdout).contains(&words), "{checked:?}");
    pass(0o711);
    assert_eq!(scene.until(&id, "completed")["attempts"], 1);
    scene.ends_well();
}
