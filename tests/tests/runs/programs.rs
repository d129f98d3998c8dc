//! What programs do that somebody must outlive: nothing at all, too much, or whatever they are told not to.

use std::time::Instant;

use serde_json::Value;

use super::scene::{Scene, Who, can_start};

/// One attempt, on nothing.
const ONCE: [&str; 2] = ["--max-attempts", "1"];

#[test]
fn a_program_that_cannot_begin_or_leaves_nothing_fails_with_its_reason_and_the_next_work_runs() {
    let mut scene = Scene::new(Who::Ordinary);
    scene.enrol("absent", "command = [\"/usr/bin/there-is-no-such-program\"]");
    scene.enrol("folder", "command = [\"/etc\"]");
    scene.write(&scene.path("agents/plain/run.sh"), "#!/bin/sh\necho x\n");
    scene.enrol("plain", "command = [\"/etc/passwd\"]");
    scene.agent("silent", "program.result = { file = \"out/result.txt\" }", "exit 0");
    scene.agent("link", "program.result = { file = \"result\" }", "ln -s /etc/passwd result");
    scene.agent("fifo", "program.result = { file = \"result\" }", "mkfifo result");
    scene.agent("failing", "", "echo because >&2; exit 7");
    scene.agent("shot", "", "kill -9 $$");
    let table = [
        ("absent", "not_started", "there-is-no-such-program"),
        ("folder", "not_started", "/etc"),
        ("plain", "not_started", "/etc/passwd"),
        ("silent", "program_failed", "out/result.txt"),
        ("link", "program_failed", "result"),
        ("fifo", "program_failed", "result"),
        ("failing", "program_failed", "because"),
        ("shot", "program_failed", "exit code 137"),
    ];
    let ids = table.map(|(agent, ..)| scene.submit(agent, &ONCE));
    for ((agent, reason, says), id) in table.into_iter().zip(ids) {
        let (failure, message) = scene.fails(&id);
        assert_eq!(failure, reason, "{agent}: {message}");
        assert!(message.contains(says), "{agent}: {message}");
        scene.nothing_is_left(&id);
    }
    scene.agent("good", "", "echo fine");
    scene.until(&scene.submit("good", &ONCE), "completed");
    scene.ends_well();
}

#[test]
fn a_flood_of_output_is_counted_and_kept_no_further_than_its_bound() {
    let mut scene = Scene::with(Who::Ordinary, "output_max = \"1M\"");
    scene.agent("flood", "", "head -c 1073741824 /dev/zero; echo end >&2");
    let id = scene.submit("flood", &ONCE);
    let (failure, message) = scene.fails(&id);
    assert_eq!(failure, "program_failed", "{message}");
    assert!(message.contains("1073741824 bytes, and 1048576 are kept"), "{message}");
    let program = &scene.work(&id)["runs"][0]["program"];
    assert_eq!(program["stdout_bytes"], 1_u64 << 30, "{program:#}");
    let kept = scene.folder(&id, 1).join("program/stdout").metadata().unwrap().len();
    assert_eq!(kept, 1 << 20);
    assert!(program["usage"]["user_us"].as_u64().unwrap() + program["usage"]["system_us"].as_u64().unwrap() > 0);
    scene.ends_well();
}

#[test]
fn a_line_before_the_end_is_no_result_where_the_end_is_not_kept() {
    let mut scene = Scene::with(Who::Ordinary, "output_max = \"1M\"");
    let says = "echo '{\"r\": \"first\"}'; head -c 2000000 /dev/zero | tr '\\0' x; echo
        echo '{\"r\": \"last\"}'";
    let json = "program.result = { json = \"/r\" }";
    scene.agent("cut", json, says);
    scene.agent("whole", &format!("{json}\nresources.output_max = \"4M\""), says);
    let (cut, whole) = (scene.submit("cut", &ONCE), scene.submit("whole", &ONCE));
    let (failure, message) = scene.fails(&cut);
    assert_eq!(failure, "program_failed", "{message}");
    assert!(message.contains("and 1048576 are kept (resources.output_max)"), "{message}");
    assert_eq!(scene.until(&whole, "completed")["runs"][0]["result"], "last");
    scene.ends_well();
}

#[test]
fn who_forks_without_end_is_bounded_and_goes_with_its_run() {
    let mut scene = Scene::new(Who::Ordinary);
    let forks = "bomb() { bomb | bomb & bomb; }; (bomb) 2>/dev/null; exec sleep 1000";
    scene.agent("bomb", "resources.tasks_max = 64", forks);
    let id = scene.submit("bomb", &["--max-attempts", "1", "--timeout", "3s"]);
    let mut most = 0;
    scene.eventually("the run to be over", || {
        most = most.max(scene.processes(&id).len());
        (scene.work(&id)["state"] == "failed").then_some(())
    });
    assert!(most < 100, "{most} processes at a time");
    assert_eq!(scene.fails(&id).0, "timed_out");
    scene.nothing_is_left(&id);
    scene.ends_well();
}

