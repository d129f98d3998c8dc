//! Durations as systemd writes them: `1h 30min`, `500ms`, `3d` ([systemd.time(7)]).
//!
//! The syntax is systemd's without what is easily misread: a bare number (seconds there), a bare `M` (months there),
//! microseconds and `infinity` are refused.
//!
//! [systemd.time(7)]: https://www.freedesktop.org/software/systemd/man/latest/systemd.time.html

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{scaled, shown, split_digits};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;
/// 30.44 days, as in systemd.
const MONTH: u64 = 2_630_016 * SECOND;
/// 365.25 days, as in systemd.
const YEAR: u64 = 31_557_600 * SECOND;

/// Milliseconds of each unit, and its names; `m` is minutes.
const UNITS: [(u64, &[&str]); 8] = [
    (1, &["ms", "msec"]),
    (SECOND, &["s", "sec", "second", "seconds"]),
    (MINUTE, &["min", "m", "minute", "minutes"]),
    (HOUR, &["h", "hr", "hour", "hours"]),
    (DAY, &["d", "day", "days"]),
    (WEEK, &["w", "week", "weeks"]),
    (MONTH, &["month", "months"]),
    (YEAR, &["y", "year", "years"]),
];

/// Units that [`Span`] prints, largest first. Months and years are averages and are not printed.
const PRINTED: [(u64, &str); 5] = [(DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"), (1, "ms")];

/// Decimals of one number, as in `1.5h`.
const DECIMALS: usize = 6;

/// A duration in whole milliseconds, at most ten years. Serde: text, as `"1h 30min"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(u64);

/// Why a duration was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpanError {
    /// A number without unit.
    #[error("{} names no unit; write \"{number}s\", \"{number}min\" or \"{number}h\"", shown(text))]
    NoUnit {
        /// The duration as written.
        text: String,
        /// The number that lacks its unit.
        number: String,
    },
    /// `M`, which is months to systemd and minutes to many people.
    #[error("\"M\" in {} is ambiguous; write \"min\" or \"month\"", shown(text))]
    Ambiguous {
        /// The duration as written.
        text: String,
    },
    /// A unit that is none.
    #[error("{} in {} is no unit; write ms, s, min, h, d or w", shown(unit), shown(text))]
    UnknownUnit {
        /// The duration as written.
        text: String,
        /// The unit as written.
        unit: String,
    },
    /// Below a millisecond.
    #[error("{} is finer than a millisecond; round it", shown(text))]
    TooFine {
        /// The duration as written.
        text: String,
    },
    /// Above the bound.
    #[error("{} is longer than 10 years; write less", shown(text))]
    TooLong {
        /// The duration as written.
        text: String,
    },
    /// Nothing of the above.
    #[error("{} is not a duration; write it as \"1h 30min\"", shown(text))]
    Form {
        /// The duration as written.
        text: String,
    },
}

impl Span {
    /// No time.
    pub const ZERO: Self = Self(0);
    /// Ten years of 365.25 days.
    pub const MAX: Self = Self(10 * YEAR);

    /// A duration of `ms` milliseconds, refused above [`Span::MAX`].
    pub fn from_ms(ms: u64) -> Result<Self, SpanError> {
        if ms <= Self::MAX.0 {
            return Ok(Self(ms));
        }
        let text = format!("{ms}ms");
        Err(SpanError::TooLong { text })
    }

    /// The milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// The sum, unless it exceeds [`Span::MAX`].
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::from_ms(self.0.checked_add(other.0)?).ok()
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        Self::from_millis(span.0)
    }
}

/// `1h 30min`, `1w`, `190d`, `0s`: whole weeks as weeks, else days and smaller units; systemd reads it back as the same
/// duration.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        if self.0.is_multiple_of(WEEK) {
            return write!(f, "{}w", self.0 / WEEK);
        }
        let mut rest = self.0;
        let mut gap = "";
        for (unit, name) in PRINTED {
            if rest >= unit {
                write!(f, "{gap}{}{name}", rest / unit)?;
                rest %= unit;
                gap = " ";
            }
        }
        Ok(())
    }
}

/// Milliseconds as people write them, for messages: `3h`, `1min 30s`.
pub fn in_words(ms: u64) -> String {
    Span::from_ms(ms).map_or_else(|_| format!("{ms} ms"), |span| span.to_string())
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let mut rest = text;
        let mut sum: u64 = 0;
        loop {
            let (ms, after) = term(text, rest)?;
            let longer = sum.checked_add(ms).filter(|sum| *sum <= Self::MAX.0);
            sum = longer.ok_or_else(|| SpanError::TooLong { text: text.to_owned() })?;
            if after.is_empty() {
                return Ok(Self(sum));
            }
            rest = after.trim_start_matches(' ');
        }
    }
}

