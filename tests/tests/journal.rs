//! The journal: the fields of the daemon's lines, and the catalog that explains them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use agentd_tests::harness::{Agent, Daemon, Scratch, Settings, binary, eventually, installed, is_root, skip};
use serde_json::{Value, json};

fn catalog() -> (PathBuf, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let path = root.join("systemd/usr/lib/systemd/catalog/agentd.catalog");
    let text = std::fs::read_to_string(&path).unwrap();
    (path, text)
}

/// The ids of the catalog by their names, which agree with the table of the daemon by a test of its own.
fn ids() -> BTreeMap<String, String> {
    let (_, text) = catalog();
    let entries = text.split("\n# ").skip(1).filter_map(|entry| entry.split_once("\n-- "));
    entries.map(|(name, rest)| (name.to_owned(), rest.lines().next().unwrap().to_owned())).collect()
}

#[test]
fn journalctl_takes_the_catalog_and_knows_every_id() {
    if !installed("journalctl") {
        return skip("journalctl is not installed");
    }
    let (path, _) = catalog();
    let root = Scratch::new();
    for folder in ["usr/lib/systemd/catalog", "var/lib/systemd/catalog"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::copy(path, root.join("usr/lib/systemd/catalog/agentd.catalog")).unwrap();
    let journalctl = |argument: &str| {
        let output = Command::new("journalctl").arg("--root").arg(root.path()).arg(argument).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{argument}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    journalctl("--update-catalog");
    let listed = journalctl("--list-catalog");
    for (name, id) in ids() {
        assert!(listed.contains(&format!("{id} agentd: ")), "{name} is not in {listed}");
    }
}

#[test]
fn every_command_that_the_catalog_names_is_one() {
    let (_, text) = catalog();
    let flat = text.replace('\n', " ");
    let mut commands = BTreeSet::new();
    for part in flat.split("agentctl ").skip(1) {
        let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        let words: Vec<&str> = part.split([' ', ';', ',', '.', ':']).take(2).take_while(is_word).collect();
        let groups = ["agent", "work", "model", "clock", "ledger"];
        let depth = if words.first().is_some_and(|first| groups.contains(first)) { 2 } else { 1 };
        commands.insert(words[..depth.min(words.len())].join(" "));
    }
    commands.remove("");
    assert!(commands.len() > 8, "{commands:?}");
    for command in commands {
        let help = Command::new(binary("agentctl")).args(command.split(' ')).arg("--help").output().unwrap();
        assert!(help.status.success(), "agentctl {command}: {}", String::from_utf8_lossy(&help.stderr));
    }
}

type Line = BTreeMap<String, String>;

/// A line as the journal's native protocol has it: `NAME=VALUE`, or a name, a length and so many bytes.
fn line(mut bytes: &[u8]) -> Line {
    let mut fields = Line::new();
    while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        bytes = &bytes[end + 1..];
        let (name, value) = match head.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => {
                let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
                let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
                let value = String::from_utf8(rest[..length].to_vec()).unwrap();
                bytes = &rest[length + 1..];
                (head, value)
            }
        };
        fields.insert(name, value);
    }
    fields
}

/// A place that takes lines as journald does, and the command that puts a daemon before it.
fn journal(scratch: &Scratch) -> (Arc<Mutex<Vec<Line>>>, Vec<String>) {
    let socket = UnixDatagram::bind(scratch.join("socket")).unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = lines.clone();
    // It ends with the process: whoever sends does not wait for it.
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        while let Ok(length) = socket.recv(&mut buffer) {
            if length > 0 {
                kept.lock().unwrap().push(line(&buffer[..length]));
            }
        }
    });
    let place = scratch.path().display();
    let script =
        format!("mount -t tmpfs tmpfs /run && mkdir /run/systemd && ln -s {place} /run/systemd/journal && exec \"$@\"");
    (lines, ["unshare", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned).into())
}

#[test]
fn a_line_of_the_journal_has_its_message_id_and_fields_and_no_content() {
    if !is_root() {
        return skip("a journal of the test's own takes a mount, and that root");
    }
    let place = Scratch::new();
    let (lines, within) = journal(&place);
    let config = Some("[log]\nto = \"journal\"\nlevel = \"debug\"\n".to_owned());
    let mut daemon = Daemon::with(Settings { config, within, ..Settings::default() });
    let operator = daemon.operator();
    let agent = Agent::enrol(&daemon, &operator, "fixer", &["one"]);
    let work = operator.submit(&json!({"title": "canary-title", "instructions": "canary-instructions",
        "required_skills": ["one"], "limits": {"max_attempts": 1}}));
    let claim = agent.claim();
    agent.say(&claim, "fail", json!({"message": "canary-message"})).read::<Value>();
    drop(operator);
    daemon.stop();

    let ids = ids();
    let known_by = |name: &str| {
        let id = &ids[name];
        eventually(name, || lines.lock().unwrap().iter().find(|line| line.get("MESSAGE_ID") == Some(id)).cloned())
    };
    for (name, priority) in [("DAEMON_STARTED", "6"), ("DAEMON_STOPPING", "6"), ("WORK_FAILED", "6")] {
        let line = known_by(name);
        assert_eq!((line["PRIORITY"].as_str(), line["SYSLOG_IDENTIFIER"].as_str()), (priority, "agentd"), "{line:?}");
    }
    assert_eq!(known_by("AGENT_ENROLLED")["AGENT_ID"], "fixer");
    let failed = known_by("ATTEMPT_FAILED");
    assert_eq!((failed["AGENT_ID"].as_str(), failed["WORK_ID"].as_str()), ("fixer", work.as_str()));
    assert_eq!(failed["RUN_ID"], format!("{work}.1"));

    let lines = lines.lock().unwrap();
    let daily: Vec<_> = lines.iter().filter(|line| line["PRIORITY"] == "7").collect();
    assert!(daily.iter().any(|line| line.get("WORK_ID") == Some(&work)), "the daily course is at debug");
    assert!(daily.iter().all(|line| !line.contains_key("MESSAGE_ID")));
    let said = format!("{lines:?}");
    assert!(!said.contains("canary") && !said.contains(&agent.token), "{said}");
}

#[test]
fn a_line_for_people_has_no_message_id() {
    let mut daemon = Daemon::start();
    Agent::enrol(&daemon, &daemon.operator(), "fixer", &[]);
    daemon.stop();
    let log = daemon.log();
    assert!(log.contains("AGENT_ID=\"fixer\"") && !log.contains("MESSAGE_ID"), "{log}");
}
