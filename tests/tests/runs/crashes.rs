//! Somebody dies while a run is under way: the daemon, the launcher, the shim, the program. Nothing is lost, nothing
//! runs twice under one fence, and what nobody saw is told as unknown.

use std::fs;

use agentd_tests::harness::Daemon;
use serde_json::Value;

use super::scene::{Scene, Who, can_start, everybody, kill};
use super::seen::every_process;

/// Counts its starts in its workspace, and waits until it may go on.
const COUNTS: &str = "echo started >>starts; while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done; cat starts";

fn let_go(scene: &Scene, id: &str, attempt: u32) {
    scene.write(&scene.folder(id, attempt).join("home/go"), "");
}

/// How often the events of a log say that a run of a work was claimed, by fence, and that it ended.
fn tally(scene: &Scene, id: &str) -> (Vec<u64>, usize) {
    let events = scene.operator().events();
    let of = |kind: &'static str| {
        let of_work = events.iter().filter(move |event| event["type"] == kind);
        of_work.filter(|event| event.to_string().contains(id)).collect::<Vec<&Value>>()
    };
    let fences = of("WorkClaimed").iter().map(|event| event["data"]["fence"].as_u64().unwrap_or(0)).collect();
    (fences, of("WorkCompleted").len())
}

#[test]
fn a_program_outlives_its_daemon_and_the_next_daemon_completes_the_same_attempt() {
    for who in everybody() {
        let mut scene = Scene::new(who);
        scene.agent("worker", "", COUNTS);
        let id = scene.submit("worker", &[]);
        scene.until_workspace_has(&id, "starts");
        let (shim, before) = (scene.shim(&id, "program"), scene.shells(&id));
        scene.crash();
        scene.crash();
        assert_eq!(scene.shim(&id, "program"), shim);
        assert_eq!(scene.shells(&id), before, "the program goes on");
        scene.eventually("the work to run", || (scene.work(&id)["state"] == "running").then_some(()));
        let_go(&scene, &id, 1);
        let work = scene.until(&id, "completed");
        assert_eq!(work["runs"].as_array().unwrap().len(), 1, "{work:#}");
        assert_eq!(work["runs"][0]["result"], "started", "it was started once");
        assert_eq!((scene.launches(&id, "program"), tally(&scene, &id).1), (1, 1));
        scene.ends_well();
    }
}

#[test]
fn a_program_that_ended_while_no_daemon_was_there_is_judged_by_what_its_shim_wrote() {
    let mut scene = Scene::new(Who::Ordinary);
    scene.agent("worker", "", COUNTS);
    let id = scene.submit("worker", &[]);
    scene.until_workspace_has(&id, "starts");
    scene.daemon.kill();
    let_go(&scene, &id, 1);
    let outcome = scene.folder(&id, 1).join("program/outcome.json");
    scene.eventually("the outcome", || outcome.exists().then_some(()));
    scene.daemon.run();
    let work = scene.until(&id, "completed");
    assert_eq!((&work["runs"][0]["result"], work["attempts"].as_u64()), (&"started".into(), Some(1)));
    scene.ends_well();
}

#[test]
fn an_orderly_stop_leaves_the_run_alive_and_the_next_daemon_takes_it() {
    let mut scene = Scene::new(Who::Ordinary);
    scene.agent("worker", "", COUNTS);
    let id = scene.submit("worker", &[]);
    scene.until_workspace_has(&id, "starts");
    let before = scene.shells(&id);
    scene.ends_well();
    assert_eq!(scene.shells(&id), before, "a drain ends nothing");
    scene.daemon.run();
    let_go(&scene, &id, 1);
    let work = scene.until(&id, "completed");
    assert_eq!((&work["runs"][0]["result"], work["attempts"].as_u64()), (&"started".into(), Some(1)));
    scene.ends_well();
}

/// Points at which a launcher or a shim dies, whether its program may have begun, and how the attempt ends.
const DEATHS: [(&str, bool, &[&str]); 8] = [
    ("launch.recorded", false, &["not_started"]),
    ("launch.exec", false, &["not_started"]),
    ("shim.start", false, &["outcome_unknown"]),
    ("shim.begun", true, &["outcome_unknown"]),
    ("shim.watch", true, &["outcome_unknown"]),
    ("shim.watch:2", true, &["outcome_unknown"]),
    ("shim.ended", true, &["outcome_unknown"]),
    ("shim.told", true, &[]),
];

