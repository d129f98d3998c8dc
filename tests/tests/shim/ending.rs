//! How a run is ended: by whom it is asked, what does not listen, and what is left.

use std::fs::File;

use agentd_schemas::launch::{Ending, LOCK_FILE, LaunchSpec, Level, OUTCOME_FILE, StopCause};
use agentd_tests::harness::eventually;
use rustix::fs::FlockOperation;
use rustix::process::Signal;

use super::proc::marked;
use super::scene::{Scene, Shim, levels, strict};

/// Two processes that do not listen to TERM. One has left its parent, its session and its group.
const STUBBORN: &str = "trap '' TERM; \
    (setsid sh -c 'trap \"\" TERM; : > away; while :; do sleep 0.1; done' \"$0\" & ); \
    while [ ! -e away ]; do sleep 0.02; done; : > up; while :; do sleep 0.1; done";

fn stubborn(scene: &Scene, level: Level) -> LaunchSpec {
    scene.script(level, STUBBORN)
}

/// Ends a stubborn run in one way and looks at what is left.
fn ends(level: Level, change: impl FnOnce(&mut LaunchSpec), how: impl FnOnce(&Shim<'_>), cause: StopCause) {
    let scene = Scene::new();
    let mut spec = stubborn(&scene, level);
    change(&mut spec);
    let shim = scene.start(&spec);
    shim.until_work_has("up");
    assert!(marked(&scene).len() >= 2, "{:?}", marked(&scene));
    how(&shim);
    let outcome = shim.outcome();
    assert_eq!(outcome.stopped, Some(cause), "{level:?}: {outcome:?}");
    assert_eq!(outcome.ending, Ending::Signalled(9), "{level:?}: {outcome:?}");
    assert!(outcome.usage.wall_ms >= spec.limits.grace_ms, "{outcome:?}");
    assert_eq!(marked(&scene), [0; 0], "{level:?}: nothing of the program is left when the outcome is told");
}

#[test]
fn who_does_not_listen_to_a_stop_is_killed_with_all_that_left_it() {
    for &level in levels() {
        let stop = |shim: &Shim<'_>| {
            assert_eq!(shim.say("stop cancelled"), "ok ending\n");
            // The first cause is the one that counts.
            assert_eq!(shim.say("stop lease_lost"), "ok ending\n");
            assert_eq!(shim.say("freeze"), "error the run is ending\n");
        };
        ends(level, |spec| spec.limits.grace_ms = 2000, stop, StopCause::Cancelled);
    }
}

#[test]
fn a_run_whose_time_is_over_is_ended() {
    for &level in levels() {
        ends(level, |spec| spec.limits.wall_ms = 3000, |_| {}, StopCause::Timeout);
    }
}

#[test]
fn a_shim_that_is_asked_to_end_takes_its_run_with_it() {
    for &level in levels() {
        ends(level, |_| {}, |shim| shim.signal(Signal::TERM), StopCause::Shutdown);
    }
}

#[test]
fn who_listens_to_a_stop_may_end_by_itself_within_the_grace() {
    for &level in levels() {
        let scene = Scene::new();
        let mut spec = scene.script(level, "trap 'echo bye; exit 3' TERM; : > up; while :; do sleep 0.05; done");
        spec.limits.grace_ms = 60_000;
        let shim = scene.start(&spec);
        shim.until_work_has("up");
        assert_eq!(shim.say("stop shutdown"), "ok ending\n");
        let outcome = shim.outcome();
        assert_eq!((outcome.ending, outcome.stopped), (Ending::Exited(3), Some(StopCause::Shutdown)));
        assert_eq!(scene.file("stdout"), b"bye\n");
    }
}

#[test]
fn whoever_the_program_leaves_behind_ends_with_it() {
    for &level in levels() {
        let scene = Scene::new();
        let script = "(setsid sh -c ': > away; while :; do sleep 0.1; done' \"$0\" & ); \
            while [ ! -e away ]; do sleep 0.02; done; exit 5";
        let outcome = scene.run(&scene.script(level, script));
        assert_eq!((outcome.ending, outcome.stopped), (Ending::Exited(5), None), "{level:?}");
        assert_eq!(marked(&scene), [0; 0], "{level:?}");
    }
}

#[test]
fn a_killed_shim_takes_the_whole_sandbox_with_it_and_leaves_a_record_without_outcome() {
    if !strict() {
        return;
    }
    killed(Level::Strict, STUBBORN);
}

/// Without a process namespace this holds for the program itself; who left it is found by nobody but a living shim.
#[test]
fn a_killed_shim_takes_the_program_with_it_at_level_landlock() {
    if levels().contains(&Level::Landlock) {
        killed(Level::Landlock, "trap '' TERM; : > up; while :; do sleep 0.1; done");
    }
}

fn killed(level: Level, script: &str) {
    let scene = Scene::new();
    let mut shim = scene.start(&scene.script(level, script));
    shim.until_work_has("up");
    assert!(!marked(&scene).is_empty());
    shim.signal(Signal::KILL);
    shim.wait();
    eventually("nothing of the program is alive", || marked(&scene).is_empty().then_some(()));
    assert!(!scene.has(OUTCOME_FILE));
    let lock = File::open(scene.record().join(LOCK_FILE)).unwrap();
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
}

#[test]
fn a_program_that_finds_the_control_socket_of_a_run_is_not_obeyed() {
    let level = Level::Landlock;
    if !levels().contains(&level) {
        return;
    }
    let scene = Scene::new();
    // The second one has another process connect, which ends.
    let tries = "import os, socket, sys\n\
        def say(s):\n    try: s.sendall(b'stop cancelled\\n')\n    except BrokenPipeError: pass\n    print(s.recv(400))\n\
        def connected():\n    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); return s\n\
        say(connected())\n\
        ours, theirs = socket.socketpair(socket.AF_UNIX)\n\
        if os.fork() == 0:\n    s = connected(); socket.send_fds(theirs, [b'x'], [s.fileno()]); os._exit(0)\n\
        os.wait()\n\
        say(socket.socket(fileno=socket.recv_fds(ours, 1, 1)[1][0]))";
    let socket = scene.record().join(agentd_schemas::launch::CONTROL_SOCKET);
    let spec = scene.spec(level, &["python3", "-c", tries, socket.to_str().unwrap()]);
    let outcome = scene.run(&spec);
    let told = String::from_utf8([scene.file("stdout"), scene.file("stderr")].concat()).unwrap();
    assert_eq!((outcome.stopped, told.matches("a run may control no run").count()), (None, 2), "{outcome:?} {told}");
}
