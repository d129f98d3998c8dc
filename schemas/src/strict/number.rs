//! Numbers that a program keeps as they were written, and those that it would change without a word.
//!
//! What is kept: integers from -2^63 to 2^64 - 1, and what a 64-bit float holds in all the digits that are written.

use super::error::{DocumentError, ErrorKind};
use super::quote::quoted;

/// Bytes of a number that hold in any case: no integer of 18 digits is too large, and no 15 digits are too many.
const SAFE_BYTES: usize = 15;
/// Digits that a 64-bit float can need, rounded up; who writes more means another number.
const MAX_DIGITS: usize = 800;
/// Characters of a number that a message repeats.
const SHOWN: usize = 32;

/// Why a number is refused; `None` where it is kept, or is none: its reader says so.
pub(super) fn refusal(text: &str) -> Option<DocumentError> {
    let is_float = text.bytes().any(|b| matches!(b, b'.' | b'e' | b'E'));
    let has_exponent = is_float && text.bytes().any(|b| matches!(b, b'e' | b'E'));
    if text.len() <= SAFE_BYTES && !has_exponent {
        return None;
    }
    let shown = quoted(text, SHOWN);
    if !is_float {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !digits.bytes().all(|b| b.is_ascii_digit()) || kept_whole(text) {
            return None;
        }
        return Some(refused(format!("the number {shown} is out of range: whole numbers have 64 bits")));
    }
    let value = text.parse::<f64>().ok()?;
    if value.is_infinite() {
        return Some(refused(format!("the number {shown} is out of range")));
    }
    let (digits, exponent) = written(text)?;
    if digits.is_empty() || is_held(value, &digits, exponent) {
        return None;
    }
    Some(refused(format!("the number {shown} has more digits than a 64-bit float keeps")))
}

fn refused(message: String) -> DocumentError {
    DocumentError::new(ErrorKind::Invalid, message).with_hint("write it as a string")
}

fn kept_whole(text: &str) -> bool {
    text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok()
}

/// The digits of a number without zeros before and behind, and the power of ten of the first of them.
fn written(text: &str) -> Option<(String, i64)> {
    let text = text.trim_start_matches(['-', '+']);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let zeros = all.len() - all.trim_start_matches('0').len();
    let digits = all.trim_matches('0').to_owned();
    let places = i64::try_from(whole.len()).ok()? - 1 - i64::try_from(zeros).ok()?;
    Some((digits, exponent.checked_add(places)?))
}

/// Whether the float, written with as many digits, is the number that was written.
fn is_held(value: f64, digits: &str, exponent: i64) -> bool {
    if digits.len() > MAX_DIGITS {
        return false;
    }
    let again = format!("{:.*e}", digits.len() - 1, value.abs());
    written(&again).is_some_and(|(held, at)| held == digits && at == exponent)
}

#[cfg(test)]
mod tests {
    use super::refusal;

    #[test]
    fn what_a_reader_keeps_is_taken() {
        for text in [
            "0",
            "-1",
            "18446744073709551615",
            "-9223372036854775808",
            "0.1",
            "3.141592653589793",
            "1e3",
            "1e23",
            "5e-324",
            "-0.0",
            "0e400",
            "0.10000000000000001",
            "1.7976931348623157e308",
            "0.30000000000000004",
            "100000000000000000000.0",
            "1.50000000000000000000",
            "123456789012345680000.0",
            "1234567890-1234567890",
        ] {
            assert_eq!(refusal(text), None, "{text}");
        }
    }

    #[test]
    fn what_a_reader_would_change_is_refused_with_the_way_out() {
        for text in [
            "18446744073709551616",
            "-9223372036854775809",
            "123456789012345678901234567890",
            "0.1e-400",
            "4e-324",
            "1e999",
            "3.14159265358979323846",
            "9007199254740993.0",
            "123456789012345678901234567890.0",
        ] {
            let said = refusal(text).map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains("write it as a string"), "{text}: {said}");
        }
        assert!(refusal(&format!("0.{}", "1".repeat(100_000))).is_some());
    }

    #[test]
    fn every_float_that_a_program_prints_is_taken() {
        for seed in 1..20_000_u64 {
            let value = f64::from_bits(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            if value.is_finite() {
                for text in [serde_json::to_string(&value).unwrap(), format!("{value:.16e}")] {
                    assert!(refusal(&text).is_none(), "{text}");
                    assert_eq!(serde_json::from_str::<f64>(&text).unwrap().to_bits(), value.to_bits(), "{text}");
                }
            }
        }
    }
}
