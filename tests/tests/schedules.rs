//! Schedules where zones change their clocks and calendars are uneven, end to end: agentctl adds a line to a daemon whose
//! wall clock stands before it, and shows the ticks that the daemon answers with.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

use agentd_tests::harness::{Daemon, Scratch, Settings, faketime, skip};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Zone, line, and the ticks that follow, as the wall in the zone shows them.
type Case = (&'static str, &'static str, &'static [&'static str]);

const BERLIN: &str = "Europe/Berlin";

/// Adds each line at this wall time, in UTC, and compares its next ticks.
fn ticks_after(wall: &str, cases: &[Case]) {
    if faketime().is_none() {
        return skip("a false clock needs the package faketime");
    }
    let scratch = Scratch::new();
    let clock = scratch.join("clock");
    std::fs::write(&clock, format!("@{wall}")).unwrap();
    let daemon = Daemon::with(Settings::default().false_clock(&clock));
    for (nth, (zone, line, expected)) in cases.iter().enumerate() {
        let name = format!("s{nth}");
        daemon.told(&["schedule", "add", &name, line, "Look", "--time-zone", zone]);
        let shown = daemon.told(&["schedule", "next", &name, "-n", &expected.len().to_string(), "--json"]);
        let ticks: Vec<Timestamp> = serde_json::from_str(&shown).unwrap();
        let zone = TimeZone::get(zone).unwrap();
        let shown: Vec<String> =
            ticks.iter().map(|tick| tick.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M%:z").to_string()).collect();
        assert_eq!(shown, *expected, "{line:?} after {wall} UTC");
    }
}

#[test]
fn a_tick_in_a_spring_gap_comes_at_the_first_instant_after_it_and_no_day_is_skipped() {
    ticks_after(
        "2026-03-28 12:00:00",
        &[
            (BERLIN, "30 2 * * *", &["Sun 2026-03-29 03:00+02:00", "Mon 2026-03-30 02:30+02:00"]),
            (BERLIN, "0,30 2 * * *", &["Sun 2026-03-29 03:00+02:00", "Mon 2026-03-30 02:00+02:00"]),
            (BERLIN, "0 2,3 * * *", &["Sun 2026-03-29 03:00+02:00", "Mon 2026-03-30 02:00+02:00"]),
        ],
    );
    ticks_after(
        "2026-04-23 12:00:00",
        &[("Africa/Cairo", "0 0 * * *", &["Fri 2026-04-24 01:00+03:00", "Sat 2026-04-25 00:00+03:00"])],
    );
    ticks_after(
        "2026-10-03 00:00:00",
        &[("Australia/Lord_Howe", "15 2 * * *", &["Sun 2026-10-04 02:30+11:00", "Mon 2026-10-05 02:15+11:00"])],
    );
}

#[test]
fn an_autumn_overlap_runs_a_fixed_time_once_and_an_interval_through_both_passes_in_order() {
    ticks_after(
        "2026-10-24 23:01:00",
        &[
            (BERLIN, "30 2 * * *", &["Sun 2026-10-25 02:30+02:00", "Mon 2026-10-26 02:30+01:00"]),
            (
                BERLIN,
                "*/30 * * * *",
                &[
                    "Sun 2026-10-25 01:30+02:00",
                    "Sun 2026-10-25 02:00+02:00",
                    "Sun 2026-10-25 02:30+02:00",
                    "Sun 2026-10-25 02:00+01:00",
                    "Sun 2026-10-25 02:30+01:00",
                    "Sun 2026-10-25 03:00+01:00",
                ],
            ),
            (
                BERLIN,
                "@hourly",
                &["Sun 2026-10-25 02:00+02:00", "Sun 2026-10-25 02:00+01:00", "Sun 2026-10-25 03:00+01:00"],
            ),
        ],
    );
    ticks_after(
        "2026-10-29 12:00:00",
        &[("Africa/Cairo", "30 23 * * *", &["Thu 2026-10-29 23:30+03:00", "Fri 2026-10-30 23:30+02:00"])],
    );
}

#[test]
fn days_of_the_week_and_of_the_month_are_those_of_crontab() {
    ticks_after(
        "2026-11-06 10:00:00",
        &[
            (BERLIN, "0 9 * * 1-5", &["Mon 2026-11-09 09:00+01:00", "Tue 2026-11-10 09:00+01:00"]),
            (BERLIN, "0 9 * * MON-FRI", &["Mon 2026-11-09 09:00+01:00", "Tue 2026-11-10 09:00+01:00"]),
            (BERLIN, "0 9 * * 0", &["Sun 2026-11-08 09:00+01:00", "Sun 2026-11-15 09:00+01:00"]),
            (BERLIN, "0 9 * * 7", &["Sun 2026-11-08 09:00+01:00", "Sun 2026-11-15 09:00+01:00"]),
            (
                BERLIN,
                "0 0 10 * 5",
                &["Tue 2026-11-10 00:00+01:00", "Fri 2026-11-13 00:00+01:00", "Fri 2026-11-20 00:00+01:00"],
            ),
            (BERLIN, "0 0 29 2 *", &["Tue 2028-02-29 00:00+01:00", "Sun 2032-02-29 00:00+01:00"]),
        ],
    );
}

#[test]
fn what_another_cron_would_take_is_refused_with_what_to_write_instead() {
    let daemon = Daemon::start();
    for (line, words) in [
        ("0 0 L * *", "last day"),
        ("0 0 15W * *", "working day"),
        ("0 0 * * 5#2", "nth weekday"),
        ("0 0 9 * * *", "seconds"),
        ("@reboot", "@every"),
        ("TZ=Europe/Berlin 0 9 * * *", "zone"),
        ("0 0 30 2 *", "never fires"),
    ] {
        let refused = daemon.agentctl(&["schedule", "add", "never", line, "Look", "--time-zone", BERLIN]);
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(2) && told.contains(words), "{line:?}: {told}");
    }
    assert_eq!(daemon.operator().count("ScheduleAdded"), 0);
}

#[test]
fn a_tick_comes_at_its_instant_and_submits_its_work_once() {
    if faketime().is_none() {
        return skip("a false clock needs the package faketime");
    }
    let scratch = Scratch::new();
    let clock = scratch.join("clock");
    // The last second before the gap: 01:59:59 in Berlin.
    std::fs::write(&clock, "@2026-03-29 00:59:58").unwrap();
    let mut daemon = Daemon::with(Settings::default().false_clock(&clock));
    daemon.told(&["schedule", "add", "gap", "30 2 * * *", "Look", "--time-zone", BERLIN]);
    let operator = daemon.operator();
    let work = agentd_tests::harness::eventually("the tick", || {
        let works = operator.ask("Works", "List", &"{}").unwrap();
        works["works"][0]["id"].as_str().map(str::to_owned)
    });
    let submitted = operator.events().into_iter().find(|event| event["type"] == "WorkSubmitted").unwrap();
    assert_eq!(
        (submitted["id"].as_str(), &submitted["data"]["from_schedule"]["tick"]),
        (Some(work.as_str()), &serde_json::json!("2026-03-29T01:00:00.000Z"))
    );
    assert_eq!(operator.count("WorkSubmitted"), 1);
    drop(operator);
    daemon.stop();
    daemon.verifies();
}
