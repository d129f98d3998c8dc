//! The command line as a shell runs it, where a page of `docs/cli` cannot show it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

use std::io::Read as _;
use std::process::{Command, Stdio};

use agentd_schemas::http::RunStatus;
use agentd_tests::harness::{Agent, Daemon, binary, eventually};
use serde_json::json;

/// Exit code and stderr of a command whose reader of stdout is gone before it begins.
fn unread(mut command: Command) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let daemon = Daemon::start();
    let operator = daemon.operator();
    operator.submit(&json!({"title": "One"}));
    for arguments in [
        &["ledger", "export", "-"][..],
        &["ledger", "log"],
        &["work", "list", "--json"],
        &["log"],
        &["status"],
        &["explain", "work"],
        &["completions", "bash"],
        &["man"],
        &["help", "work"],
        &["budget", "show", "--fields", "account"],
    ] {
        let mut command = daemon.agentctl_command();
        command.args(arguments);
        assert_eq!(unread(command), (Some(0), String::new()), "{arguments:?}");
    }
    let mut command = Command::new(binary("agentd"));
    command.arg("--state").arg(daemon.state()).args(["verify", "--deep"]);
    assert_eq!(unread(command), (Some(0), String::new()));
}

#[test]
fn what_a_run_asks_a_person_is_shown_wherever_the_person_looks() {
    let daemon = Daemon::start();
    let operator = daemon.operator();
    let agent = Agent::enrol(&daemon, &operator, "worker", &["rust"]);
    let id = operator.submit(&json!({"title": "Paint it"}));
    let claim = agent.claim();
    let _: RunStatus = agent.say(&claim, "start", json!({})).read();
    let _: RunStatus = agent.say(&claim, "ask", json!({"text": "Which colour?"})).read();
    operator.ask("Works", "Note", &(id.as_str(), "by Friday")).unwrap();
    for arguments in [&["why", &id][..], &["status"], &["work", "show", &id], &["digest"]] {
        assert!(daemon.told(arguments).contains("Which colour?"), "{arguments:?}");
    }
    daemon.told(&["work", "answer", &id, "blue"]);
    assert!(!daemon.told(&["status"]).contains("Which colour?"));
}

#[test]
fn the_words_with_an_acceptance_are_part_of_the_story() {
    let daemon = Daemon::start();
    let operator = daemon.operator();
    let agent = Agent::enrol(&daemon, &operator, "worker", &["rust"]);
    let id = operator.submit(&json!({"title": "Write it", "acceptance": [{"person": "owner"}]}));
    let claim = agent.claim();
    let _: RunStatus = agent.say(&claim, "start", json!({})).read();
    agent.complete(&claim, "\"done\"");
    daemon.told(&["accept", &id, "--note", "reads well"]);
    let story = daemon.told(&["log", &id]);
    assert!(story.contains("    reads well"), "{story}");
}

#[test]
fn who_waits_for_a_work_waits_on_with_the_daemon_that_comes_back() {
    let mut daemon = Daemon::start();
    let id = daemon.operator().submit(&json!({"title": "Later"}));
    let waiting = [&["watch", &id][..], &["log", "-f", &id]].map(|arguments| {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut command = daemon.agentctl_command();
        let child = command.args(arguments).stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
        // What is told first is told once it follows.
        reader.read_exact(&mut [0]).unwrap();
        (child, reader)
    });
    daemon.kill();
    daemon.run();
    daemon.told(&["cancel", &id, "--reason", "seen"]);
    for (mut child, mut reader) in waiting {
        let ended = eventually("the end of who waits", || child.try_wait().unwrap());
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        assert!(said.contains("agentd is back") && said.contains("cancelled"), "{ended}: {said}");
    }
}

#[test]
fn over_ssh_the_command_there_is_run_once_however_its_options_are_written() {
    let daemon = Daemon::start();
    let stub = daemon.file("bin");
    std::fs::create_dir(&stub).unwrap();
    let log = daemon.file("ssh.log");
    // The far end is this machine; one that is asked for a third time would be asked without end.
    let script = "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\necho \"$*\" >>\"$SSH_LOG\"\nshift\n\
                  [ \"$(wc -l <\"$SSH_LOG\")\" -lt 3 ] || exit 9\nexec sh -c \"$*\"\n";
    std::fs::write(stub.join("ssh"), script).unwrap();
    std::fs::set_permissions(stub.join("ssh"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", stub.display(), binary("agentctl").parent().unwrap().display());
    for (arguments, ran) in [
        (&["-H", "box", "status"][..], "box agentctl status\n"),
        (&["-qHbox", "status"], "box agentctl -q status\n"),
        (&["-qH", "box", "status"], "box agentctl -q status\n"),
        (&["status", "-qH=box"], "box agentctl status -q\n"),
    ] {
        let _ = std::fs::remove_file(&log);
        let output =
            daemon.agentctl_command().args(arguments).env("PATH", &path).env("SSH_LOG", &log).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("health"), "{arguments:?}: {output:?}");
        assert_eq!(std::fs::read_to_string(&log).unwrap(), ran, "{arguments:?}");
    }
}