#[test]
fn a_launcher_or_shim_that_dies_at_any_step_costs_one_attempt_and_leaves_no_process() {
    let mut scene = Scene::new(Who::Ordinary);
    scene.agent("worker", "", "echo started; sleep 0.2");
    for (point, _, reasons) in DEATHS {
        scene.write(&scene.control("point-program"), point);
        let id = scene.submit("worker", &["--max-attempts", "2"]);
        let work = scene.until(&id, "completed");
        let failures: Vec<&str> =
            work["runs"].as_array().unwrap().iter().filter_map(|run| run["failure"].as_str()).collect();
        assert!(!scene.control("point-program").exists(), "{point}: it was reached");
        match reasons {
            [] => assert!(failures.is_empty(), "{point}: {failures:?}"),
            _ => assert!(failures.len() == 1 && reasons.contains(&failures[0]), "{point}: {failures:?}\n{work:#}"),
        }
        assert_eq!(tally(&scene, &id).1, 1, "{point}");
        scene.nothing_is_left(&id);
    }
    scene.ends_well();
}

/// Steps after the program: nothing that happens to them is its doing.
#[test]
fn a_launcher_or_shim_of_a_step_that_judges_is_no_verdict_when_it_dies_and_nobody_is_blamed() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    scene.agent("worker", "", "echo good >value; echo done");
    for step in ["collect", "check-0", "seal"] {
        // A short step may be over before its shim looks for the second time.
        for (point, _, reasons) in DEATHS.into_iter().filter(|(point, ..)| *point != "shim.watch:2") {
            scene.write(&scene.control(&format!("point-{step}")), point);
            let id = scene.submit_repository("worker", &["--max-attempts", "2"]);
            let work = scene.until(&id, "completed");
            let runs = work["runs"].as_array().unwrap();
            let failures: Vec<&str> = runs.iter().filter_map(|run| run["failure"].as_str()).collect();
            assert!(!scene.control(&format!("point-{step}")).exists(), "{step} {point}: it was reached");
            assert_eq!(failures, reasons, "{step} {point}: {work:#}");
            let judged = |run: &&Value| run["failure"].is_string() && run["verdicts"].to_string().contains("false");
            assert!(!runs.iter().any(|run| judged(&run)), "{step} {point}: {work:#}");
            scene.nothing_is_left(&id);
        }
    }
    scene.ends_well();
}

#[test]
fn a_daemon_that_dies_together_with_a_launcher_or_shim_tells_the_same() {
    for (point, begins, _) in DEATHS {
        let mut scene = Scene::new(Who::Ordinary);
        scene.agent("worker", "", "echo started; sleep 0.2");
        scene.write(&scene.control("point-program"), point);
        scene.write(&scene.control("hold-program"), "");
        let id = scene.submit("worker", &["--max-attempts", "1"]);
        scene.eventually("the launcher", || (scene.launches(&id, "program") > 0).then_some(()));
        scene.daemon.kill();
        scene.daemon.verifies();
        fs::remove_file(scene.control("hold-program")).unwrap();
        // Only now is it known what became of the step: the launcher goes on without a daemon.
        let point_is_gone = || (!scene.control("point-program").exists()).then_some(());
        scene.eventually("the launcher to go on", point_is_gone);
        scene.daemon.run();
        let (state, failure) = settled(&scene, &id);
        let told = format!("{point}: {state} {failure:?}\n{}", scene.daemon.log());
        match point {
            "shim.told" => assert_eq!(state, "completed", "{told}"),
            _ => assert_eq!(state, "failed", "{told}"),
        }
        if begins && point != "shim.told" {
            assert_eq!(failure.as_deref(), Some("outcome_unknown"), "{told}");
        }
        assert_eq!(scene.launches(&id, "program"), 1, "{told}");
        scene.nothing_is_left(&id);
        scene.ends_well();
    }
}

/// The state of a work that does not move any more, and how its first attempt failed.
fn settled(scene: &Scene, id: &str) -> (String, Option<String>) {
    let work = scene.eventually("the work to settle", || {
        let work = scene.work(id);
        ["completed", "failed"].contains(&work["state"].as_str().unwrap()).then_some(work)
    });
    let failure = work["runs"][0]["failure"].as_str().map(str::to_owned);
    (work["state"].as_str().unwrap().to_owned(), failure)
}

