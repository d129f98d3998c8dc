//! Ticks of a calendar in a zone, one stretch of constant offset after the other.
//!
//! Within a stretch, wall time is instant plus offset, so that walking the stretches in order keeps ticks in order. What
//! is special happens where a stretch begins. Did the clock jump forward, the wall times jumped over are one tick there.
//! Did it fall back, the wall times seen before are ticks again only for intervals.
//!
//! All times are in whole seconds since 1970-01-01T00:00:00Z; ticks and offsets have no fractions.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::calendar::{self, Calendar};

/// Most stretches looked through for one tick. The busiest zone changes four times a year, which the calendar's 131 years
/// hold 524 times.
const MAX_STRETCHES: usize = 1_024;

/// No tick lies after this instant: zones differ from UTC by less than two days.
const LAST_TICK: i64 = calendar::LAST + 2 * 86_400;

/// A span of constant offset around an instant.
struct Stretch {
    /// First instant.
    begin: i64,
    /// First instant of the next stretch.
    end: i64,
    /// Wall time minus instant.
    offset: i64,
    /// The wall time at which the stretch before ended; `i64::MIN` for the zone's first stretch.
    left_off: i64,
}

impl Stretch {
    /// The stretch of a zone that holds an instant; none outside the years that instants can have.
    fn at(zone: &TimeZone, instant: i64) -> Option<Self> {
        let at = Timestamp::from_second(instant).ok()?;
        let just_after = Timestamp::from_second(instant.checked_add(1)?).ok()?;
        let end = zone.following(at).next().map_or(i64::MAX, |change| change.timestamp().as_second());
        let offset = offset(zone, at);
        let Some(change) = zone.preceding(just_after).next() else {
            return Some(Self { begin: i64::MIN, end, offset, left_off: i64::MIN });
        };
        let begin = change.timestamp().as_second();
        let before = Timestamp::from_second(begin.checked_sub(1)?).ok()?;
        Some(Self { begin, end, offset, left_off: begin + self::offset(zone, before) })
    }

    /// The wall time at the first instant.
    fn wall_begin(&self) -> i64 {
        self.begin.saturating_add(self.offset)
    }

    /// Whether the clock jumped over a match when the stretch began.
    fn jumped_over_match(&self, calendar: &Calendar) -> bool {
        let gap = self.left_off > i64::MIN && self.left_off < self.wall_begin();
        gap && calendar.next(self.left_off).is_some_and(|wall| wall < self.wall_begin())
    }

    /// The first wall time that counts: fixed times that were seen in the stretch before are not seen again.
    fn first_wall(&self, calendar: &Calendar) -> i64 {
        if calendar.repeats { self.wall_begin() } else { self.wall_begin().max(self.left_off) }
    }
}

fn offset(zone: &TimeZone, at: Timestamp) -> i64 {
    i64::from(zone.to_offset(at).seconds())
}

/// The first tick at or after an instant.
pub(super) fn next_tick(calendar: &Calendar, zone: &TimeZone, mut from: i64) -> Option<i64> {
    for _ in 0..MAX_STRETCHES {
        let stretch = Stretch::at(zone, from)?;
        if from == stretch.begin && stretch.jumped_over_match(calendar) {
            return Some(from);
        }
        let wall = from.saturating_add(stretch.offset).max(stretch.first_wall(calendar));
        let tick = calendar.next(wall)? - stretch.offset;
        if tick < stretch.end {
            return Some(tick);
        }
        from = stretch.end;
    }
    None
}

/// The last tick at or before `to` and after `floor`.
pub(super) fn previous_tick(calendar: &Calendar, zone: &TimeZone, mut to: i64, floor: i64) -> Option<i64> {
    to = to.min(LAST_TICK);
    for _ in 0..MAX_STRETCHES {
        if to <= floor {
            return None;
        }
        let stretch = Stretch::at(zone, to)?;
        let wall = calendar.previous(to.saturating_add(stretch.offset));
        if let Some(wall) = wall.filter(|wall| *wall >= stretch.first_wall(calendar)) {
            return Some(wall - stretch.offset).filter(|tick| *tick > floor);
        }
        if stretch.jumped_over_match(calendar) {
            return Some(stretch.begin).filter(|tick| *tick > floor);
        }
        to = stretch.begin.checked_sub(1)?;
    }
    None
}
