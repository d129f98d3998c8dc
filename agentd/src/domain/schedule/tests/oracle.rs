//! The same ticks found in two other ways: by the `croner` crate, and by trying every minute on the wall.

use std::collections::BTreeSet;
use std::str::FromStr;

use croner::Cron;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;

use super::{at, timetable, zone};

/// Text of one field between two bounds.
fn field(min: u8, max: u8) -> impl Strategy<Value = String> {
    let value = min..=max;
    prop_oneof![
        3 => Just("*".to_owned()),
        1 => (1..=max).prop_map(|step| format!("*/{step}")),
        2 => value.clone().prop_map(|number| number.to_string()),
        2 => prop::collection::vec(value.clone(), 2..4)
            .prop_map(|list| list.iter().map(u8::to_string).collect::<Vec<_>>().join(",")),
        1 => (value.clone(), value.clone()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (value.clone(), value, 1..=max).prop_map(|(a, b, step)| format!("{}-{}/{step}", a.min(b), a.max(b))),
    ]
}

/// Expressions of five fields; some never fire. Night hours are frequent, because clocks change at night.
pub(super) fn expressions() -> impl Strategy<Value = String> {
    let hour = prop_oneof![field(0, 23), field(0, 3)];
    (field(0, 59), hour, field(1, 31), field(1, 12), field(0, 7))
        .prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"))
}

/// Expressions that croner reads as we do. It takes a day field for unrestricted when it is `*` alone, and we, as Vixie's
/// cron, when it starts with `*`.
fn shared_expressions() -> impl Strategy<Value = String> {
    expressions().prop_filter("day fields are * or have none", |text| {
        text.split(' ')
            .enumerate()
            .all(|(index, field)| ![2, 4].contains(&index) || field == "*" || !field.contains('*'))
    })
}

/// Minute and hour are one number each: what croner calls a fixed time.
fn fixed_for_croner(expression: &str) -> bool {
    expression.split(' ').take(2).all(|field| field.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Minute or hour have a `*` or a step: what we call an interval.
fn interval(expression: &str) -> bool {
    expression.split(' ').take(2).any(|field| field.contains(['*', '/']))
}

/// A range with the step 1 (`2-2/1`) has a step for us and none for croner, so it is an interval here and a fixed time there.
fn steps_by_one(expression: &str) -> bool {
    expression.split(' ').take(2).any(|field| field.ends_with("/1") && !field.starts_with('*'))
}

/// Croner and we agree whether it is a fixed time or an interval.
fn same_kind_for_croner(expression: &str) -> bool {
    !steps_by_one(expression) && (fixed_for_croner(expression) || interval(expression))
}

fn croner_ticks(cron: &Cron, zone: &TimeZone, after: Timestamp, until: Timestamp, max: usize) -> Vec<Timestamp> {
    std::iter::successors(Some(after), |tick| {
        cron.find_next_occurrence(&tick.to_zoned(zone.clone()), false).ok().map(|next| next.timestamp())
    })
    .skip(1)
    .take_while(|tick| *tick <= until)
    .take(max)
    .collect()
}

/// Every wall minute of a span is looked at, in both passes of an overlap, and resolved by the rules as the documentation
/// has them.
fn brute_ticks(expression: &str, zone: &TimeZone, from: DateTime, hours: i64) -> BTreeSet<Timestamp> {
    let cron = Cron::from_str(expression).expect(expression);
    let mut ticks = BTreeSet::new();
    for minute in 0..hours * 60 {
        let wall = from + minute.minutes();
        if !cron.is_time_matching(&wall.to_zoned(TimeZone::UTC).expect("in range")).expect("no error") {
            continue;
        }
        let instant = |offset: jiff::tz::Offset| offset.to_timestamp(wall).expect("in range");
        match zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } => {
                ticks.insert(instant(offset));
            }
            AmbiguousOffset::Gap { after, .. } => {
                ticks.extend(zone.following(instant(after)).next().map(|change| change.timestamp()));
            }
            AmbiguousOffset::Fold { before, after } => {
                ticks.insert(instant(before));
                ticks.extend(interval(expression).then(|| instant(after)));
            }
        }
    }
    ticks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn croner_finds_the_same_ticks_where_no_clock_changes(
        expression in shared_expressions(),
        start in 1_700_000_000_i64..1_900_000_000,
    ) {
        let Ok(cron) = Cron::from_str(&expression) else { panic!("croner refuses {expression}") };
        let Ok(parsed) = super::Expression::parse(&expression) else { return Ok(()) };
        let after = Timestamp::from_second(start).expect("in range");
        let until = after + (24 * 1_500).hours();
        for zone_name in ["UTC", "Asia/Kolkata"] {
            let timetable = super::Timetable::new(parsed.clone(), zone(zone_name), Timestamp::UNIX_EPOCH);
            let expected = croner_ticks(&cron, timetable.zone(), after, until, 40);
            prop_assert_eq!(timetable.ticks(after, until, 40), expected, "{} {}", expression, zone_name);
        }
    }

    /// Two things are ours and not croner's, and left out: times given by lists or ranges are fixed times and not intervals,
    /// and intervals too run at the end of a gap.
    #[test]
    fn croner_finds_the_same_ticks_in_berlin_over_two_years(
        expression in shared_expressions()
            .prop_filter("fixed or interval alike", |text| same_kind_for_croner(text)),
        start in prop_oneof![
            1_735_689_600_i64..1_798_761_600,
            prop::sample::select(vec![1_743_206_400, 1_761_350_400, 1_774_656_000, 1_792_800_000]),
        ],
    ) {
        let Ok(parsed) = super::Expression::parse(&expression) else { return Ok(()) };
        let cron = Cron::from_str(&expression).expect("croner takes it too");
        let after = Timestamp::from_second(start).expect("in range");
        let until = after + (24 * 730).hours();
        let timetable = super::Timetable::new(parsed, zone("Europe/Berlin"), Timestamp::UNIX_EPOCH);
        let mut ticks = timetable.ticks(after, until, 300);
        let until = if ticks.len() == 300 { ticks[299] } else { until };
        if interval(&expression) {
            ticks.retain(|tick| cron.is_time_matching(&tick.to_zoned(timetable.zone().clone())).expect("no error"));
        }
        prop_assert_eq!(ticks, croner_ticks(&cron, timetable.zone(), after, until, 300), "{} {}", expression, after);
    }

    #[test]
    fn trying_every_minute_around_a_change_finds_the_same_ticks(
        expression in shared_expressions(),
        (zone_name, from) in prop::sample::select(vec![
            ("Europe/Berlin", "2026-03-28T12:00:00"),
            ("Europe/Berlin", "2026-10-24T12:00:00"),
            ("Africa/Cairo", "2026-04-23T12:00:00"),
            ("Africa/Cairo", "2026-10-29T12:00:00"),
            ("Australia/Lord_Howe", "2026-04-04T12:00:00"),
            ("Australia/Lord_Howe", "2026-10-03T12:00:00"),
            ("America/Santiago", "2026-09-05T12:00:00"),
            ("America/Santiago", "2026-04-04T12:00:00"),
            ("Pacific/Apia", "2011-12-29T00:00:00"),
            ("Africa/Monrovia", "1972-01-06T12:00:00"),
        ]),
    ) {
        let Ok(parsed) = super::Expression::parse(&expression) else { return Ok(()) };
        let from: DateTime = from.parse().expect("a wall time");
        let timetable = super::Timetable::new(parsed, zone(zone_name), Timestamp::UNIX_EPOCH);
        let hours = 60;
        let edge = |wall: DateTime| wall.to_zoned(timetable.zone().clone()).expect("in range").timestamp();
        let (after, until) = (edge(from), edge(from + hours.hours()) - 1.second());
        let mut expected = brute_ticks(&expression, timetable.zone(), from, hours);
        expected.remove(&after);
        prop_assert_eq!(
            timetable.ticks(after, until, 10_000),
            expected.into_iter().collect::<Vec<_>>(),
            "{} {}", expression, zone_name
        );
    }
}

#[test]
fn every_other_minute_of_a_day_is_a_tick() {
    let ticks = timetable("*/2 * * * *", "UTC").ticks(at("2026-01-01T00:00:00Z"), at("2026-01-02T00:00:00Z"), 10_000);
    assert_eq!(ticks.len(), 720);
}
