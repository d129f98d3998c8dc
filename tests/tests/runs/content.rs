//! What is handed in for workspaces and is not what it says, or not one's own.

use std::io::Write as _;
use std::os::fd::OwnedFd;

use serde_json::{Value, json};
use zbus::Fd;

use super::scene::{Scene, Who, can_start};

/// Hands in bytes as the user of the tests; their digest.
fn upload(scene: &Scene, bytes: &[u8], kind: &str) -> Value {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let bytes = bytes.to_owned();
    let writing = std::thread::spawn(move || writer.write_all(&bytes));
    let uploaded = scene.operator().ask("Works", "Upload", &(Fd::from(OwnedFd::from(reader)), kind)).unwrap();
    writing.join().unwrap().unwrap();
    uploaded
}

fn work(kind: &str, uploaded: &Value, base: Option<&str>) -> Value {
    let content = json!({"kind": kind, "sha256": uploaded["sha256"], "bytes": uploaded["bytes"], "base": base});
    let content: Value = content.as_object().unwrap().iter().filter(|(_, value)| !value.is_null()).map(pair).collect();
    json!({"title": "lies", "required_skills": ["worker"], "limits": {"max_attempts": 1},
        "workspace": {"content": content}})
}

fn pair((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

const NOWHERE: &str = "1111111111111111111111111111111111111111";

#[test]
fn content_that_was_not_handed_in_or_by_somebody_else_cannot_be_named() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    scene.agent("worker", "", "echo done");
    let absent = json!({"sha256": "ab".repeat(32), "bytes": 5});
    let refused = |document: &Value| {
        let answer = scene.operator().ask("Works", "Submit", &(document.to_string(), ""));
        answer.expect_err("what was not handed in by this user is refused").message
    };
    let message = refused(&work("git", &absent, Some(NOWHERE)));
    assert!(message.contains("handed in"), "{message}");
    let id = scene.submit("worker", &["--repo", "."]);
    scene.until(&id, "completed");
    if agentd_tests::harness::is_root() {
        // Whoever runs the tests is another user than who handed this in.
        let base = &scene.work(&id)["workspace"];
        let sha256 = base["sha256"].as_str().unwrap();
        let kept = std::fs::read_dir(scene.daemon.state().join("content")).unwrap().flatten();
        let kept = kept.map(|user| user.path().join(sha256)).find(|file| file.exists()).unwrap();
        let theirs = json!({"sha256": sha256, "bytes": kept.metadata().unwrap().len()});
        let commit = scene.run("git rev-parse HEAD");
        let message = refused(&work("git", &theirs, Some(commit.trim())));
        assert!(message.contains("handed in"), "{message}");
    }
    scene.ends_well();
}

#[test]
fn a_bundle_or_an_archive_that_lies_fails_its_attempt_in_words_and_the_next_work_runs() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    let skills = "shared = true\n";
    scene.agent("worker", skills, "echo done");
    let commit = scene.run("git rev-parse HEAD");
    scene.run("git update-ref refs/agentd/base HEAD && git bundle create -q ../home/good refs/agentd/base");
    scene.run("git bundle create -q ../home/other main && git update-ref -d refs/agentd/base");
    let read = |name: &str| std::fs::read(scene.path("home").join(name)).unwrap();
    let good = read("good");
    let mut torn = good.clone();
    let middle = torn.len() - 60;
    torn[middle] ^= 0x55;
    let commit = commit.trim();
    let table: [(&[u8], &str, Option<&str>, &str); 6] = [
        (b"no bundle at all", "git", Some(commit), "the bundle cannot be used"),
        (&good, "git", Some(NOWHERE), "the work begins with 1111"),
        (&torn, "git", Some(commit), "the bundle cannot be used"),
        (&good[..good.len() / 2], "git", Some(commit), "the bundle cannot be used"),
        (&read("other"), "git", Some(commit), "the bundle cannot be used"),
        (b"no archive at all", "tar", None, "the archive cannot be unpacked"),
    ];
    for (bytes, kind, base, says) in table {
        let uploaded = upload(&scene, bytes, kind);
        let id = scene.operator().submit(&work(kind, &uploaded, base));
        let (failure, message) = scene.fails(&id);
        assert_eq!(failure, "not_started", "{message}");
        assert!(message.contains(says), "{says}: {message}");
        let id = scene.operator().submit(&work("git", &upload(&scene, &good, "git"), Some(commit)));
        scene.until(&id, "completed");
    }
    scene.ends_well();
}

#[test]
fn a_ref_that_vanished_is_told_before_anything_is_submitted() {
    if !can_start() {
        return;
    }
    let mut scene = Scene::new(Who::Ordinary);
    scene.repository();
    scene.agent("worker", "", "cat value");
    scene.run("git branch gone && git branch -D gone -q");
    let refused = scene.agentctl(&["submit", "x", "--skill", "worker", "--repo", ".", "--ref", "gone"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("gone"), "{said}");
    // One that vanishes later was taken whole with the submit.
    scene.run("git branch soon && git commit -q --allow-empty -m later");
    scene.write(&scene.control("hold-prepare"), "");
    let id = scene.submit("worker", &["--repo", ".", "--ref", "soon"]);
    scene.run("git branch -D soon -q; rm -rf .git");
    std::fs::remove_file(scene.control("hold-prepare")).unwrap();
    assert_eq!(scene.until(&id, "completed")["runs"][0]["result"], "bad");
    scene.ends_well();
}
