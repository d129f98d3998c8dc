//! What people decide reaches a run: a freeze, an end, an answer, more money, another attempt.

use std::fs;

use super::scene::{Scene, Who, can_start};

/// Counts in a file until it may go on.
const CLOCK: &str = "i=0; while [ ! -e \"$HOME/go\" ]; do i=$((i+1)); echo $i >count; sleep 0.02; done; echo counted";

fn count(scene: &Scene, id: &str) -> String {
    fs::read_to_string(scene.folder(id, 1).join("workspace/count")).unwrap_or_default()
}

#[test]
fn a_frozen_run_stands_still_its_time_too_and_goes_on_with_the_thaw() {
    let mut scene = Scene::new(Who::Ordinary);
    scene.agent("clock", "", CLOCK);
    let id = scene.submit("clock", &["--max-attempts", "1", "--timeout", "4s"]);
    scene.until_workspace_has(&id, "count");
    scene.told(&["freeze", "--all", "--reason", "look first"]);
    let before = count(&scene, &id);
    // Longer than it may run.
    scene.throughout(4500, "it stands still", || count(&scene, &id) == before);
    scene.crash();
    scene.throughout(500, "a new daemon wakes nobody", || count(&scene, &id) == before);
    assert_eq!(scene.work(&id)["state"], "running");
    scene.told(&["thaw", "--all"]);
    scene.eventually("the clock to go on", || (count(&scene, &id) != before).then_some(()));
    scene.write(&scene.folder(&id, 1).join("home/go"), "");
    assert_eq!(scene.until(&id, "completed")["runs"][0]["result"], "counted");
    scene.ends_well();
}

#[test]
fn a_work_that_is_cancelled_while_its_run_is_prepared_never_starts_its_program() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    scene.agent("worker", "", "echo done");
    scene.write(&scene.control("hold-prepare"), "");
    let id = scene.submit_repository("worker", &[]);
    scene.eventually("the launcher", || (scene.launches(&id, "prepare") > 0).then_some(()));
    scene.told(&["cancel", &id, "--reason", "not needed"]);
    fs::remove_file(scene.control("hold-prepare")).unwrap();
    scene.until(&id, "cancelled");
    scene.nothing_is_left(&id);
    // The next one gets its turn, and by then the cancelled one would have had its own.
    scene.until(&scene.submit_repository("worker", &["--max-attempts", "1"]), "failed");
    assert_eq!((scene.launches(&id, "program"), scene.launches(&id, "setup")), (0, 0));
    scene.ends_well();
}

#[test]
fn a_work_that_failed_has_another_attempt_that_knows_of_the_first() {
    let mut scene = Scene::new(Who::Ordinary);
    scene.agent(
        "worker",
        "",
        "if grep -q 'the gate is locked'; then echo knows; else echo the gate is locked >&2; exit 1; fi",
    );
    let id = scene.submit("worker", &["--max-attempts", "1"]);
    assert_eq!(scene.fails(&id).0, "program_failed");
    scene.told(&["retry", &id, "--reason", "it is open now"]);
    let work =
        scene.eventually("the second attempt", || Some(scene.work(&id)).filter(|work| work["state"] == "completed"));
    assert_eq!(work["attempts"], 2);
    assert!(work["runs"].as_array().unwrap().iter().any(|run| run["result"] == "knows"), "{work:#}");
    scene.ends_well();
}

/// Speaks at the run's socket by the agentctl that lies beside the daemon.
fn speaker(scene: &Scene, name: &str, script: &str) {
    let paths = format!("sandbox.read_only_paths = ['{}']", scene.path("ctl").display());
    scene.agent(name, &paths, &script.replace("agentctl", scene.path("ctl/agentctl").to_str().unwrap()));
}

#[test]
fn a_run_asks_a_person_and_waits_inside_or_ends_and_is_started_again_with_the_answer() {
    let mut scene = Scene::new(Who::Ordinary);
    speaker(&scene, "patient", "answer=$(agentctl run ask 'do goats count?' --wait) && echo \"told: $answer\"");
    let asks = "echo once >>starts; if [ ! -e asked ]; then agentctl run ask 'do goats count?' && : >asked; exit; fi
        while [ ! -e \"$HOME/go\" ]; do sleep 0.02; done; agentctl run show --json | grep -o 'they do' | head -1; cat starts";
    speaker(&scene, "brief", asks);
    let ids = ["patient", "brief"].map(|agent| scene.submit(agent, &["--max-attempts", "1"]));
    for id in &ids {
        let waits = || (scene.work(id)["state"] == "waiting").then_some(());
        scene.eventually("the question", waits);
    }
    // The brief one has ended by then, and the daemon is another one when the answer comes.
    scene.eventually("its end", || scene.folder(&ids[1], 1).join("program/outcome.json").exists().then_some(()));
    scene.crash();
    for id in &ids {
        scene.told(&["work", "answer", id, "they do"]);
    }
    assert_eq!(scene.until(&ids[0], "completed")["runs"][0]["result"], "told: they do");
    // It runs for the second time, and the first end is none for the next daemon either.
    scene.eventually("its second start", || {
        scene.folder(&ids[1], 1).join("program-2/started.json").exists().then_some(())
    });
    scene.crash();
    scene.write(&scene.folder(&ids[1], 1).join("home/go"), "");
    let work = scene.until(&ids[1], "completed");
    assert_eq!(work["attempts"], 1);
    let result = work["runs"][0]["result"].as_str().unwrap();
    assert_eq!(result, "they do\nonce\nonce");
    assert_eq!((scene.launches(&ids[1], "program"), scene.launches(&ids[1], "program-2")), (1, 1));
    scene.ends_well();
}

#[test]
fn a_run_at_its_limit_waits_for_a_raise_and_goes_on_in_the_same_attempt() {
    let mut scene = Scene::new(Who::Ordinary);
    let spends = "if [ -e spent ]; then echo after; exit; fi; : >spent; agentctl run cost --tokens 20; echo before";
    speaker(&scene, "spender", spends);
    let id = scene.submit("spender", &["--max-attempts", "1", "--max-tokens", "10"]);
    scene.eventually("the limit", || (scene.work(&id)["state"] == "waiting").then_some(()));
    scene.eventually("its end", || scene.folder(&id, 1).join("program/outcome.json").exists().then_some(()));
    scene.told(&["work", "raise", &id, "--max-tokens", "100"]);
    let work = scene.until(&id, "completed");
    assert_eq!((&work["runs"][0]["result"], &work["attempts"]), (&"after".into(), &1.into()), "{work:#}");
    scene.ends_well();
}
