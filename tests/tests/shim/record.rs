//! The record: what is refused, and that it is used once.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use agentd_schemas::launch::{
    Access, Ending, LOCK_FILE, Mount, OUTCOME_FILE, SPEC_FILE, STARTED_FILE, STDERR_FILE, STDOUT_FILE, StopCause,
};
use agentd_tests::harness::{Tmpfs, eventually, skip};

use super::proc::marked;
use super::scene::{Scene, levels};

#[test]
fn a_program_that_cannot_start_is_an_outcome_with_a_reason() {
    for &level in levels() {
        let plain = "plain";
        for program in ["/no/such/program", "no-such-program", plain] {
            let scene = Scene::new();
            let file = scene.work(plain);
            fs::write(&file, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
            let program = if program == plain { file.to_str().unwrap() } else { program };
            let outcome = scene.run(&scene.spec(level, &[program]));
            let Ending::NotStarted(reason) = &outcome.ending else { panic!("{level:?} {program}: {outcome:?}") };
            assert!(reason.contains(program), "{level:?}: {reason}");
            assert_eq!((outcome.stopped, outcome.stdout.bytes, outcome.stderr.bytes), (None, 0, 0));
            assert!(!scene.has(STARTED_FILE));
            assert!(scene.file(STDOUT_FILE).is_empty() && scene.file(STDERR_FILE).is_empty());
        }
    }
}

#[test]
fn a_spec_beyond_the_bounds_or_none_at_all_is_refused_in_words_and_nothing_is_written() {
    for &level in levels() {
        let scene = Scene::new();
        let mut spec = scene.spec(level, &["true"]);
        spec.limits.wall_ms = 0;
        let beyond = serde_json::to_vec(&spec).unwrap();
        for (text, word) in [(beyond.as_slice(), "wall_ms"), (b"{", "EOF"), (b"{\"root\":true}", "root")] {
            scene.write_raw_spec(text);
            let refused = scene.shim_to_its_end();
            let told = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert_eq!(refused.status.code(), Some(1), "{told}");
            assert!(told.contains(word) && told.contains(SPEC_FILE), "{told}");
            let names = fs::read_dir(scene.record()).unwrap().map(|entry| entry.unwrap().file_name());
            assert!(names.into_iter().all(|name| name == SPEC_FILE || name == LOCK_FILE));
        }
    }
}

#[test]
fn no_mount_shows_a_program_its_record_or_the_shim() {
    for &level in levels() {
        let scene = Scene::new();
        let link = scene.work("link");
        std::os::unix::fs::symlink(scene.record(), &link).unwrap();
        let above = scene.record().parent().unwrap().to_owned();
        for source in [link, above, scene.record(), scene.shim_binary()] {
            let mut spec = scene.spec(level, &["true"]);
            spec.mounts.push(Mount { source: source.clone(), target: source.clone(), access: Access::Read });
            scene.new_record();
            let outcome = scene.run(&spec);
            let Ending::NotStarted(reason) = &outcome.ending else { panic!("{level:?} {source:?}: {outcome:?}") };
            assert!(reason.contains("overlaps"), "{level:?}: {reason}");
        }
    }
}

#[test]
fn a_shim_that_cannot_tell_of_the_start_kills_the_program_and_says_why() {
    for &level in levels() {
        let scene = Scene::new();
        // A folder in the place of the document's new file.
        fs::create_dir(scene.record().join(format!("{STARTED_FILE}.new"))).unwrap();
        let outcome = scene.run(&scene.script(level, "trap '' TERM; while :; do sleep 0.1; done"));
        let Ending::Lost(reason) = &outcome.ending else { panic!("{level:?}: {outcome:?}") };
        assert!(reason.contains(STARTED_FILE), "{level:?}: {reason}");
        assert_eq!(marked(&scene), [0; 0], "{level:?}");
    }
}

#[test]
fn a_record_is_used_once() {
    for &level in levels() {
        let scene = Scene::new();
        let shim = scene.start(&scene.script(level, "echo once; : > up; while :; do sleep 1; done"));
        shim.until_work_has("up");
        let second = scene.shim_to_its_end();
        let told = String::from_utf8_lossy(&second.stderr).into_owned();
        assert_eq!(second.status.code(), Some(1), "{told}");
        assert!(told.contains("lock"), "{told}");
        assert!(!scene.has(OUTCOME_FILE));
        assert_eq!(shim.say("stop cancelled"), "ok ending\n");
        assert_eq!(shim.outcome().stopped, Some(StopCause::Cancelled));
        let before = (scene.file(OUTCOME_FILE), scene.file(STARTED_FILE), scene.file(STDOUT_FILE));
        let third = scene.shim_to_its_end();
        assert_eq!(third.status.code(), Some(1), "{}", String::from_utf8_lossy(&third.stderr));
        assert_eq!((scene.file(OUTCOME_FILE), scene.file(STARTED_FILE), scene.file(STDOUT_FILE)), before);
    }
}

#[test]
fn an_end_is_told_on_a_disk_that_was_filled_meanwhile() {
    let scene = Scene::new();
    let Some(_disk) = Tmpfs::mount(&scene.record(), 1) else { return skip("a small disk needs root") };
    fs::set_permissions(scene.record(), Permissions::from_mode(0o700)).unwrap();
    scene.give(&scene.record());
    let shim = scene.start(&scene.script(levels()[0], "until [ -e full ]; do sleep 0.05; done; exit 3"));
    eventually("the start is told", || scene.has(STARTED_FILE).then_some(()));
    let mut ballast = File::create(scene.record().join("ballast")).unwrap();
    while ballast.write_all(&[0; 4096]).is_ok() {}
    fs::write(scene.work("full"), "").unwrap();
    assert_eq!(shim.outcome().ending, Ending::Exited(3));
}
