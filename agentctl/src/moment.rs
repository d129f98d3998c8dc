//! Points in time that flags name: ahead for `--deadline`, back for `--since`.

use agentd_schemas::unit::duration::Span;
use agentd_schemas::unit::time::{WallMs, parse_since};
use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::ambient;

/// A point in time that a person named, and what they should know of how it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The time.
    pub(crate) at: WallMs,
    /// That the clock is changed just then, and which of the possible times is meant.
    pub(crate) note: Option<String>,
}

impl From<WallMs> for Moment {
    fn from(at: WallMs) -> Self {
        Self { at, note: None }
    }
}

/// Reads a time ahead for a flag: see [`ahead_of`].
pub(crate) fn ahead(text: &str) -> Result<Moment, String> {
    ahead_of(text, ambient::now(), &ambient::known_zone()?)
}

/// Reads a time back for a flag: a duration (`7d`), `today`, `yesterday`, a date, or an RFC 3339 time.
pub(crate) fn back(text: &str) -> Result<WallMs, String> {
    parse_since(text, ambient::now(), &ambient::known_zone()?).map_err(|error| error.to_string())
}

/// A point in time seen from `now`: `now`, a duration from now (`2h`), a time of day (`22:00`, the next one), `tomorrow`,
/// a date, either of them with a time of day (`2026-12-01 22:00`), or an RFC 3339 time.
fn ahead_of(text: &str, now: WallMs, zone: &TimeZone) -> Result<Moment, String> {
    if text == "now" {
        return Ok(now.into());
    }
    if text.starts_with('-') {
        return Err(format!("{text:?} cannot be negative; a time that is over is written as 2026-11-22 22:00"));
    }
    if let Ok(span) = text.strip_prefix("in ").unwrap_or(text).parse::<Span>() {
        return Ok(now.saturating_add(span).into());
    }
    let rfc3339 = text.parse::<WallMs>();
    if let Ok(at) = rfc3339 {
        return Ok(at.into());
    }
    let today = now.timestamp().to_zoned(zone.clone()).date();
    let (day, clock) = text.split_once(' ').unwrap_or((text, "00:00"));
    if let Some(day) = named_day(day, today)? {
        return instant(day, clock, zone)?.ok_or_else(|| form(text));
    }
    for day in [Some(today), today.tomorrow().ok()].into_iter().flatten() {
        match instant(day, text, zone)? {
            Some(moment) if moment.at > now => return Ok(moment),
            Some(_) => {}
            None => break,
        }
    }
    Err(match rfc3339 {
        Err(error) if text.contains('T') => error.to_string(),
        _ => form(text),
    })
}

/// `today`, `tomorrow`, or a date; `None` for what looks like none of them.
fn named_day(text: &str, today: Date) -> Result<Option<Date>, String> {
    let is_date = text.len() == 10 && text.split('-').map(str::len).eq([4, 2, 2]);
    Ok(match text {
        "today" => Some(today),
        "tomorrow" => today.tomorrow().ok(),
        _ if is_date => Some(text.parse().map_err(|_| format!("{text:?} is no day of the calendar"))?),
        _ => None,
    })
}

/// A day and `HH:MM` or `HH:MM:SS` in a zone; `None` for what does not look like a time of day.
fn instant(day: Date, clock: &str, zone: &TimeZone) -> Result<Option<Moment>, String> {
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    let padded = if clock.find(':') == Some(1) { format!("0{clock}") } else { clock.to_owned() };
    if !matches!(padded.len(), 5 | 8) || !padded.split(':').all(two_digits) {
        return Ok(None);
    }
    let time: Time = padded.parse().map_err(|_| format!("{clock:?} is no time of day: 00:00 to 23:59"))?;
    let far = || format!("{day} is too far ahead: times end with 9999-12-30");
    let there = day.to_datetime(time);
    let taken = zone.to_ambiguous_zoned(there);
    let offset = taken.offset();
    let at = taken.compatible().map_err(|_| far())?;
    let at = WallMs::try_from(at.timestamp()).map_err(|_| far())?;
    let (named, meant) = (there.strftime("%Y-%m-%d %H:%M"), at.local(zone));
    let note = match offset {
        AmbiguousOffset::Unambiguous { .. } => None,
        AmbiguousOffset::Gap { .. } => Some(format!("the clock is set forward over {named}: {meant} is meant")),
        AmbiguousOffset::Fold { .. } => {
            Some(format!("the clock is set back, {named} comes twice: the first is meant, {meant}"))
        }
    };
    Ok(Some(Moment { at, note }))
}

fn form(text: &str) -> String {
    format!("{text:?} is no time: write 2h, 22:00, tomorrow, 2026-12-01 22:00, or 2026-12-01T22:00:00+01:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let now: WallMs = "2026-11-22T20:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        ahead_of(text, now, &zone).map(|moment| moment.at.to_string())
    }

    #[test]
    fn times_ahead_are_read_in_the_zone_of_the_person() {
        for (text, at) in [
            ("2h", "2026-11-22T22:00:00.000Z"),
            ("now", "2026-11-22T20:00:00.000Z"),
            ("tomorrow 9:00", "2026-11-23T08:00:00.000Z"),
            ("in 30min", "2026-11-22T20:30:00.000Z"),
            ("22:00", "2026-11-22T21:00:00.000Z"),
            ("20:30", "2026-11-23T19:30:00.000Z"),
            ("tomorrow", "2026-11-22T23:00:00.000Z"),
            ("tomorrow 09:00", "2026-11-23T08:00:00.000Z"),
            ("2026-12-01", "2026-11-30T23:00:00.000Z"),
            ("2026-12-01 22:00:30", "2026-12-01T21:00:30.000Z"),
            ("2026-12-01T22:00:00+02:00", "2026-12-01T20:00:00.000Z"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(at), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_the_forms_that_are() {
        for text in ["", "soon", "25:00", "2026-13-01", "2026-12-01T22:00:00", "tomorrow at nine", "9"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read("soon").unwrap_err().contains("tomorrow"));
    }

    #[test]
    fn what_does_not_exist_is_named_as_such() {
        for (text, why) in [
            ("2026-02-30", "\"2026-02-30\" is no day of the calendar"),
            ("25:00", "\"25:00\" is no time of day: 00:00 to 23:59"),
            ("9999-12-31", "9999-12-31 is too far ahead: times end with 9999-12-30"),
        ] {
            assert_eq!(read(text).unwrap_err(), why);
        }
        assert!(read("-2h").unwrap_err().contains("cannot be negative"));
    }

    #[test]
    fn a_time_that_a_clock_change_skips_or_doubles_is_said() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let now: WallMs = "2026-11-22T20:00:00Z".parse().unwrap();
        let said = |text: &str| ahead_of(text, now, &berlin).unwrap().note;
        let gap = said("2027-03-28 02:30").unwrap();
        assert_eq!(gap, "the clock is set forward over 2027-03-28 02:30: 2027-03-28 03:30:00 CEST is meant");
        let fold = said("2027-10-31 02:30").unwrap();
        assert!(fold.ends_with("comes twice: the first is meant, 2027-10-31 02:30:00 CEST"), "{fold}");
        assert_eq!(said("2027-10-31 12:30"), None);
    }
}
