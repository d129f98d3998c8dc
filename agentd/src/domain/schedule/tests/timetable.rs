//! Where ticks begin and end, and that they are the same in both directions.

use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;

use super::super::{Expression, Timetable};
use super::{at, oracle::expressions, timetable, zone};

#[test]
fn ticks_end_with_the_calendar_and_start_with_it() {
    let leap = timetable("0 0 29 2 *", "Europe/Berlin");
    assert_eq!(leap.next_after(at("2096-03-01T00:00:00Z")), None, "2100 is no leap year");
    let minutes = timetable("* * * * *", "UTC");
    assert_eq!(minutes.next_after(at("2100-12-31T23:59:00Z")), None);
    assert_eq!(minutes.next_after(Timestamp::MAX), None);
    assert_eq!(minutes.last_between(Timestamp::MIN, Timestamp::MAX), Some(at("2100-12-31T23:59:00Z")));
    for zone_name in ["Pacific/Kiritimati", "America/New_York"] {
        let years = timetable("0 0 31 12 *", zone_name);
        let last = years.last_between(Timestamp::MIN, at("2150-03-01T00:00:00Z"));
        assert_eq!(last.map(|tick| tick.to_zoned(zone(zone_name)).year()), Some(2100));
    }
    let early = Timetable::new(minutes.expression().clone(), zone("America/New_York"), Timestamp::MIN);
    let first = at("1970-01-01T05:00:00Z");
    assert_eq!(early.next_after(Timestamp::MIN), Some(first), "midnight on the wall");
    assert_eq!(early.last_between(Timestamp::MIN, first), Some(first));
    assert_eq!(early.last_between(Timestamp::MIN, first - 1.second()), None);
    assert_eq!(early.last_between(Timestamp::MIN, Timestamp::MIN), None);
}

#[test]
fn an_interval_counts_elapsed_time_from_the_start() {
    let start = at("2026-03-29T00:30:00.25Z");
    let every = Timetable::new(Expression::parse("@every 90min").expect("good"), zone("Europe/Berlin"), start);
    let second = at("2026-03-29T03:30:00.25Z");
    assert_eq!(every.next_after(start), Some(at("2026-03-29T02:00:00.25Z")), "the start is no tick");
    assert_eq!(every.next_after(at("2026-01-01T00:00:00Z")), every.next_after(start));
    assert_eq!(every.next_after(at("2026-03-29T02:00:00.25Z")), Some(second));
    assert_eq!(every.last_between(start, second), Some(second));
    assert_eq!(every.last_between(second, second), None);
    assert_eq!(every.last_between(start, start + 90.minutes() - 1.nanosecond()), None);
    assert_eq!(every.next_after(Timestamp::MAX), None);
}

#[test]
fn no_tick_lies_at_or_before_the_start() {
    let start = at("2026-11-01T09:00:00Z");
    let daily = Timetable::new(Expression::parse("0 9 * * *").expect("good"), zone("UTC"), start);
    assert_eq!(daily.next_after(Timestamp::MIN), Some(at("2026-11-02T09:00:00Z")));
    assert_eq!(daily.last_between(Timestamp::MIN, at("2026-11-02T08:00:00Z")), None);
}

#[test]
fn looking_back_finds_the_same_ticks_around_a_change() {
    let (far, fixed) = (Timestamp::UNIX_EPOCH, timetable("30 2 * * *", "Europe/Berlin"));
    let second_pass = at("2026-10-25T02:45:00+01:00");
    let first = at("2026-10-25T02:30:00+02:00");
    assert_eq!(fixed.last_between(far, second_pass), Some(first));
    let after_gap = at("2026-03-29T03:00:00+02:00");
    assert_eq!(fixed.last_between(far, after_gap + 1.minute()), Some(after_gap));
    let interval = timetable("*/30 * * * *", "Europe/Berlin");
    assert_eq!(interval.last_between(far, second_pass), Some(at("2026-10-25T02:30:00+01:00")));
}

#[test]
fn fractions_of_a_second_lie_between_ticks() {
    let minutes = timetable("* * * * *", "UTC");
    let tick = at("2026-11-01T00:01:00Z");
    assert_eq!(minutes.next_after(tick - 1.nanosecond()), Some(tick));
    assert_eq!(minutes.next_after(tick + 1.nanosecond()), Some(tick + 1.minute()));
    assert_eq!(minutes.last_between(Timestamp::MIN, tick + 1.nanosecond()), Some(tick));
    assert_eq!(minutes.last_between(Timestamp::MIN, tick - 1.nanosecond()), Some(tick - 1.minute()));
}

proptest! {
    #[test]
    fn ticks_are_strictly_increasing_and_the_same_backwards(
        expression in expressions(),
        zone_name in prop::sample::select(&ZONES[..]),
        start in 0_i64..4_100_000_000,
    ) {
        let Ok(parsed) = Expression::parse(&expression) else { return Ok(()) };
        let start = Timestamp::from_second(start).expect("in range");
        let timetable = Timetable::new(parsed, zone(zone_name), start);
        let ticks = timetable.ticks(start, Timestamp::MAX, 30);
        let mut before = start;
        for tick in ticks {
            prop_assert!(tick > before, "{expression} {zone_name} {before} {tick}");
            prop_assert_eq!(timetable.next_after(tick - 1.nanosecond()), Some(tick));
            prop_assert_eq!(timetable.last_between(before, tick), Some(tick));
            prop_assert_eq!(timetable.last_between(before, tick - 1.nanosecond()), None);
            prop_assert_eq!(timetable.last_between(Timestamp::MIN, tick - 1.nanosecond()), Some(before).filter(|t| *t > start));
            before = tick;
        }
    }
}

/// Zones with odd habits: half hours, midnight changes, a change of day, none, several changes a year.
const ZONES: [&str; 9] = [
    "Europe/Berlin",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/New_York",
    "America/Santiago",
    "Asia/Kathmandu",
    "UTC",
];
