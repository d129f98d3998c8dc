//! Timetables: an expression, the zone it is read in, and the instant it counts from.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::expression::{Expression, Rule};
use super::stretch;

const NANOS: i128 = 1_000_000_000;

/// The ticks of one schedule: strictly increasing instants after its start, the calendar's from 1970 to 2100.
///
/// A wall time that the zone jumps over ticks at the first instant after the jump, and several such in one jump tick once.
/// A wall time that the zone repeats ticks the first time only, unless minute or hour have a `*` or a step: an interval
/// goes on through both. `@every` counts elapsed time from the start, whatever the zone does.
#[derive(Debug, Clone)]
pub struct Timetable {
    expression: Expression,
    zone: TimeZone,
    start: Timestamp,
}

impl Timetable {
    /// A timetable whose ticks lie after `start`.
    pub fn new(expression: Expression, zone: TimeZone, start: Timestamp) -> Self {
        Self { expression, zone, start }
    }

    /// What is due when.
    pub fn expression(&self) -> &Expression {
        &self.expression
    }

    /// The zone whose clocks are read.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The instant before the first tick can be.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// The first tick after an instant; none once the calendar has ended.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let after = after.max(self.start);
        match &self.expression.rule {
            Rule::Every(seconds) => self.every(*seconds, self.every_count(*seconds, after) + 1),
            Rule::Calendar(calendar) => {
                let from = if after < Timestamp::UNIX_EPOCH { 0 } else { after.as_second() + 1 };
                stretch::next_tick(calendar, &self.zone, from).and_then(|tick| Timestamp::from_second(tick).ok())
            }
        }
    }

    /// The last tick at or before `at` and after `after`.
    pub fn last_between(&self, after: Timestamp, at: Timestamp) -> Option<Timestamp> {
        let floor = after.max(self.start);
        if at <= floor {
            return None;
        }
        let tick = match &self.expression.rule {
            Rule::Every(seconds) => self.every(*seconds, self.every_count(*seconds, at)),
            Rule::Calendar(_) if at < Timestamp::UNIX_EPOCH => None,
            Rule::Calendar(calendar) => {
                let floor = if floor < Timestamp::UNIX_EPOCH { -1 } else { floor.as_second() };
                stretch::previous_tick(calendar, &self.zone, at.as_second(), floor)
                    .and_then(|tick| Timestamp::from_second(tick).ok())
            }
        };
        tick.filter(|tick| *tick > floor)
    }

    /// The ticks after `after` up to and with `until`, in order, at most `max` of them.
    pub fn ticks(&self, after: Timestamp, until: Timestamp, max: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next_after(after), |tick| self.next_after(*tick))
            .take_while(|tick| *tick <= until)
            .take(max)
            .collect()
    }

    /// How many intervals have passed at an instant not before the start.
    fn every_count(&self, seconds: u32, at: Timestamp) -> i128 {
        (at.as_nanosecond() - self.start.as_nanosecond()) / (i128::from(seconds) * NANOS)
    }

    /// The end of the interval with this number.
    fn every(&self, seconds: u32, count: i128) -> Option<Timestamp> {
        Timestamp::from_nanosecond(self.start.as_nanosecond() + count * i128::from(seconds) * NANOS).ok()
    }
}
