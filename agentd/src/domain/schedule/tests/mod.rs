//! Tests of the whole room.

mod catch_up;
mod oracle;
mod parse;
mod timetable;
mod zones;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Expression, Timetable};

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect(name)
}

fn at(text: &str) -> Timestamp {
    text.parse().expect(text)
}

/// A timetable that starts long before what the tests look at.
fn timetable(expression: &str, zone_name: &str) -> Timetable {
    let expression = Expression::parse(expression).expect(expression);
    Timetable::new(expression, zone(zone_name), Timestamp::UNIX_EPOCH)
}

/// Instants as the wall in their zone shows them.
fn shown(ticks: &[Timestamp], timetable: &Timetable) -> Vec<String> {
    let zone = timetable.zone();
    ticks.iter().map(|tick| tick.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M%:z").to_string()).collect()
}
