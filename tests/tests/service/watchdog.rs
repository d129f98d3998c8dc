//! The watchdog: beats that come from the engine's own progress, and stop with it.

use std::process::Stdio;

use agentd_tests::harness::eventually;

use crate::manager::Managed;

/// A daemon that is asked to beat ten times a second, with a failpoint.
fn watched(failpoint: Option<&str>) -> Managed {
    let mut managed = Managed::prepared("").env("WATCHDOG_USEC", "300000");
    if let Some(failpoint) = failpoint {
        managed = managed.env("AGENTD_FAILPOINT", failpoint);
    }
    managed.daemon.spawn();
    managed
}

/// How many beats were told since the last look.
fn beats(managed: &Managed) -> usize {
    std::iter::from_fn(|| managed.told()).filter(|told| told == "WATCHDOG=1").count()
}

/// Waits until `still` beats no more while a healthy daemon beats ten times.
fn stands_still(still: &mut Managed, what: &str) {
    let mut healthy = watched(None);
    healthy.is_told("WATCHDOG=1");
    let mut seen = 0;
    eventually(what, || {
        assert!(still.daemon.exited().is_none(), "{what}: it stands still and does not end");
        seen += beats(&healthy);
        if beats(still) > 0 {
            seen = 0;
        }
        (seen >= 10).then_some(())
    });
}

#[test]
fn a_daemon_with_nothing_to_do_beats_and_one_without_a_watchdog_does_not() {
    let mut managed = watched(None);
    for _ in 0..5 {
        managed.is_told("WATCHDOG=1");
    }
    assert!(managed.daemon.stop().success());
    let mut unwatched = Managed::started("");
    let mut healthy = watched(None);
    for _ in 0..5 {
        healthy.is_told("WATCHDOG=1");
    }
    assert_eq!(beats(&unwatched), 0);
    assert!(unwatched.daemon.stop().success());
}

#[test]
fn a_writer_that_stands_still_ends_the_beats() {
    // The first commit is that of the start.
    let mut managed = watched(Some("commit.before:2=stall"));
    managed.is_told("WATCHDOG=1");
    let mut submit = managed.ctl_command();
    let mut submit =
        submit.args(["submit", "Never answered"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    stands_still(&mut managed, "the writer stands still");
    let _ = submit.kill();
    let _ = submit.wait();
}

#[test]
fn timers_or_a_giving_out_that_stand_still_end_the_beats() {
    for failpoint in ["timers.round:20=stall", "dispatch.round:10=stall"] {
        let mut managed = watched(Some(failpoint));
        managed.is_told("WATCHDOG=1");
        stands_still(&mut managed, failpoint);
    }
}
