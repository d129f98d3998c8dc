//! A launcher or a shim dies at each of its steps: the record tells how far it came, nothing of the run goes on, and all of
//! it can be removed.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;

use agentd_schemas::launch::{Ending, LOCK_FILE, Level, STDOUT_FILE};
use agentd_tests::harness::eventually;
use rustix::fs::FlockOperation;

use super::scene::{Rights, Scene, levels, rights};

/// Whether there is, after a death: the lock, the output, the record of the start, the outcome.
type Left = [bool; 4];

fn dies_at(rights: Rights, level: Level, point: &str) -> (Scene, Left) {
    let scene = Scene::new(rights);
    let script = if point == "shim.begun" { "while :; do sleep 0.1; done" } else { "true" };
    let launched = scene.start_with(&scene.script(level, script), |command| {
        command.env("AGENTD_FAILPOINT", point);
    });
    let told = launched.wait();
    assert_eq!(told.status.signal(), Some(9), "{point}: {told:?} {:?}", scene.outcome());
    eventually("nothing of the run goes on", || scene.marked().is_empty().then_some(()));
    if let Ok(lock) = File::open(scene.record(LOCK_FILE)) {
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    }
    let left = [
        scene.record(LOCK_FILE).exists(),
        scene.record(STDOUT_FILE).exists(),
        scene.started().is_some(),
        scene.outcome().is_some(),
    ];
    (scene, left)
}

#[test]
fn the_record_of_whoever_was_killed_tells_how_far_it_came() {
    let steps = [
        ("launch.recorded", [false, false, false, false]),
        ("launch.exec", [false, false, false, false]),
        ("shim.start", [true, true, false, false]),
        ("shim.begun", [true, true, false, false]),
        ("shim.ended", [true, true, true, false]),
        ("shim.told", [true, true, true, true]),
    ];
    for rights in rights() {
        for level in levels(rights) {
            for (point, expected) in steps {
                let (scene, left) = dies_at(rights, level, point);
                assert_eq!(left, expected, "{rights:?} {level:?} {point}");
                if expected[3] {
                    assert_eq!(scene.outcome().unwrap().ending, Ending::Exited(0));
                }
                // A record is used once, whatever became of it.
                let again = scene.start(&scene.script(level, "true")).wait();
                assert_eq!(again.status.code(), Some(2), "{point}: {again:?}");
                scene.removes();
            }
        }
    }
}

#[test]
fn a_launcher_without_room_leaves_nothing_and_says_so() {
    for rights in rights() {
        let scene = Scene::new(rights);
        let launched = scene.start_with(&scene.script(Level::Landlock, "true"), |command| {
            command.env("AGENTD_FAILPOINT", "launch.recorded=error");
        });
        let told = launched.wait();
        assert_eq!(told.status.code(), Some(1), "{told:?}");
        let names: Vec<_> = fs::read_dir(scene.folder("")).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(names, ["program.json"]);
        assert!(scene.groups().is_empty(), "{:?}", scene.groups());
    }
}

#[test]
fn a_shim_that_fails_half_way_kills_all_of_the_run_and_says_why() {
    for rights in rights() {
        for level in levels(rights) {
            let scene = Scene::new(rights);
            let script = "trap '' TERM; (setsid sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' \"$0\" & ); \
                i=0; while :; do echo $i; i=$((i+1)); sleep 0.01; done";
            let launched = scene.start_with(&scene.script(level, script), |command| {
                command.env("AGENTD_FAILPOINT", "shim.watch:20=error");
            });
            let outcome = launched.outcome();
            let Ending::Lost(reason) = &outcome.ending else { panic!("{level:?}: {outcome:?}") };
            assert!(reason.contains("shim failed"), "{reason}");
            assert!(outcome.stdout.bytes > 0, "{outcome:?}");
            assert_eq!(scene.marked(), [0; 0], "{rights:?} {level:?}");
            scene.removes();
        }
    }
}
