//! Patterns of paths as git reads them with `:(glob)`: `*` and `?` within a folder, `**` through folders, `[…]` one of some
//! characters, and a backslash before a character that stands for itself.

use thiserror::Error;

/// Why a pattern cannot be read, where, and how it is meant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatternError {
    /// A `[` without its `]`.
    #[error("the [ at character {0} has no ] behind it: close it as in 'src/[a-c]*', or write [[] for the character")]
    Unclosed(usize),
    /// A range whose end is before its beginning.
    #[error("the range {from}-{to} at character {at} ends before it begins: write it as in 'src/[a-c]*'")]
    Backwards {
        /// Its first character.
        from: char,
        /// Its last.
        to: char,
        /// Where it begins.
        at: usize,
    },
    /// A backslash at the end.
    #[error("the \\ at character {0} has nothing behind it: write \\\\ for the character, as in 'src/a\\\\b'")]
    Dangling(usize),
}

/// Whether a pattern can be read.
pub fn check(pattern: &str) -> Result<(), PatternError> {
    without_braces(pattern).map(drop)
}

/// The same for a reader to whom braces mean something: to git they are characters. A slash at the end says nothing.
pub fn without_braces(pattern: &str) -> Result<String, PatternError> {
    let characters: Vec<char> = pattern.trim_end_matches('/').chars().collect();
    let (mut plain, mut at) = (String::new(), 0);
    while let Some(character) = characters.get(at) {
        let end = match character {
            '\\' if at + 1 == characters.len() => return Err(PatternError::Dangling(at + 1)),
            '\\' => at + 2,
            '[' => class(&characters, at)?,
            _ => at + 1,
        };
        match character {
            '{' | '}' => plain.extend(['[', *character, ']']),
            _ => plain.extend(&characters[at..end]),
        }
        at = end;
    }
    Ok(plain)
}

/// Reads the class that begins at `open`; gives the place behind it.
fn class(characters: &[char], open: usize) -> Result<usize, PatternError> {
    let negated = matches!(characters.get(open + 1), Some('!' | '^'));
    let first = open + 1 + usize::from(negated);
    // A bracket that stands first is a character of the class.
    let close = characters.iter().skip(first + 1).position(|character| *character == ']');
    let close = close.map(|found| first + 1 + found).ok_or(PatternError::Unclosed(open + 1))?;
    let (mut begun, mut is_range) = (None, false);
    for (at, character) in characters.iter().enumerate().take(close).skip(first) {
        match (character, begun) {
            ('-', Some(_)) if !is_range => is_range = true,
            (to, Some((from, at))) if is_range => {
                if to < from {
                    return Err(PatternError::Backwards { from: *from, to: *to, at });
                }
                is_range = false;
            }
            _ => begun = Some((character, at + 1)),
        }
    }
    Ok(close + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_cannot_be_read_is_told_by_its_character() {
        for good in [
            "a", "src/**", "*.rs", "[a-c]?", "[!a]", "[]]", "[]-]", "[a-]", "[-a]", "{a,b}", "a\\[", "\\\\", "]",
            "tests/",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let table = [
            ("[", "the [ at character 1 has no ]"),
            ("ä/[a-c", "the [ at character 3 has no ]"),
            ("[]", "the [ at character 1 has no ]"),
            ("[!]", "the [ at character 1 has no ]"),
            ("a[z-a]", "the range z-a at character 3"),
            ("a\\", "the \\ at character 2 has nothing"),
            ("a\\/", "the \\ at character 2 has nothing"),
        ];
        for (pattern, said) in table {
            let error = check(pattern).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains(" as in '"), "{pattern}: {error}");
        }
    }
}
