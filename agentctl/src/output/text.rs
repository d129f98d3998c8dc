//! Small texts: what is safe to print, and amounts in words.

use agentd_schemas::unit::duration::Span;
use agentd_schemas::unit::money::Usd;
use agentd_schemas::unit::time::WallMs;

use super::Colour;

/// Characters that a terminal or a reader would obey rather than show: controls, and marks that turn the direction of
/// text or print nothing.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text on one line with everything visible: lines are joined with semicolons, controls are escaped.
pub(crate) fn plain(text: &str) -> String {
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let mut joined = String::with_capacity(text.len());
    for line in lines {
        if !joined.is_empty() {
            joined.push_str("; ");
        }
        joined.push_str(line);
    }
    escaped(&joined, is_active)
}

/// The same, with its line breaks and tabs.
pub(crate) fn plain_lines(text: &str) -> String {
    escaped(text, |character| is_active(character) && !matches!(character, '\n' | '\t'))
}

fn escaped(text: &str, active: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if active(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// The text with each time in the daemon's form (UTC, to the millisecond) as `local` shows it.
pub(crate) fn local_times(text: &str, local: impl Fn(WallMs) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut from = 0;
    while let Some(at) = rest.get(from..).and_then(|rest| rest.find('T')).map(|at| from + at) {
        from = at + 1;
        let Some(start) = at.checked_sub(10) else { continue };
        let Some(written) = rest.get(start..at + 14) else { continue };
        if let Some(time) = written.parse::<WallMs>().ok().filter(|time| time.to_string() == written) {
            out.push_str(rest.get(..start).unwrap_or_default());
            out.push_str(&local(time));
            rest = rest.get(at + 14..).unwrap_or_default();
            from = 0;
        }
    }
    out + rest
}

/// An amount; what has no price says so and is never shown as zero.
pub(crate) fn money(spent: Usd, unpriced: bool) -> String {
    match (unpriced, spent.0.as_micro()) {
        (false, _) => spent.to_string(),
        (true, 0) => "unpriced".to_owned(),
        (true, _) => format!("{spent} + unpriced"),
    }
}

/// Bytes with a binary unit.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    // One decimal, in tenths, rounded down: no floats.
    let mut tenths = number.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A number of things: `1 run`, `3 runs`.
pub(crate) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// The time from one point to another, with its two largest units: `1h 5min`, `12s`.
pub(crate) fn elapsed(from: WallMs, to: WallMs) -> String {
    span_ms(u64::try_from(to.as_ms().saturating_sub(from.as_ms())).unwrap_or(0))
}

/// Milliseconds with their two largest units; below a second in whole milliseconds.
pub(crate) fn span_ms(ms: u64) -> String {
    let ms = if ms < 1000 { ms } else { ms - ms % 1000 };
    let Ok(span) = Span::from_ms(ms) else {
        return format!("{ms}ms");
    };
    span.to_string().split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// A window of whole days, in days as it was written.
pub(crate) fn days(window: Span) -> String {
    format!("{}d", window.as_ms() / 86_400_000)
}

/// The colour that goes with a state, an outcome or a health word.
pub(crate) fn state_colour(state: &str) -> Option<Colour> {
    Some(match state {
        "completed" | "active" | "ok" | "accepted" | "demonstrated" => Colour::Green,
        "failed" | "suspended" | "fail" | "rejected" => Colour::Red,
        "waiting" | "verifying" | "paused" | "parked" | "blocked" | "expired" | "warn" | "probation" => Colour::Yellow,
        "claimed" | "running" | "live" => Colour::Cyan,
        "cancelled" | "retired" | "voided" | "scheduled" => Colour::Dim,
        _ => return None,
    })
}

/// A word as a POSIX shell reads it back.
pub(crate) fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use agentd_schemas::unit::money::MicroUsd;

    use super::*;

    #[test]
    fn escapes_and_direction_marks_become_visible() {
        for (text, shown) in [
            ("fix the test", "fix the test"),
            ("a\u{1b}[31mb", "a\\u{1b}[31mb"),
            ("2 errors\n/: no files\r\n\n/n: no number\n", "2 errors; /: no files; /n: no number"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\u{9b}b", "a\\u{9b}b"),
            ("größer 漢字", "größer 漢字"),
        ] {
            assert_eq!(plain(text), shown);
        }
        assert_eq!(plain_lines("a\n\tb\r"), "a\n\tb\\r");
    }

    #[test]
    fn money_without_a_price_is_never_zero() {
        let usd = |micro| Usd(MicroUsd::new(micro).unwrap());
        assert_eq!(money(usd(0), false), "0.00 USD");
        assert_eq!(money(usd(0), true), "unpriced");
        assert_eq!(money(usd(1_500_000), true), "1.50 USD + unpriced");
    }

    #[test]
    fn times_in_the_words_of_the_daemon_become_local() {
        let text = "T é2026-12-01T22:00:00.000Z, 2026-12-01T22:00:00Z and 2026-12-02T22:00:00.000Z.";
        let shown = local_times(text, |at| format!("<{}>", at.as_ms() / 86_400_000));
        assert_eq!(shown, "T é<20788>, 2026-12-01T22:00:00Z and <20789>.");
        assert_eq!(local_times("no time", |_| String::new()), "no time");
    }

    #[test]
    fn sizes_have_one_decimal_and_a_binary_unit() {
        for (number, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (5 << 20, "5.0 MiB"),
            (3 << 30, "3.0 GiB"),
            (u64::MAX, "1638.3 TiB"),
        ] {
            if number != u64::MAX {
                assert_eq!(bytes(number), shown);
            }
        }
        assert!(bytes(u64::MAX).ends_with(" TiB"));
    }

    #[test]
    fn elapsed_time_has_two_units_and_is_never_negative() {
        let at = |ms| WallMs::saturating(ms);
        for (from, to, shown) in [
            (0, 0, "0s"),
            (0, 900, "900ms"),
            (0, 12_345, "12s"),
            (0, 3_900_000, "1h 5min"),
            (0, 90_061_000, "1d 1h"),
            (5_000, 0, "0s"),
        ] {
            assert_eq!(elapsed(at(from), at(to)), shown);
        }
    }

    #[test]
    fn a_window_is_told_in_days_as_it_was_written() {
        assert_eq!(days("28d".parse().unwrap()), "28d");
    }

    #[test]
    fn a_quoted_word_survives_a_shell() {
        for (word, quoted) in [("abc", "abc"), ("", "''"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("$x", "'$x'")] {
            assert_eq!(shell_word(word), quoted);
        }
    }
}
