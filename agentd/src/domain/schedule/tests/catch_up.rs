//! Missed ticks.

use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;

use super::super::{CatchUp, MAX_CATCH_UP, Missed, Overlap};
use super::{at, shown, timetable};

#[test]
fn policies_are_words_in_documents() {
    for (policy, word) in [(Missed::Skip, "\"skip\""), (Missed::Once, "\"once\""), (Missed::All, "\"all\"")] {
        assert_eq!(serde_json::to_string(&policy).expect("written"), word);
        assert_eq!(serde_json::from_str::<Missed>(word).expect("read"), policy);
    }
    for (policy, word) in
        [(Overlap::Skip, "\"skip\""), (Overlap::Queue, "\"queue\""), (Overlap::Replace, "\"replace\"")]
    {
        assert_eq!(serde_json::to_string(&policy).expect("written"), word);
        assert_eq!(serde_json::from_str::<Overlap>(word).expect("read"), policy);
    }
    assert_eq!((Missed::default(), Overlap::default()), (Missed::Once, Overlap::Skip));
}

#[test]
fn missed_ticks_are_skipped_run_once_or_run_up_to_the_bound() {
    let hourly = timetable("0 * * * *", "UTC");
    let last = "2026-11-01T00:00:00Z";
    for (missed, now, due, passed, skipped, next) in [
        // Nothing was due, whatever the policy.
        (Missed::Skip, "2026-11-01T00:59:59Z", &[][..], None, 0, "01:00"),
        (Missed::Once, "2026-11-01T00:59:59Z", &[], None, 0, "01:00"),
        (Missed::All, "2026-11-01T00:59:59Z", &[], None, 0, "01:00"),
        // One tick, seen on time.
        (Missed::Skip, "2026-11-01T01:00:00Z", &["01:00"], None, 0, "02:00"),
        (Missed::Skip, "2026-11-01T01:00:59.9Z", &["01:00"], None, 0, "02:00"),
        (Missed::Once, "2026-11-01T01:00:00.01Z", &["01:00"], None, 0, "02:00"),
        (Missed::All, "2026-11-01T01:00:00.01Z", &["01:00"], None, 0, "02:00"),
        // One tick, seen late.
        (Missed::Skip, "2026-11-01T01:01:00Z", &[], Some("01:00"), 0, "02:00"),
        (Missed::Once, "2026-11-01T01:59:00Z", &["01:00"], None, 0, "02:00"),
        // Four ticks, the last of them on time.
        (Missed::Skip, "2026-11-01T04:00:05Z", &["04:00"], None, 3, "05:00"),
        (Missed::Once, "2026-11-01T04:00:05Z", &["04:00"], None, 3, "05:00"),
        (Missed::All, "2026-11-01T04:00:05Z", &["02:00", "03:00", "04:00"], None, 1, "05:00"),
        // Four ticks, all of them late.
        (Missed::Skip, "2026-11-01T04:30:00Z", &[], Some("04:00"), 3, "05:00"),
        (Missed::All, "2026-11-01T03:59:59Z", &["01:00", "02:00", "03:00"], None, 0, "04:00"),
    ] {
        let CatchUp { due: found, passed: was_passed, skipped: were_skipped, next: following } =
            hourly.catch_up(missed, 3, at(last), at(now));
        let day = |times: &[&str]| times.iter().map(|time| format!("2026-11-01 {time}+00:00")).collect::<Vec<_>>();
        assert_eq!(shown(&found, &hourly), day(due), "{missed:?} {now}");
        assert_eq!(shown(was_passed.as_slice(), &hourly), day(passed.as_slice()), "{missed:?} {now}");
        assert_eq!(were_skipped, skipped, "{missed:?} {now}");
        assert_eq!(shown(following.as_slice(), &hourly), day(&[next]), "{missed:?} {now}");
    }
}

#[test]
fn a_clock_set_back_makes_no_tick_due_twice() {
    let hourly = timetable("0 * * * *", "UTC");
    let last = at("2026-11-01T05:00:00Z");
    let found = hourly.catch_up(Missed::All, 100, last, at("2026-11-01T02:30:00Z"));
    assert_eq!(found, CatchUp { due: vec![], passed: None, skipped: 0, next: Some(at("2026-11-01T06:00:00Z")) });
}

#[test]
fn a_century_of_minutes_is_caught_up_within_the_bound() {
    let minutes = timetable("* * * * *", "Europe/Berlin");
    let now = at("2070-01-01T00:00:00Z");
    let found = minutes.catch_up(Missed::All, usize::MAX, Timestamp::MIN, now);
    assert_eq!(found.due.len(), MAX_CATCH_UP);
    assert_eq!(found.due.last(), Some(&now));
    assert_eq!(found.skipped, 1_000, "more than are counted");
    assert_eq!(minutes.catch_up(Missed::All, 0, Timestamp::MIN, now).due, [now], "a bound of none is one");
}

proptest! {
    #[test]
    fn looking_often_runs_every_tick_once_and_looking_late_runs_the_newest(
        expression in super::oracle::expressions(),
        looks in prop::collection::vec(1_i64..100_000, 1..20),
        bound in 1_usize..20,
    ) {
        let Ok(parsed) = super::Expression::parse(&expression) else { return Ok(()) };
        let start = at("2026-10-24T00:00:00Z");
        let timetable = super::Timetable::new(parsed, super::zone("Europe/Berlin"), start);
        let (mut now, mut last, mut run) = (start, start, Vec::new());
        for seconds in looks {
            now += seconds.seconds();
            let all = timetable.ticks(last, now, 10_000);
            let found = timetable.catch_up(Missed::All, bound, last, now);
            let kept = all.len().saturating_sub(bound);
            prop_assert_eq!(&found.due, &all[kept..]);
            prop_assert_eq!(found.skipped, kept.min(MAX_CATCH_UP) as u64);
            prop_assert_eq!(found.next, timetable.next_after(now));
            run.extend(found.due);
            last = now;
        }
        prop_assert!(run.is_sorted_by(|a, b| a < b));
        prop_assert_eq!(timetable.catch_up(Missed::Once, bound, last, now).due, vec![]);
    }
}