#[test]
fn a_shim_that_is_killed_takes_its_program_with_it_and_the_outcome_is_unknown() {
    for who in everybody() {
        let mut scene = Scene::new(who);
        scene.agent("worker", "", COUNTS);
        let id = scene.submit("worker", &["--max-attempts", "1"]);
        scene.until_workspace_has(&id, "starts");
        kill(scene.shim(&id, "program"));
        assert_eq!(scene.fails(&id).0, "outcome_unknown");
        scene.nothing_is_left(&id);
        scene.ends_well();
    }
}

#[test]
fn a_program_that_is_killed_fails_its_attempt_and_the_next_one_has_another_fence() {
    let mut scene = Scene::new(Who::Ordinary);
    scene.agent("worker", "", "if [ $AGENTD_ATTEMPT = 2 ]; then echo second; exit; fi; : >up; sleep 1000");
    let id = scene.submit("worker", &["--max-attempts", "2"]);
    scene.until_workspace_has(&id, "up");
    scene.shells(&id).into_iter().for_each(kill);
    let work = scene.until(&id, "completed");
    let runs = work["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2, "{work:#}");
    assert_ne!(runs[0]["fence"], runs[1]["fence"]);
    assert!(runs.iter().any(|run| run["failure"] == "program_failed"), "{work:#}");
    scene.ends_well();
}

/// What a launcher does that was too late: its daemon died, and the next one gave the start up.
#[test]
fn a_launcher_that_comes_after_its_start_was_given_up_starts_nothing() {
    let mut scene = Scene::new(Who::Ordinary);
    scene.agent("worker", "", "echo started");
    scene.write(&scene.control("hold-program"), "");
    let id = scene.submit("worker", &["--max-attempts", "1"]);
    scene.eventually("the launcher", || (scene.launches(&id, "program") > 0).then_some(()));
    scene.crash();
    let (failure, message) = scene.fails(&id);
    assert_eq!(failure, "not_started", "{message}");
    assert!(message.contains("killed while it was being started"), "{message}");
    fs::remove_file(scene.control("hold-program")).unwrap();
    let late = |pid: i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(&id));
    scene.eventually("the launcher's end", || (!every_process().any(late)).then_some(()));
    assert!(!scene.folder(&id, 1).join("program/started.json").exists());
    scene.nothing_is_left(&id);
    scene.ends_well();
}

#[test]
fn a_launcher_that_hangs_is_ended_and_what_it_would_have_started_never_begins_beside_the_next_attempt() {
    let mut scene = Scene::prepared(Who::Ordinary, "");
    // A minute has passed, as far as the first start is concerned.
    scene.daemon.settings.env.push(("AGENTD_FAILPOINT".to_owned(), "step.patience=error".to_owned()));
    scene.daemon.run();
    scene.agent("worker", "", "echo \"started $AGENTD_ATTEMPT\"");
    scene.write(&scene.control("hold-program"), "");
    let id = scene.submit("worker", &["--max-attempts", "2"]);
    scene.eventually("the second attempt", || scene.folder(&id, 2).join("program.json").exists().then_some(()));
    let of_first = format!("{id}.1/");
    let hangs =
        |pid: i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(&of_first));
    scene.eventually("the launcher's end", || (!every_process().any(hangs)).then_some(()));
    fs::remove_file(scene.control("hold-program")).unwrap();
    let work = scene.until(&id, "completed");
    let runs = work["runs"].as_array().unwrap();
    let first = runs.iter().find(|run| run["failure"].is_string()).unwrap();
    assert_eq!(first["failure"], "not_started", "{work:#}");
    assert!(first["message"].as_str().unwrap().contains("its launcher hangs"), "{work:#}");
    // One that could not be ended comes late.
    let (runs, record) = (scene.daemon.state().join("runs"), scene.folder(&id, 1).join("program"));
    let spec = scene.folder(&id, 1).join("program.json");
    let mut late = scene.command(scene.bin("agentd-launch").to_str().unwrap());
    late.arg("start").arg("--runs").arg(runs).arg("--spec").arg(spec);
    late.arg("--record").arg(&record).arg("--shim").arg(scene.bin("agentd-shim"));
    assert!(!late.output().unwrap().status.success());
    assert!(!record.join("started.json").exists());
    scene.nothing_is_left(&id);
    scene.ends_well();
}

/// Steps in each of which the daemon is killed: `setup` and `prepare` before the program, the others after it.
const PHASES: [&str; 6] = ["prepare", "setup", "program", "collect", "check-0", "seal"];

