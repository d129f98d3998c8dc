//! Wall clock times that match the fields, by the `cron` crate. Nothing here knows of zones.
//!
//! A wall time is counted in seconds since 1970-01-01 00:00 *on the wall*, as if every day had 24 hours. The `cron` crate
//! is asked in UTC only, where that holds. It knows the years 1970 to 2100.

use std::str::FromStr;

use chrono::{DateTime, Utc};

use super::fields::FieldSet;

/// 2000-01-01 00:00 as a wall time. From there to 2100 every day of every month falls on every weekday, 29 February too,
/// so that what does not match in this span matches never.
const CENTURY: i64 = 946_684_800;

/// 2100-12-31 23:59:59 as a wall time: the last second that can match.
pub(super) const LAST: i64 = 4_133_980_799;

/// The five fields, ready to be enumerated.
#[derive(Debug, Clone)]
pub(super) struct Calendar {
    days: cron::Schedule,
    /// Where both day fields are restricted, a day matches when either does: `days` then holds the days of the month, and
    /// this the weekdays.
    or_days: Option<cron::Schedule>,
    /// Minute or hour are an interval: hours that a zone repeats are run through twice.
    pub(super) repeats: bool,
}

impl Calendar {
    /// Joins the fields, given in their written order. The error is the `cron` crate's.
    pub(super) fn new([minute, hour, month_day, month, weekday]: [FieldSet; 5]) -> Result<Self, cron::error::Error> {
        let build = |month_day: &str, weekday: &str| {
            let (minute, hour, month) = (minute.words(), hour.words(), month.words());
            cron::Schedule::from_str(&format!("0 {minute} {hour} {month_day} {month} {weekday} *"))
        };
        let repeats = minute.interval || hour.interval;
        let (month_days, weekdays) = (month_day.words(), weekday.words());
        if month_day.starred || weekday.starred {
            return Ok(Self { days: build(&month_days, &weekdays)?, or_days: None, repeats });
        }
        Ok(Self { days: build(&month_days, "*")?, or_days: Some(build("*", &weekdays)?), repeats })
    }

    /// Whether any day has these fields at all.
    pub(super) fn fires(&self) -> bool {
        self.next(CENTURY).is_some()
    }

    /// The first match at or after a wall time; none after 2100.
    pub(super) fn next(&self, from: i64) -> Option<i64> {
        let before = utc(from.max(0).checked_sub(1)?)?;
        self.schedules().filter_map(|schedule| schedule.after(&before).next()).map(|match_| match_.timestamp()).min()
    }

    /// The last match at or before a wall time; none before 1970.
    pub(super) fn previous(&self, to: i64) -> Option<i64> {
        if to < 0 {
            return None;
        }
        // From a year that it does not know, the crate would look at the wrong months.
        let after = utc(to.min(LAST) + 1)?;
        self.schedules()
            .filter_map(|schedule| schedule.after(&after).next_back())
            .map(|match_| match_.timestamp())
            .max()
    }

    fn schedules(&self) -> impl Iterator<Item = &cron::Schedule> {
        std::iter::once(&self.days).chain(self.or_days.as_ref())
    }
}

fn utc(wall: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(wall, 0)
}
