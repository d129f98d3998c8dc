//! Removing a run: all of it, nothing else, and not under a living shim.

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use agentd_schemas::launch::Level;
use agentd_tests::harness::eventually;

use super::scene::{Scene, levels, probe, rights};

#[test]
fn whatever_a_run_left_goes_and_nothing_beside_it() {
    for rights in rights() {
        let Some(&level) = levels(rights).first() else { continue };
        let scene = Scene::new(rights);
        fs::create_dir(scene.path("outside")).unwrap();
        fs::write(scene.path("outside/file"), "kept").unwrap();
        fs::set_permissions(scene.path("outside"), Permissions::from_mode(0o777)).unwrap();
        let script = "i=0; while [ $i -lt 3000 ]; do : > file-$i; i=$((i+1)); done; mkfifo fifo; \
            mkdir -p a/b/c removing-1/removing-2; : > a/b/c/file; truncate -s 1G sparse; : > up";
        // It ends by itself once all of it is there.
        drop(scene.start(&scene.script(level, script)).wait());
        assert!(scene.work("up").exists());
        symlink(scene.path("outside"), scene.work("a/link")).unwrap();
        symlink("/", scene.work("root")).unwrap();
        // Deeper than any path, and closed to its owner.
        let mut at = fs::File::open(scene.work("a")).map(rustix::fd::OwnedFd::from).unwrap();
        let name = CString::new("d".repeat(250)).unwrap();
        let mode = rustix::fs::Mode::RWXU;
        for _ in 0..300 {
            rustix::fs::mkdirat(&at, &name, mode).unwrap();
            let flags = rustix::fs::OFlags::DIRECTORY;
            let next = rustix::fs::openat(&at, &name, flags, rustix::fs::Mode::empty()).unwrap();
            rustix::fs::fchown(&next, Some(rustix::fs::Uid::from_raw(scene.uid)), None).unwrap();
            at = next;
        }
        for closed in ["a/b", "a", "removing-1"] {
            fs::set_permissions(scene.work(closed), Permissions::from_mode(0o0)).unwrap();
        }
        fs::create_dir(scene.runs().join("w-aaaaaaaaaaaaaaaa.9")).unwrap();
        scene.removes();
        assert_eq!(fs::read_to_string(scene.path("outside/file")).unwrap(), "kept");
        assert!(scene.runs().join("w-aaaaaaaaaaaaaaaa.9").exists());
        // Once more is as good as once.
        scene.removes();
    }
}

#[test]
fn a_run_with_a_living_shim_is_not_removed() {
    for rights in rights() {
        let Some(&level) = levels(rights).first() else { continue };
        let scene = Scene::new(rights);
        let mut launched = scene.start(&scene.script(level, ": > up; while :; do sleep 0.1; done"));
        launched.until_work_has("up");
        let refused = scene.remove();
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("living shim"), "{refused:?}");
        assert!(scene.work("up").exists() && !scene.marked().is_empty());
        assert_eq!(launched.say("stop cancelled"), "ok ending\n");
        launched.outcome();
        scene.removes();
    }
}

#[test]
fn what_a_killed_shim_left_running_ends_with_the_removal() {
    for rights in rights() {
        if probe(rights).control_groups.is_empty() || !levels(rights).contains(&Level::Landlock) {
            continue;
        }
        let scene = Scene::new(rights);
        // It has left its parent, its session and its group.
        let script = "(setsid sh -c 'trap \"\" TERM; : > up; while :; do sleep 0.1; done' \"$0\" & ); \
            while :; do sleep 0.1; done";
        let mut launched = scene.start(&scene.script(Level::Landlock, script));
        launched.until_work_has("up");
        launched.child.kill().unwrap();
        drop(launched.wait());
        eventually("the program is gone, and who left it is not", || (scene.marked().len() == 1).then_some(()));
        scene.removes();
        assert_eq!(scene.marked(), [0; 0]);
    }
}

#[test]
fn the_groups_of_a_run_that_ended_go_without_its_folder() {
    for rights in rights() {
        let Some(&level) = levels(rights).first() else { continue };
        let scene = Scene::new(rights);
        scene.run(&scene.script(level, "true"));
        let mut command = scene.launcher();
        command
            .arg("remove")
            .arg("--groups-only")
            .arg("--runs")
            .arg(scene.runs())
            .arg("--run")
            .arg(scene.run.to_string());
        let told = command.output().unwrap();
        assert!(told.status.success(), "{told:?}");
        assert!(scene.groups().is_empty(), "{:?}", scene.groups());
        assert!(scene.outcome().is_some());
    }
}

#[test]
fn a_name_that_is_no_runs_removes_nothing() {
    for rights in rights() {
        let scene = Scene::new(rights);
        fs::create_dir(scene.path("kept")).unwrap();
        for run in ["..", ".", "", "../kept", "kept", "w-aaaaaaaaaaaaaaaa.01", "w-aaaaaaaaaaaaaaaa.1/.."] {
            let mut command: Command = scene.launcher();
            let told = command.arg("remove").arg("--runs").arg(scene.runs()).arg("--run").arg(run).output().unwrap();
            assert_eq!(told.status.code(), Some(2), "{run}: {told:?}");
        }
        assert!(scene.path("kept").exists() && scene.folder("").exists());
    }
}