#[test]
fn a_daemon_killed_in_any_phase_of_a_run_goes_on_there_and_starts_no_step_twice() {
    if !can_start() {
        return;
    }
    for who in everybody() {
        let mut scene = Scene::new(who);
        scene.repository();
        scene.agent("worker", "", "echo good >value; echo done");
        for step in PHASES {
            scene.write(&scene.control(&format!("hold-{step}")), "");
            let id = scene.submit_repository("worker", &["--setup", "true", "--max-attempts", "2"]);
            scene.eventually(step, || (scene.launches(&id, step) > 0).then_some(()));
            scene.daemon.kill();
            fs::remove_file(scene.control(&format!("hold-{step}"))).unwrap();
            scene.daemon.verifies();
            scene.daemon.run();
            let work = scene.until(&id, "completed");
            assert_eq!(work["attempts"], 1, "{step}: {work:#}");
            for step in PHASES {
                assert_eq!(scene.launches(&id, step), 1, "{step}");
            }
            assert_eq!(tally(&scene, &id).1, 1, "{step}");
        }
        scene.ends_well();
    }
}

/// Where a commit dies.
const COMMITS: [&str; 4] = ["commit.begin", "commit.before", "commit.after", "outbox.before"];

#[test]
fn a_daemon_that_dies_at_any_commit_of_a_run_loses_nothing_and_completes_it_once() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    scene.agent("worker", "", "echo good >value; echo done");
    for point in COMMITS {
        // The first commit is that of the start, the next are the submit, the claim, the start, the base's verdict, the
        // end of the program, the completion.
        for nth in 3..=8 {
            dies_at(&mut scene.daemon, point, &nth.to_string());
            // Its answer may be lost: the key makes the second one the same.
            let key = format!("{point}-{nth}");
            let submitted = scene.agentctl(&submit(&key));
            let id = String::from_utf8_lossy(&submitted.stdout).trim().to_owned();
            let died = agentd_tests::harness::eventually("a death or an end", || {
                let died = scene.daemon.exited().is_some();
                (died || is_completed(&scene, &id)).then_some(died)
            });
            scene.daemon.settings.env.retain(|(name, _)| name != "AGENTD_FAILPOINT");
            if died {
                scene.daemon.wait();
            } else {
                scene.daemon.kill();
            }
            scene.daemon.verifies();
            scene.daemon.run();
            let id = scene.whole(scene.told(&submit(&key)).trim());
            let work = scene.until(&id, "completed");
            assert_eq!(work["attempts"], 1, "{point}:{nth}: {work:#}");
            assert_eq!(scene.launches(&id, "program"), 1, "{point}:{nth}");
            let (fences, completed) = tally(&scene, &id);
            assert_eq!((fences.len(), completed), (1, 1), "{point}:{nth}");
        }
    }
    scene.ends_well();
}

#[test]
fn a_disk_that_is_full_at_any_commit_of_a_run_holds_it_up_and_costs_no_attempt() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    scene.agent("worker", "", "echo good >value; echo done");
    // The first commit is that of the start, the second the submit.
    for nth in 3..=8 {
        dies_at(&mut scene.daemon, "commit.before", &format!("{nth}=error"));
        scene.daemon.settings.env.pop();
        let id = scene.submit("worker", &["--repo", "."]);
        let work = scene.until(&id, "completed");
        assert_eq!((&work["attempts"], scene.launches(&id, "program")), (&1.into(), 1), "{nth}: {work:#}");
        assert!(work["runs"][0]["program"].is_object(), "{nth}: {work:#}");
        assert!(work["runs"][0]["confinement"].is_object(), "{nth}: {work:#}");
    }
    scene.ends_well();
}

fn submit(key: &str) -> [&str; 9] {
    ["submit", "for worker", "--skill", "worker", "--repo", ".", "--quiet", "--key", key]
}

fn is_completed(scene: &Scene, id: &str) -> bool {
    let shown = scene.agentctl(&["work", "show", id, "--json"]);
    serde_json::from_slice::<Value>(&shown.stdout).is_ok_and(|work| work["state"] == "completed")
}

fn dies_at(daemon: &mut Daemon, point: &str, nth: &str) {
    daemon.kill();
    daemon.settings.env.push(("AGENTD_FAILPOINT".to_owned(), format!("{point}:{nth}")));
    daemon.run();
}
