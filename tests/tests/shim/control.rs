//! Who may speak at the control socket, and what is no request.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use agentd_schemas::launch::{CONTROL_SOCKET, OUTCOME_FILE, StopCause};
use agentd_tests::harness::{is_root, skip};
use rustix::process::Uid;

use super::scene::{Scene, levels, say};

const WAITING: &str = ": > up; while :; do sleep 0.1; done";

#[test]
fn what_is_no_request_is_refused_and_changes_nothing() {
    let Some(&level) = levels().first() else { return };
    let scene = Scene::new();
    let shim = scene.start(&scene.script(level, WAITING));
    shim.until_work_has("up");
    let long = "stop cancelled".repeat(100_000);
    for line in ["", "stop", "stop now", "kill", "freeze thaw", "stop\u{7f}cancelled", &long] {
        // A caller that is cut off in the middle of its line may be told nothing.
        let answer = say(&scene.record().join(CONTROL_SOCKET), line).unwrap_or_default();
        assert!(!answer.starts_with("ok"), "{answer}");
    }
    assert_eq!(shim.say("stop cancelled"), "ok ending\n");
    shim.outcome();
}

#[test]
fn a_caller_that_dribbles_does_not_hold_the_run_up() {
    let Some(&level) = levels().first() else { return };
    let scene = Scene::new();
    let mut spec = scene.script(level, WAITING);
    spec.limits.wall_ms = 3000;
    let shim = scene.start(&spec);
    shim.until_work_has("up");
    let socket = scene.record().join(CONTROL_SOCKET);
    let dribble = || {
        let mut stream = UnixStream::connect(&socket).unwrap();
        // Each byte comes soon enough, the line does not: 64 of these are 13 seconds.
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    let outcome = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(dribble);
        }
        shim.outcome()
    });
    assert_eq!(outcome.stopped, Some(StopCause::Timeout));
    assert!(outcome.usage.wall_ms < 6000, "{outcome:?}");
}

#[test]
fn the_control_socket_refuses_another_user_and_takes_root() {
    if !is_root() {
        return skip("to be another user needs root");
    }
    let Some(&level) = levels().first() else { return };
    let scene = Scene::new();
    let shim = scene.start(&scene.script(level, WAITING));
    shim.until_work_has("up");
    // The folder alone would keep others out. What is tried here is the shim, so the way is opened.
    let socket = scene.record().join(CONTROL_SOCKET);
    fs::set_permissions(scene.record(), Permissions::from_mode(0o711)).unwrap();
    fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
    let stranger = Uid::from_raw(65_534);
    let as_stranger = || {
        // The user of this thread alone.
        rustix::thread::set_thread_res_uid(stranger, stranger, stranger).unwrap();
        // It is refused before its line is read, and what is not read may cost it the answer.
        for line in ["stop cancelled", "freeze", "thaw"] {
            let answer = say(&socket, line).unwrap_or_default();
            assert!(answer.is_empty() || answer.starts_with("error uid"), "{answer}");
        }
        let mut silent = UnixStream::connect(&socket).unwrap();
        let mut answer = String::new();
        silent.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = std::thread::scope(|scope| scope.spawn(as_stranger).join().unwrap());
    assert_eq!(answer, "error uid 65534 may not control this run\n");
    assert!(!scene.has(OUTCOME_FILE));
    assert_eq!(shim.say("stop cancelled"), "ok ending\n");
    shim.outcome();
}
