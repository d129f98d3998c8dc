//! Times: wall-clock milliseconds, written as RFC 3339 in UTC, shown to people in their zone.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::duration::{Span, SpanError};
use super::shown;
use super::timestamp::{WRITTEN_BYTES, read, write};

/// The key under which the `toml` crate hands a native date-time to serde, as a map of this one key. It is part of
/// that crate's contract with `toml_datetime`; the strict JSON reader refuses the key.
pub(crate) const TOML_DATETIME_KEY: &str = "$__toml_private_datetime";

/// A point in time: milliseconds of the wall clock since 1970-01-01T00:00:00Z, from that instant to
/// 9999-12-30T22:00:00.999Z, the last one that can be shown with every offset.
///
/// Serde: RFC 3339 text in UTC with milliseconds, `"2026-11-22T08:00:00.000Z"`; reading accepts any offset, and TOML's
/// native offset date-times. Digits below the millisecond are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallMs(i64);

/// The written form of a [`WallMs`], without allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rfc3339([u8; WRITTEN_BYTES]);

/// Why a time was refused. Each variant carries the text as an error shows it: quoted, escaped, cut.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TimeError {
    /// No RFC 3339 timestamp.
    #[error("{0} is not a time; write it as \"2026-11-22T08:00:00Z\"")]
    Form(String),
    /// A timestamp without offset, which means another instant on each host.
    #[error("{0} has no offset from UTC; append \"Z\" or one such as \"+01:00\"")]
    NoOffset(String),
    /// Second 60, which the wall clock has no number for.
    #[error("{0} is a leap second; write second 59")]
    LeapSecond(String),
    /// A date or clock time that does not exist.
    #[error("{0} does not exist in the calendar; correct the date or the clock time")]
    NoSuchDate(String),
    /// Outside the years 1970 to 9999.
    #[error("{0} is out of range; write a time from 1970 to 9999")]
    OutOfRange(String),
    /// Neither a time nor a duration nor a day.
    #[error(
        "{0} is not a point in time; write \"7d\", \"today\", \"yesterday\", \"2026-11-22\" or \"2026-11-22T08:00:00Z\""
    )]
    Relative(String),
    /// Begins like a duration and is none.
    #[error(transparent)]
    Span(#[from] SpanError),
}

impl WallMs {
    /// 1970-01-01T00:00:00.000Z.
    pub const EPOCH: Self = Self(0);
    /// 9999-12-30T22:00:00.999Z.
    pub const MAX: Self = Self(253_402_207_200_999);

    /// The time `ms` milliseconds after the epoch, refused before it and after [`WallMs::MAX`].
    pub fn new(ms: i64) -> Result<Self, TimeError> {
        if (0..=Self::MAX.0).contains(&ms) {
            Ok(Self(ms))
        } else {
            Err(TimeError::OutOfRange(format!("millisecond {ms}")))
        }
    }

    /// The nearest time to `ms` within bounds, for clocks that may be wrong and must not stop anything.
    pub const fn saturating(ms: i64) -> Self {
        if ms < 0 {
            Self::EPOCH
        } else if ms > Self::MAX.0 {
            Self::MAX
        } else {
            Self(ms)
        }
    }

    /// Milliseconds since the epoch.
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// This long later, or [`WallMs::MAX`].
    #[must_use]
    pub fn saturating_add(self, span: Span) -> Self {
        Self::saturating(self.0.saturating_add_unsigned(span.as_ms()))
    }

    /// This long earlier, or [`WallMs::EPOCH`].
    #[must_use]
    pub fn saturating_sub(self, span: Span) -> Self {
        Self::saturating(self.0.saturating_sub_unsigned(span.as_ms()))
    }

    /// The written form, `2026-11-22T08:00:00.000Z`.
    pub fn rfc3339(self) -> Rfc3339 {
        Rfc3339(write(Offset::UTC.to_datetime(self.timestamp())))
    }

    /// For people: `2026-11-22 09:00:00 CET` in `zone`.
    pub fn local(self, zone: &TimeZone) -> String {
        let there = self.timestamp().to_zoned(zone.clone());
        there.strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
    }

    /// The same instant in jiff's type.
    pub fn timestamp(self) -> Timestamp {
        let (second, ms) = (self.0 / 1000, self.0 % 1000);
        let nanosecond = i32::try_from(ms * 1_000_000).unwrap_or_default();
        // The bounds of the type are within jiff's, to the last millisecond.
        Timestamp::new(second, nanosecond).unwrap_or(Timestamp::MAX)
    }
}

impl TryFrom<Timestamp> for WallMs {
    type Error = TimeError;

    fn try_from(instant: Timestamp) -> Result<Self, TimeError> {
        Self::new(instant.as_millisecond())
    }
}

impl Rfc3339 {
    /// The 24 characters.
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever written.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for WallMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rfc3339().as_str())
    }
}

impl FromStr for WallMs {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        read(text)
    }
}

impl Serialize for WallMs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.rfc3339().as_str())
    }
}

impl<'de> Deserialize<'de> for WallMs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimeVisitor)
    }
}

