//! The duration of `@every`, as systemd writes durations: `15min`, `1h 30min`, `90s`, `2d`.

use super::error::EveryFault;

/// Shortest interval, in seconds: the unit of schedules is the minute.
const MIN_SECONDS: u64 = 60;
/// Longest interval, in seconds: 366 days.
const MAX_SECONDS: u64 = 366 * 86_400;

/// Reads a duration as seconds. Parts add up in any order; a day is 24 hours.
pub(super) fn parse(text: &str) -> Result<u32, EveryFault> {
    let mut rest = text.trim_ascii();
    if rest.is_empty() {
        return Err(EveryFault::Missing);
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (seconds, after) = part(rest)?;
        total = total.checked_add(seconds).ok_or(EveryFault::OutOfRange)?;
        rest = after.trim_ascii_start();
    }
    if !(MIN_SECONDS..=MAX_SECONDS).contains(&total) {
        return Err(EveryFault::OutOfRange);
    }
    u32::try_from(total).map_err(|_| EveryFault::OutOfRange)
}

/// Reads one number with its unit; answers its seconds and what follows.
fn part(text: &str) -> Result<(u64, &str), EveryFault> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    if number.is_empty() {
        return Err(EveryFault::NoNumber { part: text.to_owned() });
    }
    let letters = rest.find(|c: char| c.is_ascii_digit() || c.is_ascii_whitespace()).unwrap_or(rest.len());
    let (unit, after) = rest.split_at(letters);
    let scale: u64 = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => {
            return Err(EveryFault::Unit { unit: unit.to_owned() });
        }
    };
    let number: u64 = number.parse().map_err(|_| EveryFault::OutOfRange)?;
    let seconds = number.checked_mul(scale).ok_or(EveryFault::OutOfRange)?;
    Ok((seconds, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_add_up_their_parts() {
        for (text, seconds) in [
            ("1min", 60),
            ("90s", 90),
            (" 15min ", 900),
            ("1h30min", 5_400),
            ("1h 30min", 5_400),
            ("30min 1h", 5_400),
            ("2d", 172_800),
            ("366d", 31_622_400),
        ] {
            assert_eq!(parse(text), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn wrong_durations_say_what_is_wrong() {
        let unit = |unit: &str| EveryFault::Unit { unit: unit.to_owned() };
        let no_number = |part: &str| EveryFault::NoNumber { part: part.to_owned() };
        for (text, fault) in [
            ("", EveryFault::Missing),
            ("  ", EveryFault::Missing),
            ("15", unit("")),
            ("15m", unit("m")),
            ("15 min", unit("")),
            ("1h,30min", unit("h,")),
            ("h", no_number("h")),
            ("-5min", no_number("-5min")),
            ("59s", EveryFault::OutOfRange),
            ("0h", EveryFault::OutOfRange),
            ("367d", EveryFault::OutOfRange),
            ("99999999999999999999d", EveryFault::OutOfRange),
            ("18446744073709551615d", EveryFault::OutOfRange),
            ("18446744073709551615s 1s", EveryFault::OutOfRange),
        ] {
            assert_eq!(parse(text), Err(fault), "{text}");
        }
    }
}
