//! What is kept by its digest, and what of it may go.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;

use agentd::runner::content::{artefact, list, open, open_artefact, store};
use agentd::runner::keep::remove;
use agentd::runner::{Look, Step, control, free_share, garbage, lay_out, look};
use agentd_schemas::launch::Level;

use crate::scene::{Scene, levels};

/// SHA-256 of `abc`.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn content_belongs_to_who_handed_it_in() {
    let scene = Scene::new(Level::Landlock, "true");
    fs::write(scene.path("in"), "abc").unwrap();
    let hand_in = |uid, most| store(&scene.host, uid, File::open(scene.path("in")).unwrap(), most);
    assert_eq!(hand_in(1, 2).unwrap_err().kind(), ErrorKind::FileTooLarge);
    assert!(list(&scene.host).unwrap().is_empty(), "nothing of a refused one stays");
    let stored = hand_in(1, 3).unwrap();
    assert_eq!((stored.sha256.as_str(), stored.bytes), (ABC, 3));
    let mut text = String::new();
    open(&scene.host, 1, ABC).unwrap().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "abc");
    for (uid, name) in [(2, ABC), (1, "../1"), (1, ""), (1, &ABC[1..])] {
        assert!(open(&scene.host, uid, name).unwrap().is_none(), "{uid} {name}");
    }
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"abc").unwrap();
    drop(writer);
    assert_eq!(store(&scene.host, 2, File::from(std::os::fd::OwnedFd::from(reader)), 3).unwrap().sha256, ABC);
    assert!(store(&scene.host, 2, File::open("/dev/zero").unwrap(), 3).is_err());
    let (free, total) = free_share(&scene.host.runs).unwrap();
    assert!(free <= total && total > 0);
}

#[test]
fn nothing_is_taken_in_where_the_disk_is_nearly_full() {
    let mut scene = Scene::new(Level::Landlock, "true");
    fs::write(scene.path("in"), "abc").unwrap();
    scene.host.defaults.min_free_percent = 100;
    let error = store(&scene.host, 1, File::open(scene.path("in")).unwrap(), 3).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    assert!(list(&scene.host).unwrap().is_empty());
}

#[test]
fn what_nobody_needs_any_more_is_garbage() {
    let scene = Scene::new(Level::Landlock, "true");
    lay_out(&scene.host, &scene.job).unwrap();
    fs::write(scene.path("in"), "abc").unwrap();
    store(&scene.host, 7, File::open(scene.path("in")).unwrap(), 3).unwrap();
    let folder = scene.folder();
    fs::write(folder.folder().join("in"), "abc").unwrap();
    let kept = artefact(&scene.host, "report", &folder, Path::new("in"), 3).unwrap();
    assert_eq!((kept.sha256.as_str(), kept.bytes), (ABC, 3));
    assert!(open_artefact(&scene.host, ABC).unwrap().is_some());
    std::os::unix::fs::symlink("in", folder.folder().join("link")).unwrap();
    assert!(artefact(&scene.host, "report", &folder, Path::new("link"), 3).is_err());
    fs::write(scene.host.content.join("7/.content.new-1"), "x").unwrap();

    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut keep = garbage::Keep { runs_s: 50, content_s: 50, artefacts_s: 50, ..garbage::Keep::default() };
    assert_eq!(garbage::find(&scene.host, &keep, now + 10).unwrap(), garbage::Garbage::default());
    let found = garbage::find(&scene.host, &keep, now + 100).unwrap();
    assert_eq!((found.runs.as_slice(), found.files.len(), found.file_bytes()), ([scene.job.run].as_slice(), 2, 6));
    keep.runs.insert(scene.job.run);
    keep.content.insert((7, ABC.to_owned()));
    keep.artefacts.insert(ABC.to_owned());
    assert_eq!(garbage::find(&scene.host, &keep, now + 100).unwrap(), garbage::Garbage::default());
    let unfinished = garbage::find(&scene.host, &keep, now + 4000).unwrap().files;
    assert_eq!(unfinished.len(), 1);
    assert!(!remove(&unfinished[0], || Ok(true)).unwrap(), "it is needed by now");
    assert!(remove(&unfinished[0], || Ok(false)).unwrap());
    assert!(remove(&unfinished[0], || Ok(false)).unwrap(), "it is gone already");
    assert_eq!(list(&scene.host).unwrap().len(), 1);
}

#[test]
fn a_step_is_looked_at_from_before_it_begins_until_it_is_lost() {
    for &level in levels() {
        let scene = Scene::new(level, "echo up; exec sleep 60");
        let (folder, step) = (scene.folder(), Step::Program(1));
        assert_eq!(look(&folder, step).unwrap(), Look::Absent);
        lay_out(&scene.host, &scene.job).unwrap();
        fs::write(folder.spec(step), "{}").unwrap();
        assert_eq!(look(&folder, step).unwrap(), Look::Starting);
        std::thread::scope(|scope| {
            let run = scope.spawn(|| scene.run(step, None));
            let shim = loop {
                match look(&folder, step) {
                    Ok(Look::Running(started)) => break started.shim,
                    Ok(Look::Absent | Look::Starting) => std::thread::yield_now(),
                    other => panic!("{other:?}"),
                }
            };
            assert!(shim > 1);
            assert!(control(&folder, step, "freeze").unwrap().starts_with("ok "));
            assert!(control(&folder, step, "thaw").unwrap().starts_with("ok "));
            assert!(control(&folder, step, "nonsense").unwrap().starts_with("error "));
            assert!(control(&folder, step, "stop cancelled").unwrap().starts_with("ok "));
            let outcome = run.join().unwrap();
            assert_eq!(outcome.stopped, Some(agentd_schemas::launch::StopCause::Cancelled));
        });
        assert!(control(&folder, step, "freeze").is_err());
        fs::remove_file(folder.record(step).join("outcome.json")).unwrap();
        assert_eq!(look(&folder, step).unwrap(), Look::Lost);
    }
}
