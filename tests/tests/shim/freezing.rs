//! Standing still and going on.

use std::fs;
use std::path::Path;
use std::process::Command;

use agentd_schemas::launch::{Level, StopCause};
use agentd_tests::harness::{eventually, skip};

use super::proc::below;
use super::scene::{Scene, Shim, levels};

/// A program of several processes, two of which write on and on.
const BEATING: &str = "sh -c 'while :; do echo x >> child; sleep 0.02; done' & \
    while :; do echo x >> parent; sleep 0.02; done";

fn beats(scene: &Scene) -> [u64; 2] {
    ["parent", "child"].map(|name| fs::metadata(scene.work(name)).map_or(0, |metadata| metadata.len()))
}

/// Waits until both processes wrote more than they had.
fn until_it_beats(scene: &Scene) {
    let before = beats(scene);
    eventually("both processes write", || {
        beats(scene).iter().zip(before).all(|(now, before)| *now > before).then_some(())
    });
}

/// Time passes, as another process measures it.
fn pass(seconds: &str) {
    assert!(Command::new("sleep").arg(seconds).status().unwrap().success());
}

fn freeze(shim: &Shim<'_>, level: Level) {
    let answer = shim.say("freeze");
    assert!(answer.starts_with("ok ") && answer.ends_with(" processes stand still\n"), "{answer}");
    let states = below(shim.pid());
    // What holds the sandbox is not the program's.
    let program: Vec<_> = states.iter().filter(|(name, _)| name != "bwrap").collect();
    assert!(program.len() >= 2, "{level:?}: {states:?}");
    assert!(program.iter().all(|(_, state)| *state == 'T'), "{level:?}: {states:?}");
}

#[test]
fn a_frozen_program_stands_still_with_all_its_children_and_goes_on_when_thawed() {
    for &level in levels() {
        let scene = Scene::new();
        let shim = scene.start(&scene.script(level, BEATING));
        until_it_beats(&scene);
        freeze(&shim, level);
        let before = beats(&scene);
        pass("0.5");
        assert_eq!(beats(&scene), before, "{level:?}");
        // Twice is as good as once.
        freeze(&shim, level);
        assert_eq!(shim.say("thaw"), "ok going on\n");
        until_it_beats(&scene);
        assert_eq!(shim.say("stop cancelled"), "ok ending\n");
        assert_eq!(shim.outcome().stopped, Some(StopCause::Cancelled));
    }
}

#[test]
fn paused_time_is_not_running_time_and_the_program_goes_on() {
    for &level in levels() {
        let scene = Scene::new();
        let mut spec = scene.script(level, BEATING);
        spec.limits.wall_ms = 3000;
        let shim = scene.start(&spec);
        until_it_beats(&scene);
        assert_eq!(shim.say("pause"), "ok its time stands still\n");
        pass("2");
        // Both at a time.
        freeze(&shim, level);
        assert_eq!(shim.say("pause"), "ok its time stands still\n");
        pass("1.5");
        assert_eq!(shim.say("thaw"), "ok going on\n");
        until_it_beats(&scene);
        assert_eq!(shim.say("resume"), "ok its time goes on\n");
        until_it_beats(&scene);
        let outcome = shim.outcome();
        assert_eq!(outcome.stopped, Some(StopCause::Timeout), "{level:?}");
        assert!(outcome.usage.wall_ms >= 6400, "{level:?}: {outcome:?}");
    }
}

#[test]
fn frozen_time_is_not_running_time() {
    for &level in levels() {
        let scene = Scene::new();
        let mut spec = scene.script(level, BEATING);
        spec.limits.wall_ms = 4000;
        let shim = scene.start(&spec);
        until_it_beats(&scene);
        freeze(&shim, level);
        pass("4.5");
        assert_eq!(shim.say("thaw"), "ok going on\n");
        until_it_beats(&scene);
        let outcome = shim.outcome();
        assert_eq!(outcome.stopped, Some(StopCause::Timeout), "{level:?}");
        assert!(outcome.usage.wall_ms >= 8400, "{level:?}: {outcome:?}");
    }
}

/// Its first thread ends, so `/proc` shows a zombie; the other writes on and on.
const HEADLESS: &str = "import ctypes, threading, time, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def beat():
    while True:
        open('beat', 'a').write('x')
        time.sleep(0.01)
threading.Thread(target=beat).start()
ctypes.CDLL(None).syscall(60 if __import__('platform').machine() == 'x86_64' else 93, 0)
";

#[test]
fn a_program_whose_first_thread_ended_is_frozen_and_killed_as_any_other() {
    if !Path::new("/usr/bin/python3").exists() {
        return skip("a program without its first thread needs /usr/bin/python3");
    }
    for &level in levels() {
        let scene = Scene::new();
        let shim = scene.start(&scene.spec(level, &["/usr/bin/python3", "-c", HEADLESS, &scene.mark]));
        let size = || fs::metadata(scene.work("beat")).map_or(0, |metadata| metadata.len());
        let grows = |before: u64| eventually("the thread writes", || (size() > before).then_some(()));
        grows(10);
        assert_eq!(shim.say("freeze"), "ok 1 processes stand still\n", "{level:?}");
        let before = size();
        pass("0.5");
        assert_eq!(size(), before, "{level:?}");
        assert_eq!(shim.say("thaw"), "ok going on\n");
        grows(before);
        assert_eq!(shim.say("stop cancelled"), "ok ending\n");
        assert_eq!(shim.outcome().stopped, Some(StopCause::Cancelled), "{level:?}");
    }
}

#[test]
fn a_frozen_program_can_be_stopped() {
    for &level in levels() {
        let scene = Scene::new();
        let shim = scene.start(&scene.script(level, BEATING));
        until_it_beats(&scene);
        freeze(&shim, level);
        assert_eq!(shim.say("stop lease_lost"), "ok ending\n");
        assert_eq!(shim.outcome().stopped, Some(StopCause::LeaseLost), "{level:?}");
    }
}
