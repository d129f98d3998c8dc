//! Calls that are cut off because the daemon stops: what only looks is asked once more of whoever listens next, what changes
//! something is not.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Output;

use agentd_tests::harness::{Daemon, Scratch};

/// Listens in a daemon's place, and hands connections on to it. Each of the first ones ends before the message with its word
/// gets there.
fn in_the_place_of(daemon: &Daemon, scratch: &Scratch, cuts: &[&'static str]) -> PathBuf {
    let (at, behind) = (scratch.join("control.sock"), daemon.control_socket());
    let listener = UnixListener::bind(&at).unwrap();
    let mut cuts: VecDeque<&'static str> = cuts.iter().copied().collect();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(client) = client else { return };
            let server = UnixStream::connect(&behind).unwrap();
            let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || hand_on(from, to, None));
            let cut = cuts.pop_front();
            std::thread::spawn(move || hand_on(client, server, cut));
        }
    });
    at
}

fn hand_on(mut from: UnixStream, mut to: UnixStream, cut: Option<&'static str>) {
    let mut buffer = [0; 8192];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let has = |word: &str| buffer[..length].windows(word.len()).any(|found| found == word.as_bytes());
        if cut.is_some_and(has) || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

fn called(daemon: &Daemon, at: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        daemon.agentctl_command().env("AGENTD_ADDRESS", at).args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn what_only_looks_is_asked_once_more_and_answered_once() {
    let daemon = Daemon::start();
    let work = daemon.told(&["submit", "Anything", "--skill", "none", "-q"]);
    let work = work.trim();
    for (word, arguments) in [
        ("Status", ["status", "-q"].as_slice()),
        ("Status", &["status", "--check"]),
        ("Show", &["work", "show", work, "--json"]),
        ("List", &["work", "list", "-q"]),
        ("Events", &["log", "-q"]),
        // Nobody was asked anything yet: also what changes something.
        ("AUTH", &["status", "-q"]),
        ("AUTH", &["work", "note", work, "once"]),
    ] {
        let scratch = Scratch::new();
        let at = in_the_place_of(&daemon, &scratch, &[word]);
        let (code, said, complained) = called(&daemon, &at, arguments);
        // Whether runs can be started here is not what is asked.
        let is_told = code == Some(0) || (arguments.contains(&"--check") && said.contains("no run can be started"));
        assert!(is_told, "{arguments:?}: {code:?} {said} {complained}");
        assert!(!complained.contains("broke"), "{arguments:?}: {complained}");
        if arguments.contains(&"list") {
            assert_eq!(said.lines().collect::<Vec<_>>(), [work], "printed once");
        }
    }
    let noted = daemon.told(&["ledger", "log", "--type", "NoteAdded", "-q"]);
    assert_eq!(noted.lines().count(), 1, "{noted}");
}

#[test]
fn who_is_cut_off_twice_is_told_both() {
    let daemon = Daemon::start();
    let scratch = Scratch::new();
    let at = in_the_place_of(&daemon, &scratch, &["Status", "Status"]);
    let (code, said, complained) = called(&daemon, &at, &["status"]);
    assert_eq!((code, said.as_str()), (Some(4), ""), "{complained}");
    assert!(complained.contains("it was asked twice"), "{complained}");
    // The codes of monitoring stay what they are.
    let scratch = Scratch::new();
    let at = in_the_place_of(&daemon, &scratch, &["Status", "Status"]);
    let (code, said, _) = called(&daemon, &at, &["status", "--check"]);
    assert!(code == Some(3) && said.starts_with("UNKNOWN: "), "{code:?} {said}");
}

#[test]
fn what_changes_something_is_not_asked_again_but_under_its_key() {
    let daemon = Daemon::start();
    let work = daemon.told(&["submit", "Anything", "--skill", "none", "-q"]);
    let scratch = Scratch::new();
    let at = in_the_place_of(&daemon, &scratch, &["Note"]);
    let (code, _, complained) = called(&daemon, &at, &["work", "note", work.trim(), "perhaps"]);
    assert_eq!(code, Some(4), "{complained}");
    assert!(complained.contains("whether it was done is not known: look before you call it again"), "{complained}");
    assert_eq!(daemon.told(&["ledger", "log", "--type", "NoteAdded", "-q"]), "");

    let scratch = Scratch::new();
    let at = in_the_place_of(&daemon, &scratch, &["Submit"]);
    let (code, id, complained) = called(&daemon, &at, &["submit", "Another", "--skill", "none", "-q"]);
    assert_eq!(code, Some(0), "{complained}");
    assert_eq!(daemon.told(&["work", "list", "-q"]).lines().filter(|listed| *listed == id.trim()).count(), 1);
}