struct TimeVisitor;

impl<'de> Visitor<'de> for TimeVisitor {
    type Value = WallMs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time as \"2026-11-22T08:00:00Z\"")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<WallMs, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WallMs, A::Error> {
        match map.next_entry::<String, String>()? {
            Some((key, text)) if key == TOML_DATETIME_KEY => text.parse().map_err(A::Error::custom),
            _ => Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self)),
        }
    }
}

/// Reads the point in time that a flag such as `--since` or `--until` names, looking back from `now`: a duration ago
/// (`7d`, `2h 30min ago`), `now`, the beginning of `today`, `yesterday` or a date in `zone`, or an RFC 3339 time.
pub fn parse_since(text: &str, now: WallMs, zone: &TimeZone) -> Result<WallMs, TimeError> {
    let today = now.timestamp().to_zoned(zone.clone()).date();
    match text {
        "now" => return Ok(now),
        "today" => return start_of(today, zone, text),
        "yesterday" => {
            let yesterday = today.yesterday();
            let yesterday = yesterday.map_err(|_| TimeError::OutOfRange(shown(text)))?;
            return start_of(yesterday, zone, text);
        }
        _ => {}
    }
    if is_date_like(text) {
        if text.len() > 10 {
            return read(text);
        }
        let date = text.parse::<Date>();
        return start_of(date.map_err(|_| TimeError::NoSuchDate(shown(text)))?, zone, text);
    }
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(TimeError::Relative(shown(text)));
    }
    let span: Span = text.strip_suffix(" ago").unwrap_or(text).parse()?;
    Ok(now.saturating_sub(span))
}

fn start_of(date: Date, zone: &TimeZone, text: &str) -> Result<WallMs, TimeError> {
    let midnight = date.to_zoned(zone.clone()).and_then(|there| there.start_of_day());
    let midnight = midnight.map_err(|_| TimeError::OutOfRange(shown(text)))?;
    WallMs::try_from(midnight.timestamp()).map_err(|_| TimeError::OutOfRange(shown(text)))
}

/// Begins with `2026-11-22`.
fn is_date_like(text: &str) -> bool {
    let shape = b"dddd-dd-dd";
    let bytes = text.as_bytes();
    bytes.len() >= shape.len()
        && shape.iter().zip(bytes).all(|(want, b)| match want {
            b'd' => b.is_ascii_digit(),
            literal => b == literal,
        })
}

#[cfg(test)]
mod tests {
    use super::{TimeError, WallMs, parse_since};
    use jiff::tz::TimeZone;
    use proptest::prelude::*;
    use serde::Deserialize;

    /// 2026-11-22T08:00:00Z.
    const NOW: WallMs = WallMs(1_795_334_400_000);

    /// CET and CEST by rule, so that no zone database is read.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    #[test]
    fn timestamps_are_read_with_any_offset_and_written_in_one_form() {
        for (text, written) in [
            ("2026-11-22T08:00:00Z", "2026-11-22T08:00:00.000Z"),
            ("2026-11-22t08:00:00z", "2026-11-22T08:00:00.000Z"),
            ("2026-11-22T09:00:00+01:00", "2026-11-22T08:00:00.000Z"),
            ("2026-11-21T18:30:00.5-13:30", "2026-11-22T08:00:00.500Z"),
            ("2026-11-22T08:00:00.123999999Z", "2026-11-22T08:00:00.123Z"),
            ("2026-11-22T08:00:00-00:00", "2026-11-22T08:00:00.000Z"),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
            ("2000-02-29T23:59:59.999Z", "2000-02-29T23:59:59.999Z"),
            ("9999-12-30T22:00:00.999Z", "9999-12-30T22:00:00.999Z"),
        ] {
            assert_eq!(text.parse::<WallMs>().unwrap().to_string(), written, "{text}");
        }
        assert_eq!(NOW.to_string(), "2026-11-22T08:00:00.000Z");
        assert_eq!("9999-12-30T22:00:00.999Z".parse(), Ok(WallMs::MAX));
    }

    #[test]
    fn a_refused_time_says_why() {
        let form: fn(String) -> TimeError = TimeError::Form;
        for (text, error) in [
            ("2026-11-22T08:00:00", TimeError::NoOffset as fn(String) -> TimeError),
            ("2026-11-22T08:00:00.5", TimeError::NoOffset),
            ("2026-12-31T23:59:60Z", TimeError::LeapSecond),
            ("2026-02-29T00:00:00Z", TimeError::NoSuchDate),
            ("2026-13-01T00:00:00Z", TimeError::NoSuchDate),
            ("2026-11-22T24:00:00Z", TimeError::NoSuchDate),
            ("1969-12-31T23:59:59.999Z", TimeError::OutOfRange),
            ("1970-01-01T00:00:00+00:01", TimeError::OutOfRange),
            ("9999-12-31T00:00:00Z", TimeError::OutOfRange),
            ("2026-11-22 08:00:00Z", form),
            ("2026-11-22T08:00Z", form),
            ("20261122T080000Z", form),
            ("2026-11-22T08:00:00.Z", form),
            ("2026-11-22T08:00:00.1234567890Z", form),
            ("2026-11-22T08:00:00+24:00", form),
            ("2026-11-22T08:00:00+0100", form),
            ("2026-11-22T08:00:00Z[Europe/Berlin]", form),
            ("2026-11-22T08:00:00Z ", form),
            ("+2026-11-22T08:00:00Z", form),
            ("२०२६-11-22T08:00:00Z", form),
            ("", form),
        ] {
            assert_eq!(text.parse::<WallMs>(), Err(error(format!("{text:?}"))), "{text}");
        }
    }

