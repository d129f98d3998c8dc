//! Points in time that flags name: ahead for `--deadline`, back for `--since`.

use agentd_schemas::unit::duration::Span;
use agentd_schemas::unit::time::{WallMs, parse_since};
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::ambient;

/// Reads a time ahead for a flag: see [`ahead_of`].
pub(crate) fn ahead(text: &str) -> Result<WallMs, String> {
    ahead_of(text, ambient::now(), &ambient::zone())
}

/// Reads a time back for a flag: a duration (`7d`), `today`, `yesterday`, a date, or an RFC 3339 time.
pub(crate) fn back(text: &str) -> Result<WallMs, String> {
    parse_since(text, ambient::now(), &ambient::zone()).map_err(|error| error.to_string())
}

/// A point in time seen from `now`: a duration from now (`2h`), a time of day (`22:00`, the next one), `tomorrow`, a
/// date, either of them with a time of day (`2026-12-01 22:00`), or an RFC 3339 time.
fn ahead_of(text: &str, now: WallMs, zone: &TimeZone) -> Result<WallMs, String> {
    if let Ok(span) = text.strip_prefix("in ").unwrap_or(text).parse::<Span>() {
        return Ok(now.saturating_add(span));
    }
    let rfc3339 = text.parse::<WallMs>();
    if let Ok(at) = rfc3339 {
        return Ok(at);
    }
    let today = now.timestamp().to_zoned(zone.clone()).date();
    let (day, clock) = text.split_once(' ').unwrap_or((text, "00:00"));
    let named = match day {
        "today" => Some(today),
        "tomorrow" => today.tomorrow().ok(),
        _ if day.len() == 10 => day.parse::<Date>().ok(),
        _ => None,
    };
    if let Some(day) = named {
        let at = instant(day, clock, zone).ok_or_else(|| form(text))?;
        return Ok(at);
    }
    let next = |day: Option<Date>| day.and_then(|day| instant(day, text, zone)).filter(|at| *at > now);
    next(Some(today)).or_else(|| next(today.tomorrow().ok())).ok_or_else(|| match rfc3339 {
        Err(error) if text.contains('T') => error.to_string(),
        _ => form(text),
    })
}

/// A day and `HH:MM` or `HH:MM:SS` in a zone.
fn instant(day: Date, clock: &str, zone: &TimeZone) -> Option<WallMs> {
    if !matches!(clock.len(), 5 | 8) || !clock.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') {
        return None;
    }
    let clock: Time = clock.parse().ok()?;
    let there = day.to_datetime(clock).to_zoned(zone.clone()).ok()?;
    WallMs::try_from(there.timestamp()).ok()
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
        ahead_of(text, now, &zone).map(|at| at.to_string())
    }

    #[test]
    fn times_ahead_are_read_in_the_zone_of_the_person() {
        for (text, at) in [
            ("2h", "2026-11-22T22:00:00.000Z"),
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
}