/// Does not listen to TERM, and leaves a child that left its session, its group and its parent.
const STUBBORN: &str = "trap '' TERM
(setsid sh -c 'trap \"\" TERM; : >away; while :; do sleep 0.1; done' \"$1\" & )
while [ ! -e away ]; do sleep 0.02; done; : >up; while :; do sleep 0.1; done";

#[test]
fn who_ignores_term_is_killed_after_the_grace_with_all_that_left_it() {
    let mut scene = Scene::new(Who::Ordinary);
    scene.agent("stubborn", "", STUBBORN);
    let cancelled = scene.submit("stubborn", &ONCE);
    scene.until_workspace_has(&cancelled, "up");
    assert!(scene.processes(&cancelled).len() >= 2);
    scene.told(&["cancel", &cancelled, "--reason", "not needed"]);
    let began = Instant::now();
    scene.nothing_is_left(&cancelled);
    assert!(began.elapsed().as_secs() >= 3, "the grace is given: {:?}", began.elapsed());
    scene.until(&cancelled, "cancelled");
    scene.eventually("what the run used", || scene.work(&cancelled)["runs"][0]["program"].is_object().then_some(()));
    let program = &scene.work(&cancelled)["runs"][0]["program"];
    assert_eq!((&program["stopped"], &program["ending"]["signalled"]), (&"cancelled".into(), &9.into()), "{program:#}");

    let late = scene.submit("stubborn", &["--max-attempts", "1", "--timeout", "2s"]);
    assert_eq!(scene.fails(&late).0, "timed_out");
    scene.nothing_is_left(&late);
    scene.eventually("what the run used", || scene.work(&late)["runs"][0]["program"].is_object().then_some(()));
    assert_eq!(scene.work(&late)["runs"][0]["program"]["stopped"], "timeout");
    scene.ends_well();
}

#[test]
fn a_setup_that_fails_and_a_judge_that_hangs_end_in_time_with_their_reason() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    scene.agent("good", "", "echo good >value; echo done");
    let setup = ["--repo", ".", "--max-attempts", "1", "--setup", "echo no compiler here >&2; exit 3"];
    let id = scene.submit("good", &setup);
    let (failure, message) = scene.fails(&id);
    assert_eq!(failure, "not_started", "{message}");
    assert!(message.contains("the setup failed") && message.contains("no compiler here"), "{message}");

    let program = &scene.work(&id)["runs"][0]["program"];
    assert!(program["ending"]["not_started"].is_string(), "{program:#}");
    assert!(program["usage"]["wall_ms"].as_u64().unwrap() > 0, "what its steps used was used: {program:#}");
    let costs: Value = serde_json::from_str(&scene.told(&["cost", "--by", "agent", "--json"])).unwrap();
    assert_eq!((&costs[0]["runs"], &costs[0]["measured"]), (&1.into(), &1.into()), "{costs:#}");

    let work = scene.path("home/work.toml");
    let text = format!(
        "title = \"judged for ever\"\nrequired_skills = [\"good\"]\nlimits.max_attempts = 1\n\
         [workspace]\nrepository = {:?}\n[[acceptance]]\ncommand = {:?}\ntimeout = \"1s\"\n",
        scene.path("repo"),
        format!("grep -q bad value || sleep 1000 # {}", scene.mark)
    );
    scene.write(&work, &text);
    let id = scene.told(&["submit", "--file", work.to_str().unwrap(), "--quiet"]);
    let id = scene.whole(id.trim());
    let (failure, message) = scene.fails(&id);
    assert_eq!(failure, "rejected", "{message}");
    assert!(message.contains("timeout"), "{message}");
    scene.nothing_is_left(&id);
    scene.ends_well();
}

#[test]
fn a_workspace_that_is_too_large_has_too_many_files_or_odd_ones_is_told_in_words() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    let many = "resources.workspace_files_max = 50";
    scene.agent("many", many, "i=0; while [ $i -lt 100 ]; do : >f$i; i=$((i+1)); done; echo good >value");
    let small = "resources.workspace_max = \"1G\"";
    scene.agent("huge", small, "truncate -s 600M one; truncate -s 600M two; echo good >value");
    scene.agent("sparse", "", "truncate -s 100G sparse || rm -f sparse; echo good >value");
    let odd = "mkfifo pipe; ln -s /etc/passwd out; ln -s ../../../../etc up; mkdir deep; ln -s . deep/er
        /usr/bin/python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('sock')\"; echo good >value; echo odd";
    scene.agent("odd", "", odd);
    let ids = ["many", "huge", "sparse", "odd"].map(|agent| scene.submit_repository(agent, &ONCE));
    let (failure, message) = scene.fails(&ids[0]);
    assert_eq!(failure, "program_failed", "{message}");
    assert!(message.contains("more than 50 files"), "{message}");
    let (failure, message) = scene.fails(&ids[1]);
    assert_eq!(failure, "program_failed", "{message}");
    assert!(message.contains("at most 1073741824 are allowed") && message.contains("the largest file"), "{message}");
    // What the run's own limit does not allow does not become a file of that size at all.
    scene.until(&ids[2], "completed");
    let work = scene.until(&ids[3], "completed");
    let diff = scene.told(&["work", "diff", &ids[3]]);
    assert!(diff.contains("+/etc/passwd") && diff.contains("new file mode 120000"), "a link is recorded: {diff}");
    assert!(!diff.contains("root:x") && !diff.contains("pipe") && !diff.contains("sock"), "{diff}");
    assert_eq!(work["runs"][0]["result"], "odd");
    scene.ends_well();
}

#[test]
fn what_a_program_wrote_is_told_to_programs_as_documents_also_where_it_is_nothing() {
    let mut scene = Scene::new(Who::Ordinary);
    scene.agent("speaker", "", "echo said");
    let id = scene.submit("speaker", &[]);
    scene.until(&id, "completed");
    for (stream, text) in [(&[][..], "said\n"), (&["--stderr"], "")] {
        let told = scene.told(&[&["work", "output", &id, "--json"], stream].concat());
        let views: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(views.len(), 1, "{told}");
        assert_eq!(
            (views[0]["text"].as_str(), views[0]["run"].as_str()),
            (Some(text), Some(format!("{id}.1").as_str()))
        );
    }
    assert_eq!(scene.told(&["work", "output", &id, "--stderr"]), "");
    scene.ends_well();
}
