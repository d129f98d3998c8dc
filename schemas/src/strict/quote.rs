//! Text of a document, made safe to repeat in a message.

/// `text` in quotes, with control, bidirectional and invisible characters escaped and cut to `max` characters, so that
/// a document can neither fill a log nor steer a terminal through the error about it.
pub(crate) fn quoted(text: &str, max: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(max) + 2);
    shown.push('"');
    push_escaped(&mut shown, text, max);
    shown.push('"');
    shown
}

/// `text` without quotes, otherwise as [`quoted`]. Quotes stay as they are.
pub(super) fn plain(text: &str, max: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(max));
    for part in cut(text, max).split_inclusive(['"', '\'', '\\']) {
        match part.char_indices().next_back() {
            Some((at, last @ ('"' | '\'' | '\\'))) => {
                shown.extend(part[..at].escape_debug());
                shown.push(last);
            }
            _ => shown.extend(part.escape_debug()),
        }
    }
    if cut(text, max).len() < text.len() {
        shown.push('…');
    }
    shown
}

fn push_escaped(shown: &mut String, text: &str, max: usize) {
    let kept = cut(text, max);
    for character in kept.chars() {
        if character == '\'' {
            shown.push(character);
        } else {
            shown.extend(character.escape_debug());
        }
    }
    if kept.len() < text.len() {
        shown.push('…');
    }
}

fn cut(text: &str, max: usize) -> &str {
    match text.char_indices().nth(max) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{plain, quoted};

    #[test]
    fn steering_characters_are_escaped_and_long_text_is_cut() {
        assert_eq!(quoted("it's", 9), "\"it's\"");
        assert_eq!(quoted("a\u{1b}[2J", 9), "\"a\\u{1b}[2J\"");
        assert_eq!(quoted("a\u{202e}b", 9), "\"a\\u{202e}b\"");
        assert_eq!(quoted("äöü", 2), "\"äö…\"");
        assert_eq!(plain("say \"a\\b\"\n", 20), "say \"a\\b\"\\n");
        assert_eq!(plain("abc", 2), "ab…");
    }
}
