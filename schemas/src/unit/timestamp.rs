//! RFC 3339 timestamps ([section 5.6]), read strictly and written in one form.
//!
//! [section 5.6]: https://www.rfc-editor.org/rfc/rfc3339#section-5.6

use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::shown;
use super::time::{TimeError, WallMs};

/// Bytes of `2026-11-22T08:00:00.000Z`.
pub(super) const WRITTEN_BYTES: usize = 24;

/// Nanosecond digits; more are no RFC 3339 that anything writes.
const FRACTION_DIGITS: usize = 9;

/// The one written form: UTC with milliseconds.
pub(super) fn write(time: DateTime) -> [u8; WRITTEN_BYTES] {
    let mut out = *b"0000-00-00T00:00:00.000Z";
    put(&mut out[0..4], i32::from(time.year()));
    put(&mut out[5..7], i32::from(time.month()));
    put(&mut out[8..10], i32::from(time.day()));
    put(&mut out[11..13], i32::from(time.hour()));
    put(&mut out[14..16], i32::from(time.minute()));
    put(&mut out[17..19], i32::from(time.second()));
    put(&mut out[20..23], i32::from(time.millisecond()));
    out
}

/// Writes the last decimal digits of a number that is not negative.
fn put(out: &mut [u8], number: i32) {
    let mut rest = number.unsigned_abs();
    for place in out.iter_mut().rev() {
        // The remainder is a digit, so the low byte is all of it.
        *place = b'0' + (rest % 10).to_le_bytes()[0];
        rest /= 10;
    }
}

/// Reads a timestamp with any offset; digits below the millisecond are cut off.
pub(super) fn read(text: &str) -> Result<WallMs, TimeError> {
    let form = || TimeError::Form(shown(text));
    let bytes = text.as_bytes();
    let (date, rest) = bytes.split_at_checked(10).ok_or_else(form)?;
    let [b'T' | b't', rest @ ..] = rest else {
        return Err(form());
    };
    let (clock, rest) = rest.split_at_checked(8).ok_or_else(form)?;
    let (year, month, day) = date_fields(date).ok_or_else(form)?;
    let (hour, minute, second) = clock_fields(clock).ok_or_else(form)?;
    let (nanosecond, rest) = fraction(rest).ok_or_else(form)?;
    if rest.is_empty() {
        return Err(TimeError::NoOffset(shown(text)));
    }
    if second == 60 {
        return Err(TimeError::LeapSecond(shown(text)));
    }
    let offset = offset(rest).ok_or_else(form)?;
    let civil = DateTime::new(year, month, day, hour, minute, second, nanosecond)
        .map_err(|_| TimeError::NoSuchDate(shown(text)))?;
    let instant = offset.to_timestamp(civil).map_err(|_| TimeError::OutOfRange(shown(text)))?;
    WallMs::new(instant.as_nanosecond().div_euclid(1_000_000).try_into().unwrap_or(i64::MAX))
        .map_err(|_| TimeError::OutOfRange(shown(text)))
}

fn date_fields(date: &[u8]) -> Option<(i16, i8, i8)> {
    match date {
        [year @ .., b'-', m1, m2, b'-', d1, d2] if year.len() == 4 => {
            Some((digits(year)?, two(*m1, *m2)?, two(*d1, *d2)?))
        }
        _ => None,
    }
}

fn clock_fields(clock: &[u8]) -> Option<(i8, i8, i8)> {
    match clock {
        [h1, h2, b':', m1, m2, b':', s1, s2] => Some((two(*h1, *h2)?, two(*m1, *m2)?, two(*s1, *s2)?)),
        _ => None,
    }
}

/// The nanoseconds of `.123`, if there is a fraction, and what follows.
fn fraction(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let Some(rest) = bytes.strip_prefix(b".") else {
        return Some((0, bytes));
    };
    let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if count == 0 || count > FRACTION_DIGITS {
        return None;
    }
    let (kept, rest) = rest.split_at(count);
    let mut nanosecond = 0;
    for place in 0..FRACTION_DIGITS {
        nanosecond = nanosecond * 10 + kept.get(place).map_or(0, |b| i32::from(b - b'0'));
    }
    Some((nanosecond, rest))
}

/// `Z`, `+01:00`, and `-00:00` for UTC from an unknown place.
fn offset(bytes: &[u8]) -> Option<Offset> {
    match bytes {
        [b'Z' | b'z'] => Some(Offset::UTC),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (two(*h1, *h2)?, two(*m1, *m2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = i32::from(hours) * 3600 + i32::from(minutes) * 60;
            let seconds = if *sign == b'-' { -seconds } else { seconds };
            Offset::from_seconds(seconds).ok()
        }
        _ => None,
    }
}

fn digits(bytes: &[u8]) -> Option<i16> {
    bytes.iter().try_fold(0i16, |number, b| {
        let digit = b.is_ascii_digit().then(|| i16::from(b - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

fn two(tens: u8, ones: u8) -> Option<i8> {
    i8::try_from(digits(&[tens, ones])?).ok()
}
