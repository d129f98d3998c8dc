//! Units that people write: money, durations, times, names.
//!
//! Each type checks itself when it is made, from text and from serde alike, so a value that exists is within its bounds.
//! What is written wrongly is refused, never normalised. Errors read `what is wrong; the way out`. Nothing here reads a
//! clock: now is an argument.

pub mod duration;
pub mod money;
pub mod name;
pub mod owner;
pub mod pattern;
#[cfg(feature = "schema")]
mod schema;
pub mod size;
pub mod time;
mod timestamp;

/// Characters of a refused text that an error repeats.
const SHOWN_CHARS: usize = 40;

/// A refused text as an error repeats it: in quotes, escaped, cut.
fn shown(text: &str) -> String {
    crate::strict::quoted(text, SHOWN_CHARS)
}

/// The leading ASCII digits of `text`, and what follows them.
fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// `whole` and `fraction` digits as a count of the 10^-`places` parts of one; `None` when the fraction is longer than
/// `places` or the count exceeds `u64`.
fn scaled(whole: &str, fraction: &str, places: usize) -> Option<u64> {
    let missing = u32::try_from(places.checked_sub(fraction.len())?).ok()?;
    let digits = |text: &str| -> Option<u64> {
        if text.is_empty() {
            return Some(0);
        }
        text.parse().ok()
    };
    let one = 10u64.checked_pow(u32::try_from(places).ok()?)?;
    let parts = digits(fraction)?.checked_mul(10u64.checked_pow(missing)?)?;
    digits(whole)?.checked_mul(one)?.checked_add(parts)
}
