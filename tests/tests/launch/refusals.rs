//! What no daemon gets, whatever it asks for.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

use agentd_schemas::launch::{LaunchSpec, Level, MAX_SPEC_BYTES, RUN_UIDS, RunAs};
use agentd_tests::harness::is_root;

use super::scene::{Rights, Scene, rights};

/// Everything below a folder, with what tells whether it was touched.
fn everything(folder: &Path) -> Vec<(PathBuf, u32, u32, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let (mut open, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let stat = entry.metadata().unwrap();
            found.push((entry.path(), stat.uid(), stat.mode(), stat.len()));
            if stat.is_dir() {
                open.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// Refused in one line with the word in it, and nothing is there that was not before.
fn refuses(scene: &Scene, spec: &Path, record: &Path, word: &str) {
    let before = everything(&scene.path(""));
    let told = scene.start_command(spec, record).output().unwrap();
    refused(&told, word);
    assert_eq!(everything(&scene.path("")), before, "{word}: something was touched");
    assert!(scene.groups().is_empty(), "{:?}", scene.groups());
}

fn refused(told: &Output, word: &str) {
    let text = String::from_utf8_lossy(&told.stderr).into_owned();
    assert_eq!(told.status.code(), Some(2), "{word}: {text}");
    assert!(text.starts_with("agentd-launch: error: ") && text.lines().count() == 1, "{text}");
    assert!(text.contains(word), "{word}: {text}");
}

type Change = fn(&Scene, &mut LaunchSpec);

#[test]
fn a_spec_that_asks_for_what_no_run_gets_is_refused() {
    let both: [(&str, Change); 8] = [
        ("run_as", |_, spec| spec.run_as = Some(RunAs { uid: 0, gid: 0 })),
        ("of run", |_, spec| spec.run.attempt = 2),
        ("not directly in", |scene, spec| spec.folders.push(scene.path("elsewhere"))),
        ("not directly in", |scene, spec| spec.folders.push(scene.folder("workspace/below"))),
        ("another run", |scene, spec| spec.folders.push(scene.runs().join("w-aaaaaaaaaaaaaaaa.1/workspace"))),
        ("is the record", |scene, spec| spec.folders.push(scene.folder("program"))),
        ("no name", |scene, spec| spec.folders.push(scene.folder("cgroup.procs"))),
        ("cpu_percent", |_, spec| spec.limits.cpu_percent = Some(0)),
    ];
    let as_root: [(&str, Change); 5] = [
        ("must name a user", |_, spec| spec.run_as = None),
        ("outside of", |_, spec| spec.run_as = Some(RunAs { uid: 1000, gid: *RUN_UIDS.start() })),
        ("outside of", |_, spec| spec.run_as = Some(RunAs { uid: *RUN_UIDS.start(), gid: 42 })),
        ("outside of", |_, spec| spec.run_as = Some(RunAs { uid: RUN_UIDS.end() + 1, gid: *RUN_UIDS.end() })),
        ("outside of", |_, spec| spec.run_as = Some(RunAs { uid: u32::MAX, gid: *RUN_UIDS.end() })),
    ];
    let ordinary: [(&str, Change); 1] =
        [("needs root", |_, spec| spec.run_as = Some(RunAs { uid: 60_001, gid: 60_001 }))];
    for rights in rights() {
        let own: &[(&str, Change)] = if rights == Rights::Root { &as_root } else { &ordinary };
        for (word, change) in both.iter().chain(own) {
            let scene = Scene::new(rights);
            let mut spec = scene.script(Level::Landlock, "true");
            change(&scene, &mut spec);
            refuses(&scene, &scene.write(&spec), &scene.folder("program"), word);
        }
    }
}

#[test]
fn a_record_or_a_spec_outside_of_the_runs_folder_is_refused() {
    for rights in rights() {
        let scene = Scene::new(rights);
        let spec = scene.write(&scene.script(Level::Landlock, "true"));
        let other = scene.runs().join("w-aaaaaaaaaaaaaaaa.1");
        for record in [
            scene.path("record"),
            scene.runs().join("record"),
            scene.folder("program/deeper"),
            scene.folder("../record"),
            scene.folder("PROGRAM"),
            other.join("program"),
            PathBuf::from("program"),
            PathBuf::from("/etc/agentd-record"),
        ] {
            refuses(&scene, &spec, &record, "");
        }
        fs::copy(&spec, scene.path("program.json")).unwrap();
        refuses(&scene, &scene.path("program.json"), &scene.folder("program"), "not directly in");
        refuses(&scene, &other.join("program.json"), &scene.folder("program"), "no folder of run");
    }
}

#[test]
fn what_is_in_the_way_is_refused_and_neither_followed_nor_taken() {
    for rights in rights() {
        let outside = |scene: &Scene| {
            fs::create_dir(scene.path("outside")).unwrap();
            fs::write(scene.path("outside/file"), "kept").unwrap();
            scene.path("outside")
        };
        // The record.
        let scene = Scene::new(rights);
        let spec = scene.write(&scene.script(Level::Landlock, "true"));
        symlink(outside(&scene), scene.folder("program")).unwrap();
        refuses(&scene, &spec, &scene.folder("program"), "is there already");
        symlink(scene.path("nowhere"), scene.folder("dangling")).unwrap();
        refuses(&scene, &spec, &scene.folder("dangling"), "is there already");
        fs::create_dir(scene.folder("folder")).unwrap();
        refuses(&scene, &spec, &scene.folder("folder"), "is there already");
        // A folder.
        let scene = Scene::new(rights);
        let spec = scene.write(&scene.script(Level::Landlock, "true"));
        symlink(outside(&scene), scene.folder("workspace")).unwrap();
        refuses(&scene, &spec, &scene.folder("program"), "no folder of the run");
        fs::remove_file(scene.folder("workspace")).unwrap();
        fs::write(scene.folder("workspace"), "").unwrap();
        refuses(&scene, &spec, &scene.folder("program"), "no folder of the run");
        fs::remove_file(scene.folder("workspace")).unwrap();
        if is_root() {
            // Root's, and in the way of a run that is not.
            fs::create_dir(scene.folder("workspace")).unwrap();
            refuses(&scene, &spec, &scene.folder("program"), "uid 0's");
        }
        // The run's own folder.
        let scene = Scene::new(rights);
        let spec = scene.write(&scene.script(Level::Landlock, "true"));
        fs::set_permissions(scene.folder(""), Permissions::from_mode(0o777)).unwrap();
        refuses(&scene, &spec, &scene.folder("program"), "changed by others");
        fs::set_permissions(scene.folder(""), Permissions::from_mode(0o711)).unwrap();
        fs::rename(scene.folder(""), scene.path("moved")).unwrap();
        symlink(scene.path("moved"), scene.folder("")).unwrap();
        let told = scene.start_command(&spec, &scene.folder("program")).output().unwrap();
        assert_eq!(told.status.code(), Some(1), "{told:?}");
        assert!(!scene.path("moved/program").exists());
        fs::remove_file(scene.folder("")).unwrap();
    }
}

#[test]
fn a_spec_that_is_no_file_or_too_large_or_not_understood_is_refused() {
    for rights in rights() {
        let scene = Scene::new(rights);
        let path = scene.folder("program.json");
        let record = scene.folder("program");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o666),
            0,
        )
        .unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        refuses(&scene, &path, &record, "not a regular file");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        refuses(&scene, &path, &record, "program.json");
        fs::remove_dir(&path).unwrap();
        symlink("/etc/passwd", &path).unwrap();
        refuses(&scene, &path, &record, "program.json");
        fs::remove_file(&path).unwrap();
        let good = serde_json::to_string(&scene.script(Level::Landlock, "true")).unwrap();
        let large = good.clone() + &" ".repeat(MAX_SPEC_BYTES);
        let more = good.replacen('{', "{\"privileged\":true,", 1);
        let newer = good.replacen("\"version\":1", "\"version\":2", 1);
        for (text, word) in [(large, "more than"), (more, "privileged"), (newer, "version 2"), ("{".to_owned(), "EOF")]
        {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            refuses(&scene, &path, &record, word);
        }
    }
}

#[test]
fn a_shim_that_cannot_be_run_leaves_nothing_behind() {
    for rights in rights() {
        let scene = Scene::new(rights);
        let spec = scene.write(&scene.script(Level::Landlock, "true"));
        let before = everything(&scene.runs());
        fs::write(scene.path("closed"), "").unwrap();
        fs::set_permissions(scene.path("closed"), Permissions::from_mode(0o644)).unwrap();
        for shim in [scene.path("none"), scene.path("closed")] {
            let told = scene.start_command(&spec, &scene.folder("program")).arg("--shim").arg(shim).output().unwrap();
            assert_eq!(told.status.code(), Some(1), "{told:?}");
            assert_eq!(everything(&scene.runs()), before);
        }
        assert!(scene.groups().is_empty(), "{:?}", scene.groups());
    }
}

#[test]
fn root_gives_no_user_beyond_the_range_and_starts_no_shim_that_others_can_change() {
    if !is_root() {
        return agentd_tests::harness::skip("what root refuses needs root");
    }
    let scene = Scene::new(Rights::Root);
    let mut spec = scene.script(Level::Landlock, "true");
    let path = scene.write(&spec);
    let record = scene.folder("program");
    let refused_with = |path: &Path, more: &[&str], word: &str| {
        let told = scene.start_command(path, &record).args(more).output().unwrap();
        assert_eq!(told.status.code(), Some(2), "{more:?}: {told:?}");
        assert!(String::from_utf8_lossy(&told.stderr).contains(word), "{more:?}: {told:?}");
        assert!(!record.exists());
    };
    // A script in the place of the shim, that would run as the user of the run and in no sandbox.
    let (folder, reached) = (scene.path("others"), scene.path("reached"));
    fs::create_dir(&folder).unwrap();
    let (shim, link) = (folder.join("shim"), folder.join("link"));
    fs::write(&shim, format!("#!/bin/sh\necho reached >{}\n", reached.display())).unwrap();
    symlink(&shim, &link).unwrap();
    let set = |path: &Path, uid: u32, mode: u32| {
        std::os::unix::fs::chown(path, Some(uid), Some(uid)).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    let good = ((0, 0o755), (0, 0o755));
    for ((of_file, of_folder), word) in [
        (((4242, 0o755), good.1), "shim is uid 4242's"),
        (((0, 0o775), good.1), "chmod go-w"),
        (((0, 0o757), good.1), "chmod go-w"),
        ((good.0, (4242, 0o755)), "others is uid 4242's"),
        ((good.0, (0, 0o775)), "chmod go-w"),
        ((good.0, (0, 0o1777)), "chmod go-w"),
    ] {
        set(&folder, of_folder.0, of_folder.1);
        set(&shim, of_file.0, of_file.1);
        for named in [&shim, &link] {
            refused_with(&path, &["--shim", named.to_str().unwrap()], word);
        }
    }
    refused_with(&path, &["--shim", folder.to_str().unwrap()], "no regular file");
    // The folder above counts as well.
    set(&folder, 0, 0o755);
    set(&shim, 0, 0o755);
    let below = folder.join("below");
    fs::create_dir(&below).unwrap();
    fs::copy(&shim, below.join("shim")).unwrap();
    set(&folder, 4242, 0o755);
    refused_with(&path, &["--shim", below.join("shim").to_str().unwrap()], "others is uid 4242's");
    assert!(!reached.exists());
    for uids in ["1-1", "4000-4999", "0-0", "2100000000-2101000000", "1-4294967294"] {
        spec.run_as = Some(RunAs { uid: 1, gid: 1 });
        refused_with(&scene.write(&spec), &["--uids", uids], "which nobody can widen");
    }
    let (one, next) = (scene.uid, scene.uid + 1);
    spec.run_as = Some(RunAs { uid: one, gid: one });
    refused_with(&scene.write(&spec), &["--uids", &format!("{next}-{next}")], "outside of");
    let started = scene.start_with(&spec, |command| {
        command.args(["--uids", &format!("{one}-{one}")]);
    });
    assert_eq!(started.outcome().ending, agentd_schemas::launch::Ending::Exited(0));
}
