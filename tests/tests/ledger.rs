//! The ledger before outsiders: exports, backups, checkpoints, and what a changed byte does.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

use std::fs::{File, FileTimes};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use agentd_tests::harness::{Daemon, Operator, binary, installed, scene, skip};
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zbus::Fd;

/// A daemon with some history; its operator and the ids of its works.
fn with_history(works: usize) -> (Daemon, Operator, Vec<String>) {
    let (daemon, operator, agent) = scene(&["rust"]);
    let ids = (0..works)
        .map(|n| {
            let id =
                operator.submit(&json!({"title": format!("work {n}"), "inputs": {"secret": format!("canary {n}")}}));
            agent.complete(&agent.claim(), &format!("result {n}"));
            id
        })
        .collect();
    (daemon, operator, ids)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn verify(arguments: &[&str]) -> Output {
    Command::new(binary("agentd")).arg("verify").args(arguments).output().unwrap()
}

fn at(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The log's verifier key, as agentctl prints it.
fn key(daemon: &Daemon) -> String {
    daemon.told(&["ledger", "checkpoint", "--key"]).trim().to_owned()
}

fn backup(daemon: &Daemon, operator: &Operator, name: &str) -> PathBuf {
    let path = daemon.file(name);
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    let events: u64 = operator.call("Ledger", "Backup", &Fd::from(file.as_fd())).unwrap();
    assert!(events > 0);
    path
}

#[test]
fn an_export_is_verified_by_agentctl_and_by_a_verifier_that_shares_no_code() {
    let (daemon, operator, _ids) = with_history(5);
    let key = key(&daemon);
    for flags in [vec![], vec!["--content"], vec!["--mine"], vec!["--mine", "--content"]] {
        let file = daemon.file(&format!("export{}.jsonl", flags.concat()));
        let arguments: Vec<&str> = ["ledger", "export", at(&file)].into_iter().chain(flags.iter().copied()).collect();
        daemon.told(&arguments);
        let told = daemon.told(&["ledger", "verify", at(&file), "--key", &key, "--json"]);
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!((&told["verified"], &told["whole"]), (&json!(true), &json!(!flags.contains(&"--mine"))), "{told}");
        by_python(&["export", at(&file), &key], true);
        let mut damaged = std::fs::read_to_string(&file).unwrap();
        damaged = damaged.replacen("\\\"type\\\":\\\"WorkCompleted\\\"", "\\\"type\\\":\\\"WorkCancelled\\\"", 1);
        std::fs::write(&file, damaged).unwrap();
        let refused = daemon.agentctl(&["ledger", "verify", at(&file), "--key", &key]);
        assert!(!refused.status.success() && text(&refused).contains("event"), "{}", text(&refused));
        by_python(&["export", at(&file), &key], false);
    }
    drop(operator);
}

/// What the outside verifier says, which must be to take it or to refuse it.
fn by_python(arguments: &[&str], accepted: bool) -> String {
    if !installed("python3") || !installed("openssl") {
        skip("the outside verifier needs python3 and openssl");
        return String::new();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("verify/verify.py");
    let output = Command::new("python3").arg(script).args(arguments).output().unwrap();
    assert_eq!(output.status.success(), accepted, "{arguments:?}: {}", text(&output));
    text(&output)
}

/// Changes one byte of an export, where `from` begins in a line of this kind, and gives the last line a digest that fits:
/// the digest shows damage alone, and a forger would make a new one.
fn forge(export: &str, kind: &str, from: &str, offset: usize) -> String {
    let mut lines: Vec<String> = export.lines().map(str::to_owned).collect();
    let prefix = format!("{{\"line\":\"{kind}\"");
    let line = lines.iter_mut().rfind(|line| line.starts_with(&prefix)).unwrap();
    let at = line.find(from).unwrap_or_else(|| panic!("{from} in {line}")) + from.len() + offset;
    let flipped = if line.as_bytes()[at] == b'1' { "2" } else { "1" };
    line.replace_range(at..=at, flipped);
    let last = lines.pop().unwrap();
    let note: Value = serde_json::from_str(&last).unwrap();
    let body: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    let digest = Sha256::digest(body + note["note"].as_str().unwrap());
    lines.push(last.replace(note["digest"].as_str().unwrap(), &data_encoding::HEXLOWER.encode(&digest)));
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn a_changed_byte_of_an_event_a_proof_or_a_checkpoint_is_found_by_both_verifiers() {
    let (daemon, operator, _ids) = with_history(3);
    let key = key(&daemon);
    for (flags, changes) in [
        (
            ["--mine", "--content"].as_slice(),
            [
                ("header", "\"root\":\"", 5, "root"),
                ("event", "\\\"version\\\":", 0, "leaf hash"),
                ("event", "\"leaf\":\"", 7, "leaf hash"),
                ("proof", "\"hashes\":[\"", 9, "root"),
                ("blob", "\"salt\":\"", 3, "commit"),
                ("checkpoint", "internal/log/1\\n", 0, "signature"),
                ("checkpoint", "\\n\\n\u{2014} ", 90, ""),
            ]
            .as_slice(),
        ),
        (
            &["--content"],
            &[
                ("header", "\"root\":\"", 5, "tree"),
                ("event", "\\\"version\\\":", 0, "leaf hash"),
                ("blob", "\"salt\":\"", 3, "commit"),
                ("checkpoint", "internal/log/1\\n", 0, "signature"),
            ],
        ),
    ] {
        let file = daemon.file(&format!("export{}.jsonl", flags.concat()));
        daemon.told(&[&["ledger", "export", at(&file)], flags].concat());
        let export = std::fs::read_to_string(&file).unwrap();
        for (kind, from, offset, word) in changes {
            let forged = daemon.file("forged.jsonl");
            std::fs::write(&forged, forge(&export, kind, from, *offset)).unwrap();
            let refused = daemon.agentctl(&["ledger", "verify", at(&forged), "--key", &key]);
            assert!(!refused.status.success(), "{flags:?}: {kind} {from}: {}", text(&refused));
            let told = by_python(&["export", at(&forged), &key], false);
            assert!(told.is_empty() || told.contains(word), "{flags:?}: {kind} {from}: {told}");
        }
    }
    drop(operator);
}

#[test]
fn a_part_is_held_against_a_checkpoint_of_its_own_size_alone() {
    let (daemon, operator, _ids) = with_history(2);
    let key = key(&daemon);
    let (early, part) = (daemon.file("early"), daemon.file("part.jsonl"));
    std::fs::write(&early, daemon.told(&["ledger", "checkpoint"])).unwrap();
    operator.submit(&json!({"title": "later"}));
    let late = daemon.file("late");
    std::fs::write(&late, daemon.told(&["ledger", "checkpoint"])).unwrap();
    daemon.told(&["ledger", "export", at(&part), "--mine"]);
    by_python(&["export", at(&part), &key, at(&late)], true);
    by_python(&["export", at(&part), &key, at(&early)], false);
}

#[test]
fn a_proof_of_one_event_is_verified_without_the_ledger() {
    let (daemon, operator, _ids) = with_history(3);
    let key = key(&daemon);
    let body = operator.ask("Ledger", "EventsSince", &(4_u64, 1_u32)).unwrap()["events"][0]["body"].clone();
    let (proof, event) = (daemon.file("proof"), daemon.file("event"));
    daemon.told(&["ledger", "prove", "4", "--out", at(&proof)]);
    std::fs::write(&event, body.as_str().unwrap()).unwrap();
    daemon.told(&["ledger", "verify-proof", at(&proof), at(&event), "--key", &key]);
    by_python(&["proof", at(&proof), at(&event), &key], true);
    std::fs::write(&event, body.as_str().unwrap().replacen("\"v\":1", "\"v\":2", 1)).unwrap();
    let refused = daemon.agentctl(&["ledger", "verify-proof", at(&proof), at(&event), "--key", &key]);
    assert!(!refused.status.success(), "{}", text(&refused));
    by_python(&["proof", at(&proof), at(&event), &key], false);
}

#[test]
fn a_changed_byte_anywhere_in_an_event_is_found_and_the_event_named() {
    let (daemon, operator, _ids) = with_history(12);
    let copy = backup(&daemon, &operator, "copy.db");
    assert!(verify(&[at(&copy), "--deep"]).status.success());
    let conn = Connection::open(&copy).unwrap();
    let bodies: Vec<(u64, Vec<u8>)> = conn
        .prepare("SELECT idx, CAST(body AS BLOB) FROM events ORDER BY idx")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let whole: usize = bodies.iter().map(|(_, body)| body.len()).sum();
    // Offsets spread over all bodies by a step that is prime to their length.
    for n in 0..200 {
        let mut offset = n * 7_919 % whole;
        let (index, body) = bodies
            .iter()
            .find(|(_, body)| {
                let here = offset < body.len();
                offset -= if here { 0 } else { body.len() };
                here
            })
            .unwrap();
        let mut changed = body.clone();
        changed[offset] ^= 1;
        let write = "UPDATE events SET body = CAST(?2 AS TEXT) WHERE idx = ?1";
        conn.execute(write, (index, &changed)).unwrap();
        let refused = verify(&[at(&copy)]);
        let told = text(&refused);
        assert!(!refused.status.success(), "byte {offset} of event {index} was changed unseen");
        assert!(told.contains(&format!("event {index}")), "event {index}: {told}");
        conn.execute(write, (index, body)).unwrap();
    }
    assert!(verify(&[at(&copy), "--deep"]).status.success(), "all is as it was");
}

#[test]
fn a_ledger_at_rest_is_one_file() {
    let (mut daemon, operator, _ids) = with_history(4);
    drop(operator);
    daemon.stop();
    let events = daemon.verifies()["events"].as_u64().unwrap();
    let copy = daemon.file("copy.db");
    std::fs::copy(daemon.database(), &copy).unwrap();
    let verified = verify(&[at(&copy), "--deep", "--json"]);
    let told: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(told["events"].as_u64(), Some(events), "without its WAL: {}", text(&verified));
}

#[test]
fn a_changed_projection_content_or_missing_event_is_found() {
    let (daemon, operator, _ids) = with_history(4);
    let copy = backup(&daemon, &operator, "whole.db");
    for (sql, deep) in [
        ("UPDATE works SET state = (state + 1) % 11 WHERE key = (SELECT min(key) FROM works)", true),
        ("DELETE FROM runs WHERE key = (SELECT max(key) FROM runs)", true),
        ("DELETE FROM events WHERE idx = 5", false),
        ("UPDATE events SET idx = 1000 WHERE idx = 5", false),
        ("DELETE FROM events WHERE idx = (SELECT max(idx) FROM events)", false),
        ("UPDATE blobs SET data = zeroblob(length(data)) WHERE id = (SELECT min(id) FROM blobs)", true),
    ] {
        let damaged = daemon.file("damaged.db");
        std::fs::copy(&copy, &damaged).unwrap();
        let conn = Connection::open(&damaged).unwrap();
        assert_eq!(conn.execute(sql, []).unwrap(), 1, "{sql}");
        drop(conn);
        let arguments = if deep { vec![at(&damaged), "--deep"] } else { vec![at(&damaged)] };
        let refused = verify(&arguments);
        assert!(!refused.status.success(), "{sql}: {}", text(&refused));
    }
}

#[test]
fn a_ledger_that_was_cut_back_or_written_anew_fails_an_older_checkpoint() {
    let (daemon, operator, _ids) = with_history(2);
    let early = backup(&daemon, &operator, "early.db");
    let kept = daemon.file("checkpoint");
    let agent_work = operator.submit(&json!({"title": "later"}));
    std::fs::write(&kept, daemon.told(&["ledger", "checkpoint"])).unwrap();
    operator.ask("Works", "Cancel", &(agent_work.as_str(), "enough")).unwrap();
    let late = backup(&daemon, &operator, "late.db");
    assert!(verify(&[at(&late), "--checkpoint", at(&kept)]).status.success());
    // The early copy is a ledger in good order; only the checkpoint shows that it is short.
    assert!(verify(&[at(&early)]).status.success());
    let cut = verify(&[at(&early), "--checkpoint", at(&kept)]);
    assert!(!cut.status.success(), "{}", text(&cut));
    let (other, other_operator, _) = with_history(6);
    let foreign = backup(&other, &other_operator, "foreign.db");
    assert!(!verify(&[at(&foreign), "--checkpoint", at(&kept)]).status.success());
}

#[test]
fn agentctl_verifies_the_ledger_of_this_host_and_a_backup() {
    let (daemon, _operator, _ids) = with_history(1);
    daemon.told(&["ledger", "verify", "--deep"]);
    let file = daemon.file("backup.db");
    daemon.told(&["ledger", "backup", at(&file)]);
    daemon.told(&["ledger", "verify", at(&file)]);
    daemon.told(&["ledger", "verify", at(&file), "--deep"]);
}

#[test]
fn erased_content_is_gone_from_the_files_and_the_ledger_still_verifies() {
    let (mut daemon, operator, ids) = with_history(3);
    let submitted = operator
        .events()
        .into_iter()
        .find(|event| event["type"] == "WorkSubmitted" && event["id"] == ids[1].as_str())
        .unwrap();
    let index = submitted["index"].as_u64().unwrap();
    operator.call::<()>("Ledger", "Hold", &(ids[1].as_str(), true, "a dispute")).unwrap();
    let held = operator.call::<()>("Ledger", "Redact", &(index, 0_u8, "asked to")).unwrap_err();
    assert_ne!(held.code.as_str(), "internal", "{held:?}");
    operator.call::<()>("Ledger", "Hold", &(ids[1].as_str(), false, "settled")).unwrap();
    operator.call::<()>("Ledger", "Redact", &(index, 0_u8, "asked to")).unwrap();
    let gone = operator.call::<Vec<u8>>("Works", "Content", &(index, 0_u8)).unwrap_err();
    assert_eq!(gone.code.as_str(), "redacted");
    drop(operator);
    daemon.stop();
    assert_eq!(daemon.verifies()["deep"]["erased"], 1);
    let files: Vec<u8> = std::fs::read_dir(daemon.state())
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_file())
        .flat_map(|entry| std::fs::read(entry.path()).unwrap())
        .collect();
    let holds = |words: &[u8]| files.windows(words.len()).any(|window| window == words);
    assert!(holds(b"canary 0") && holds(b"canary 2"), "what was not erased is there");
    assert!(!holds(b"canary 1"), "what was erased is gone from the disk");
}

#[test]
fn projections_written_anew_from_the_log_are_the_same() {
    let (mut daemon, operator, ids) = with_history(3);
    let before = operator.work(&ids[0]);
    drop(operator);
    daemon.stop();
    let rebuilt = daemon.tool(&["rebuild"]);
    assert!(rebuilt.status.success(), "{}", text(&rebuilt));
    daemon.verifies();
    daemon.run();
    assert_eq!(daemon.operator().work(&ids[0]), before);
}

#[test]
fn verify_changes_nothing_and_needs_no_running_daemon() {
    let (mut daemon, operator, _ids) = with_history(1);
    daemon.verifies();
    drop(operator);
    daemon.stop();
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    let file = File::options().append(true).open(daemon.database()).unwrap();
    file.set_times(FileTimes::new().set_modified(old)).unwrap();
    daemon.verifies();
    assert_eq!(file.metadata().unwrap().modified().unwrap(), old);
}