/// The milliseconds of the first number and unit of `rest`, and what follows; `text` is the whole, for errors.
fn term<'a>(text: &str, rest: &'a str) -> Result<(u64, &'a str), SpanError> {
    let text = || text.to_owned();
    let (whole, after) = split_digits(rest);
    let (fraction, after) = match after.strip_prefix('.') {
        Some(after) => split_digits(after),
        None => ("0", after),
    };
    if whole.is_empty() || fraction.is_empty() {
        return Err(SpanError::Form { text: text() });
    }
    let number = &rest[..rest.len() - after.len()];
    let after = after.trim_start_matches(' ');
    let end = after.find(|c: char| c == ' ' || c.is_ascii_digit()).unwrap_or(after.len());
    let (unit, after) = after.split_at(end);
    if unit.is_empty() {
        let number = super::shown(number).trim_matches('"').to_owned();
        return Err(SpanError::NoUnit { text: text(), number });
    }
    let factor = factor(unit).ok_or_else(|| match unit {
        "M" => SpanError::Ambiguous { text: text() },
        "us" | "usec" | "µs" | "μs" | "ns" | "nsec" => SpanError::TooFine { text: text() },
        _ => SpanError::UnknownUnit { text: text(), unit: unit.to_owned() },
    })?;
    if fraction.len() > DECIMALS {
        return Err(SpanError::TooFine { text: text() });
    }
    let parts = scaled(whole, fraction, DECIMALS).ok_or_else(|| SpanError::TooLong { text: text() })?;
    let exact = u128::from(parts) * u128::from(factor);
    if !exact.is_multiple_of(1_000_000) {
        return Err(SpanError::TooFine { text: text() });
    }
    let ms = u64::try_from(exact / 1_000_000).map_err(|_| SpanError::TooLong { text: text() })?;
    Ok((ms, after))
}

fn factor(unit: &str) -> Option<u64> {
    let named = UNITS.iter().find(|(_, names)| names.contains(&unit));
    named.map(|(factor, _)| *factor)
}

impl TryFrom<String> for Span {
    type Error = SpanError;

    fn try_from(text: String) -> Result<Self, SpanError> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY, HOUR, MINUTE, MONTH, SECOND, Span, WEEK, YEAR};
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_systemd_reads_them() {
        for (text, ms, written) in [
            ("1h", HOUR, "1h"),
            ("10min", 10 * MINUTE, "10min"),
            ("10m", 10 * MINUTE, "10min"),
            ("2h 30min", 150 * MINUTE, "2h 30min"),
            ("2h30min", 150 * MINUTE, "2h 30min"),
            ("2 hours 30 minutes", 150 * MINUTE, "2h 30min"),
            ("1.5h", 90 * MINUTE, "1h 30min"),
            ("0.001s", 1, "1ms"),
            ("500ms", 500, "500ms"),
            ("45s", 45 * SECOND, "45s"),
            ("90s", 90 * SECOND, "1min 30s"),
            ("3d", 3 * DAY, "3d"),
            ("1w", WEEK, "1w"),
            ("7d", WEEK, "1w"),
            ("190d", 190 * DAY, "190d"),
            ("1month", MONTH, "30d 10h 33min 36s"),
            ("10y", 10 * YEAR, "3652d 12h"),
            ("0s", 0, "0s"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.as_ms(), ms, "{text}");
            assert_eq!(span.to_string(), written, "{text}");
        }
    }

    #[test]
    fn a_refused_duration_names_the_way_out() {
        let form = "is not a duration; write it as \"1h 30min\"";
        let units = "is no unit; write ms, s, min, h, d or w";
        for (text, message) in [
            ("90", "\"90\" names no unit; write \"90s\", \"90min\" or \"90h\"".to_owned()),
            ("1h 5", "\"1h 5\" names no unit; write \"5s\", \"5min\" or \"5h\"".to_owned()),
            ("3M", "\"M\" in \"3M\" is ambiguous; write \"min\" or \"month\"".to_owned()),
            ("3H", format!("\"H\" in \"3H\" {units}")),
            ("3 fortnights", format!("\"fortnights\" in \"3 fortnights\" {units}")),
            ("1h,5min", format!("\"h,\" in \"1h,5min\" {units}")),
            ("5us", "\"5us\" is finer than a millisecond; round it".to_owned()),
            ("0.5ms", "\"0.5ms\" is finer than a millisecond; round it".to_owned()),
            ("11y", "\"11y\" is longer than 10 years; write less".to_owned()),
            ("10y 1ms", "\"10y 1ms\" is longer than 10 years; write less".to_owned()),
            ("99999999999999999999w", "\"99999999999999999999w\" is longer than 10 years; write less".to_owned()),
            ("", format!("\"\" {form}")),
            ("h", format!("\"h\" {form}")),
            ("-1h", format!("\"-1h\" {form}")),
            (" 1h", format!("\" 1h\" {form}")),
            ("1h ", format!("\"1h \" {form}")),
            ("1.h", format!("\"1.h\" {form}")),
            ("infinity", format!("\"infinity\" {form}")),
        ] {
            assert_eq!(text.parse::<Span>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn serde_has_text_and_refuses_numbers() {
        let span: Span = serde_json::from_str("\"90min\"").unwrap();
        assert_eq!(serde_json::to_string(&span).unwrap(), "\"1h 30min\"");
        assert!(serde_json::from_str::<Span>("90").is_err());
    }

    #[test]
    fn sums_keep_the_bound() {
        let minute = Span::from_ms(MINUTE).unwrap();
        assert_eq!(minute.checked_add(minute), Span::from_ms(2 * MINUTE).ok());
        assert_eq!(Span::MAX.checked_add(minute), None);
        assert!(Span::from_ms(u64::MAX).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ms in 0..=Span::MAX.as_ms()) {
            let span = Span::from_ms(ms).unwrap();
            prop_assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }

        #[test]
        fn any_text_is_answered(text in "([0-9.]{1,25} ?[a-zµ]{0,7} ?){0,4}|\\PC{0,30}") {
            if let Ok(span) = text.parse::<Span>() {
                prop_assert!(span <= Span::MAX);
            }
        }
    }
}
