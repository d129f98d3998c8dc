use agentd_schemas::id::Fence;

use super::*;

fn run(attempt: u32) -> RunRef {
    let work = "w-7kq3x2mbnd5fa6uz".parse().unwrap();
    RunRef { work, attempt, fence: Fence { incarnation: 1, n: 40 + u64::from(attempt) } }
}

/// A run that was claimed at 1,000, with a lease of 60 s.
fn live(run: RunRef) -> LiveRun {
    LiveRun {
        run,
        agent: "worker".parse().unwrap(),
        lease_ms: 60_000,
        lease_until: 61_000,
        timeout_ms: None,
        since: 1_000,
        paused_ms: 0,
        paused_since: None,
        waiting: None,
        frozen: false,
        progress: None,
        heartbeat_at: None,
        ending: false,
        off_the_clock: false,
        terms: None,
    }
}

fn terms(timeout_ms: Option<u64>) -> Terms {
    Terms { work_key: 1, owner: 1000, epoch: 1, timeout_ms, acceptance: Vec::new() }
}

fn beat(runs: &LiveRuns, run: &RunRef, now: u64) -> bool {
    runs.heartbeat(run, now, WallMs::saturating(0), None, false).is_some()
}

#[test]
fn a_timeout_counts_in_milliseconds() {
    for (timeout_ms, early, late) in [(500, 1_499, 1_500), (1_500, 2_499, 2_500)] {
        let runs = LiveRuns::default();
        runs.insert(live(run(1)));
        runs.agree(&run(1), terms(Some(timeout_ms)));
        assert_eq!(runs.ran_out(early, 9), (Vec::new(), Some(late)));
        assert_eq!(runs.ran_out(late, 9).0, [RanOut::Timeout(run(1))]);
    }
}

#[test]
fn terms_of_an_earlier_run_are_not_those_of_the_next() {
    let runs = LiveRuns::default();
    runs.insert(live(run(2)));
    runs.agree(&run(1), terms(Some(1)));
    assert!(runs.terms(&run(2)).is_none());
    assert_eq!(runs.get(run(2).work).unwrap().timeout_ms, None);
}

#[test]
fn a_lease_that_ran_out_is_not_renewed_while_its_end_is_written() {
    let runs = LiveRuns::default();
    runs.insert(live(run(1)));
    assert!(beat(&runs, &run(1), 30_000), "the lease lives until 90,000");
    assert_eq!(runs.ran_out(89_999, 9), (Vec::new(), Some(90_000)));
    assert_eq!(runs.ran_out(90_000, 9).0, [RanOut::Lease(run(1))]);
    assert!(!beat(&runs, &run(1), 90_001), "what is told to go on would fail a moment later");
    runs.spare(&run(1));
    assert!(beat(&runs, &run(1), 90_002), "its end could not be written");
    assert_eq!(runs.ran_out(90_003, 9).0, []);
}

#[test]
fn leases_beyond_the_limit_are_looked_at_again() {
    let runs = LiveRuns::default();
    runs.insert(live(run(1)));
    assert_eq!(runs.ran_out(61_000, 1).0, [RanOut::Lease(run(1))]);
    assert_eq!(runs.ran_out(61_000, 1).0, [RanOut::Lease(run(1))]);
}

#[test]
fn sleep_is_forgiven_to_what_ran_alone() {
    let runs = LiveRuns::default();
    runs.insert(live(run(1)));
    runs.forgive(4_000);
    assert_eq!(runs.get(run(1).work).unwrap().ran_ms(10_000), 5_000);
    runs.freeze(10_000, |_| true);
    runs.forgive(3_000);
    assert_eq!(runs.get(run(1).work).unwrap().ran_ms(20_000), 5_000);
}
