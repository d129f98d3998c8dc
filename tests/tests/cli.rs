//! The command line as a shell runs it, where a page of `docs/cli` cannot show it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

use std::process::{Command, Stdio};

use agentd_tests::harness::{Daemon, binary};
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