    #[test]
    fn people_see_their_zone() {
        assert_eq!(NOW.local(&berlin()), "2026-11-22 09:00:00 CET");
        assert_eq!(NOW.local(&TimeZone::UTC), "2026-11-22 08:00:00 UTC");
    }

    #[test]
    fn flags_look_back_from_now() {
        for (text, expected) in [
            ("now", "2026-11-22T08:00:00.000Z"),
            ("7d", "2026-11-15T08:00:00.000Z"),
            ("2h 30min ago", "2026-11-22T05:30:00.000Z"),
            ("today", "2026-11-21T23:00:00.000Z"),
            ("yesterday", "2026-11-20T23:00:00.000Z"),
            ("2026-07-01", "2026-06-30T22:00:00.000Z"),
            ("2026-07-01T00:00:00Z", "2026-07-01T00:00:00.000Z"),
        ] {
            let found = parse_since(text, NOW, &berlin()).unwrap();
            assert_eq!(found.to_string(), expected, "{text}");
        }
        for (text, message) in [
            ("7", "\"7\" names no unit; write \"7s\", \"7min\" or \"7h\""),
            ("2026-02-30", "\"2026-02-30\" does not exist in the calendar; correct the date or the clock time"),
            (
                "2026-07-01T00:00:00",
                "\"2026-07-01T00:00:00\" has no offset from UTC; append \"Z\" or one such as \"+01:00\"",
            ),
            (
                "soon",
                "\"soon\" is not a point in time; write \"7d\", \"today\", \"yesterday\", \"2026-11-22\" or \"2026-11-22T08:00:00Z\"",
            ),
        ] {
            let error = parse_since(text, NOW, &berlin()).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn a_look_back_ends_at_the_epoch() {
        let early = WallMs::new(5).unwrap();
        assert_eq!(parse_since("10y", early, &TimeZone::UTC), Ok(WallMs::EPOCH));
        assert!(parse_since("yesterday", early, &TimeZone::UTC).is_err());
    }

    #[test]
    fn serde_has_text_and_takes_native_toml_times() {
        #[derive(Debug, Deserialize)]
        struct Document {
            not_before: WallMs,
        }
        assert_eq!(serde_json::to_string(&NOW).unwrap(), "\"2026-11-22T08:00:00.000Z\"");
        for text in ["not_before = 2026-11-22T09:00:00+01:00", "not_before = \"2026-11-22T09:00:00+01:00\""] {
            assert_eq!(toml::from_str::<Document>(text).unwrap().not_before, NOW, "{text}");
        }
        let error = toml::from_str::<Document>("not_before = 2026-11-22T09:00:00").unwrap_err();
        assert!(error.message().contains("has no offset"), "{error}");
        assert!(toml::from_str::<Document>("not_before = 2026-11-22").is_err());
        assert!(serde_json::from_str::<WallMs>("1795334400000").is_err());
        assert!(serde_json::from_str::<WallMs>("{}").is_err());
    }

    #[test]
    fn clocks_out_of_bounds_are_clamped_only_when_asked() {
        assert!(WallMs::new(-1).is_err());
        assert!(WallMs::new(i64::MAX).is_err());
        assert_eq!(WallMs::saturating(i64::MIN), WallMs::EPOCH);
        assert_eq!(WallMs::saturating(i64::MAX), WallMs::MAX);
        assert_eq!(WallMs::MAX.timestamp().as_millisecond(), WallMs::MAX.as_ms());
        assert_eq!(jiff::Timestamp::MAX.as_millisecond(), WallMs::MAX.as_ms());
        assert_eq!(WallMs::EPOCH.timestamp(), jiff::Timestamp::UNIX_EPOCH);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_and_agrees_with_jiff(ms in 0..=WallMs::MAX.as_ms()) {
            let time = WallMs::new(ms).unwrap();
            let written = time.rfc3339();
            prop_assert_eq!(written.as_str().parse::<WallMs>(), Ok(time));
            let theirs: jiff::Timestamp = written.as_str().parse().unwrap();
            prop_assert_eq!(theirs.as_millisecond(), ms);
        }

        #[test]
        fn any_text_is_answered(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[.0-9Z+:-]{0,12}|\\PC{0,40}") {
            let _ = parse_since(&text, NOW, &TimeZone::UTC);
            if let Ok(time) = text.parse::<WallMs>() {
                prop_assert!(time <= WallMs::MAX);
            }
        }
    }
}
