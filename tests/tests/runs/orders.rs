//! What people decide reaches a run: a freeze, an end, an answer, more money, another attempt.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use rustix::process::{Pid, Signal, kill_process};

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
    // Of a run that is over nothing is left, and a freeze waits for no word of it.
    let scope = serde_json::json!("all").to_string();
    scene.eventually("the end of all of it", || {
        let report = scene.operator().ask("Host", "FreezeReport", &scope).unwrap();
        (report["ending"].is_null() && report["runs"] == 0).then_some(())
    });
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
pub(crate) fn speaker(scene: &Scene, name: &str, more: &str, script: &str) {
    let paths = format!("{more}sandbox.read_only_paths = ['{}']", scene.path("ctl").display());
    scene.agent(name, &paths, &script.replace("agentctl", scene.path("ctl/agentctl").to_str().unwrap()));
}

#[test]
fn a_run_asks_a_person_and_waits_inside_or_ends_and_is_started_again_with_the_answer() {
    let mut scene = Scene::new(Who::Ordinary);
    speaker(&scene, "patient", "", "answer=$(agentctl run ask 'do goats count?' --wait) && echo \"told: $answer\"");
    let asks = "echo once >>starts; if [ ! -e asked ]; then agentctl run ask 'do goats count?' && : >asked; exit; fi
        while [ ! -e \"$HOME/go\" ]; do sleep 0.02; done; agentctl run show --json | grep -o 'they do' | head -1; cat starts";
    speaker(&scene, "brief", "", asks);
    let ids = ["patient", "brief"].map(|agent| scene.submit(agent, &["--max-attempts", "1"]));
    for id in &ids {
        let waits = || (scene.work(id)["state"] == "waiting").then_some(());
        scene.eventually("the question", waits);
    }
    // The brief one has ended by then, and the daemon is another one when the answer comes.
    scene.eventually("its end", || scene.folder(&ids[1], 1).join("program/outcome.json").exists().then_some(()));
    let open =
        "attempt 1: program ended with its question open: exit code 0; it is started again once there is an answer";
    scene.eventually("the word of it", || scene.told(&["log", &ids[1]]).contains(open).then_some(()));
    scene.crash();
    let why = scene.told(&["why", &ids[1]]);
    assert!(why.contains("its program ended with its question open"), "{why}");
    assert!(!scene.told(&["why", &ids[0]]).contains("its program ended"), "this one waits inside");
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
    let log = scene.told(&["log", &ids[1]]);
    assert_eq!((log.matches(open).count(), log.matches("attempt 1: program ended: ").count()), (1, 1), "{log}");
    assert_eq!((scene.launches(&ids[1], "program"), scene.launches(&ids[1], "program-2")), (1, 1));
    scene.ends_well();
}

#[test]
fn a_program_that_waits_goes_on_in_its_last_session_and_in_none_where_the_end_of_its_output_is_not_kept() {
    let mut scene = Scene::with(Who::Ordinary, "output_max = \"1M\"");
    let script = "[ \"$2\" ] && exec echo \"went on in $2\"
        echo '{\"s\": \"first\"}'; head -c 2000000 /dev/zero | tr '\\0' x; echo; echo '{\"s\": \"last\"}'
        agentctl run ask 'do goats count?' >&2";
    let goes_on =
        format!("program.session = \"/s\"\nprogram.resume = [\"./run.sh\", {:?}, \"{{{{ session }}}}\"]\n", scene.mark);
    speaker(&scene, "cut", &goes_on, script);
    speaker(&scene, "whole", &format!("{goes_on}resources.output_max = \"4M\"\n"), script);
    let [cut, whole] = ["cut", "whole"].map(|agent| scene.submit(agent, &["--max-attempts", "1"]));
    let (failure, message) = scene.fails(&cut);
    assert_eq!(failure, "program_failed", "{message}");
    assert!(message.contains("its session is not known") && message.contains("1048576 are kept"), "{message}");
    scene.eventually("the question", || (scene.work(&whole)["state"] == "waiting").then_some(()));
    scene.told(&["work", "answer", &whole, "they do"]);
    assert_eq!(scene.until(&whole, "completed")["runs"][0]["result"], "went on in last");
    scene.ends_well();
}

#[test]
fn the_time_of_an_attempt_stands_still_from_its_question_on_and_not_only_once_its_processes_do() {
    let mut scene = Scene::new(Who::Ordinary);
    let asks = "answer=$(agentctl run ask 'do goats count?' --wait); : >answered
        while [ ! -e \"$HOME/go\" ]; do sleep 0.02; done; echo \"told: $answer\"";
    speaker(&scene, "patient", "", asks);
    let id = scene.submit("patient", &["--max-attempts", "1", "--timeout", "3s"]);
    scene.eventually("the question", || (scene.work(&id)["state"] == "waiting").then_some(()));
    // Longer than it may run, and shorter than it may go on.
    scene.throughout(4500, "it waits", || scene.work(&id)["state"] == "waiting");
    scene.told(&["work", "answer", &id, "they do"]);
    scene.until_workspace_has(&id, "answered");
    scene.write(&scene.folder(&id, 1).join("home/go"), "");
    assert_eq!(scene.until(&id, "completed")["runs"][0]["result"], "told: they do");
    scene.ends_well();
}

#[test]
fn a_run_at_its_limit_waits_for_a_raise_and_goes_on_in_the_same_attempt() {
    let mut scene = Scene::new(Who::Ordinary);
    let spends = "if [ -e spent ]; then echo after; exit; fi; : >spent; agentctl run cost --tokens 20; echo before";
    speaker(&scene, "spender", "", spends);
    let id = scene.submit("spender", &["--max-attempts", "1", "--max-tokens", "10"]);
    scene.eventually("the limit", || (scene.work(&id)["state"] == "waiting").then_some(()));
    scene.eventually("its end", || scene.folder(&id, 1).join("program/outcome.json").exists().then_some(()));
    scene.told(&["work", "raise", &id, "--max-tokens", "100"]);
    let work = scene.until(&id, "completed");
    assert_eq!((&work["runs"][0]["result"], &work["attempts"]), (&"after".into(), &1.into()), "{work:#}");
    scene.ends_well();
}

#[test]
fn a_program_that_handed_its_result_in_and_went_over_its_limit_is_not_started_again_after_the_raise() {
    let mut scene = Scene::new(Who::Ordinary);
    let spends = "echo once >>starts; agentctl run finish --result 'all done'; agentctl run cost --tokens 20; exit 0";
    speaker(&scene, "spender", "", spends);
    let id = scene.submit("spender", &["--max-attempts", "1", "--max-tokens", "10"]);
    scene.eventually("the limit", || (scene.work(&id)["state"] == "waiting").then_some(()));
    scene.eventually("its end", || scene.folder(&id, 1).join("program/outcome.json").exists().then_some(()));
    scene.crash();
    scene.told(&["work", "raise", &id, "--max-tokens", "100"]);
    let work = scene.until(&id, "completed");
    assert_eq!((&work["runs"][0]["result"], &work["attempts"]), (&"all done".into(), &1.into()), "{work:#}");
    assert_eq!((scene.launches(&id, "program"), scene.launches(&id, "program-2")), (1, 0));
    scene.ends_well();
}

/// Two steps of one run are under way: its program, and a criterion that is tried on what the run begins with.
#[test]
fn a_freeze_is_verified_when_the_program_and_the_criterion_beside_it_stand_still_and_both_hear_the_end() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    scene.agent("clock", "", CLOCK);
    let beside = format!("i=0; while :; do i=$((i+1)); echo $i >\"$HOME/count\"; sleep 0.02; done # {}", scene.mark);
    let id = scene.submit("clock", &["--repo", ".", "--accept", &beside]);
    let counts = || {
        let of_base = fs::read_to_string(scene.folder(&id, 1).join("home-base-0/count")).unwrap_or_default();
        [count(&scene, &id), of_base]
    };
    let both_go_on = || {
        let before = counts();
        scene.eventually("both to go on", || {
            counts().iter().zip(&before).all(|(now, before)| !now.is_empty() && now != before).then_some(())
        });
    };
    both_go_on();
    for _ in 0..3 {
        // It comes back when the run has confirmed.
        scene.told(&["freeze", "--all", "--reason", "look first"]);
        let before = counts();
        scene.throughout(300, "both stand still", || counts() == before);
        scene.told(&["thaw", "--all"]);
        both_go_on();
    }
    scene.told(&["cancel", &id, "--reason", "not needed"]);
    scene.nothing_is_left(&id);
    for step in ["program", "base-0"] {
        // It is written once the processes are gone.
        let outcome = scene.folder(&id, 1).join(step).join("outcome.json");
        scene.eventually(&format!("{step} was told to end"), || outcome.exists().then_some(()));
    }
    scene.ends_well();
}

#[test]
fn a_freeze_that_a_shim_does_not_do_is_not_verified_and_one_that_it_does_late_ends_with_the_thaw() {
    let mut scene = Scene::new(Who::Ordinary);
    scene.agent("clock", "", CLOCK);
    let id = scene.submit("clock", &["--max-attempts", "1"]);
    scene.until_workspace_has(&id, "count");
    let shim = Pid::from_raw(scene.shim(&id, "program")).unwrap();
    kill_process(shim, Signal::STOP).unwrap();
    let frozen = scene.agentctl(&["freeze", "--all", "--reason", "look first", "--timeout", "3s"]);
    let said = String::from_utf8_lossy(&frozen.stderr).into_owned();
    assert!(!frozen.status.success() && said.contains("did not confirm"), "{said}");
    let before = count(&scene, &id);
    scene.eventually("it goes on", || (count(&scene, &id) != before).then_some(()));
    kill_process(shim, Signal::CONT).unwrap();
    scene.told(&["freeze", "--all", "--reason", "look again"]);
    let before = count(&scene, &id);
    scene.throughout(300, "it stands still", || count(&scene, &id) == before);
    scene.told(&["thaw", "--all"]);
    scene.eventually("it goes on", || (count(&scene, &id) != before).then_some(()));
    scene.write(&scene.folder(&id, 1).join("home/go"), "");
    assert_eq!(scene.until(&id, "completed")["runs"][0]["result"], "counted");
    scene.ends_well();
}

#[test]
fn a_criterion_that_takes_long_on_what_the_run_begins_with_costs_the_attempt_no_time() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    scene.agent("quick", "", "mkdir -p src; : >src/y; echo done");
    let slow = format!("test -f src/y || sleep 1000 # {}", scene.mark);
    let once = ["--repo", ".", "--max-attempts", "1", "--timeout", "15s", "--accept", &slow];
    let id = scene.submit("quick", &once);
    let work = scene.until(&id, "completed");
    assert_eq!(work["runs"][0]["result"], "done", "{work:#}");
    scene.nothing_is_left(&id);
    assert!(!scene.operator().events().iter().any(|event| event["type"] == "BaseJudged"), "nobody knows it");
    scene.ends_well();
}

/// Says a line to the shim of a step, as a daemon does.
fn say(scene: &Scene, id: &str, step: &str, line: &str) -> String {
    let mut shim = UnixStream::connect(scene.folder(id, 1).join(step).join("control.sock")).unwrap();
    shim.write_all(format!("{line}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    shim.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_run_that_an_earlier_daemon_froze_while_it_waited_goes_on_with_its_answer() {
    let mut scene = Scene::new(Who::Ordinary);
    speaker(&scene, "patient", "", "answer=$(agentctl run ask 'do goats count?' --wait) && echo \"told: $answer\"");
    let id = scene.submit("patient", &["--max-attempts", "1"]);
    scene.eventually("the question", || (scene.work(&id)["state"] == "waiting").then_some(()));
    scene.daemon.kill();
    assert!(say(&scene, &id, "program", "freeze").starts_with("ok"));
    scene.daemon.run();
    scene.told(&["work", "answer", &id, "they do"]);
    assert_eq!(scene.until(&id, "completed")["runs"][0]["result"], "told: they do");
    scene.ends_well();
}
