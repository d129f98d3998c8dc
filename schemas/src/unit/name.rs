//! Names: short ASCII words that are compared as bytes, and labels.
//!
//! A name is refused, never normalised: two names are the same when their bytes are, and nothing that merely looks like
//! a name becomes one.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bytes of a [`Slug`], a [`Skill`] and a [`LabelKey`].
pub const MAX_NAME_BYTES: usize = 64;
/// Bytes of a [`LabelValue`].
pub const MAX_LABEL_VALUE_BYTES: usize = 256;

/// Why a name was refused. `what` is the kind of name: `name`, `skill`, `label key`, `label value`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing there.
    #[error("the {what} is empty; write at least one letter or digit")]
    Empty {
        /// The kind of name.
        what: &'static str,
    },
    /// More bytes than allowed.
    #[error("the {what} has {found} bytes; at most {max} are allowed")]
    TooLong {
        /// The kind of name.
        what: &'static str,
        /// Its bytes.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// A name, or a part of a label key, that begins with a mark.
    #[error("the {what} has {found:?} at byte {at}; begin it, and each part, with a-z or 0-9")]
    Start {
        /// The kind of name.
        what: &'static str,
        /// The character there.
        found: char,
        /// Its place, from 1.
        at: usize,
    },
    /// A part of a label key between slashes that is empty.
    #[error("the {what} has an empty part at byte {at}; write a name on both sides of each \"/\"")]
    EmptyPart {
        /// The kind of name.
        what: &'static str,
        /// The place where the part should begin, from 1.
        at: usize,
    },
    /// A byte outside the alphabet.
    #[error(
        "the {what} has byte 0x{byte:02x} ({}) at byte {at}; allowed are {allowed}",
        described(*character)
    )]
    Byte {
        /// The kind of name.
        what: &'static str,
        /// The first refused byte.
        byte: u8,
        /// The character that the byte begins.
        character: char,
        /// The place of the byte, from 1.
        at: usize,
        /// The alphabet, in words.
        allowed: &'static str,
    },
}

/// `"А" U+0410`; characters that do not print are escaped.
fn described(character: char) -> String {
    format!("\"{}\" U+{:04X}", character.escape_debug(), u32::from(character))
}

/// What the names of one kind are made of.
struct Alphabet {
    what: &'static str,
    /// Marks beside `a-z` and `0-9`.
    marks: &'static str,
    allowed: &'static str,
}

const SLUG: Alphabet = Alphabet { what: "name", marks: "._-", allowed: "a-z 0-9 . _ -" };
const SKILL: Alphabet = Alphabet { what: "skill", marks: ".+#_-", allowed: "a-z 0-9 . + # _ -" };
const LABEL_KEY: Alphabet = Alphabet { what: "label key", marks: "._-/", allowed: "a-z 0-9 . _ - /" };

impl Alphabet {
    fn check(&self, text: &str) -> Result<(), NameError> {
        let what = self.what;
        if text.is_empty() {
            return Err(NameError::Empty { what });
        }
        if text.len() > MAX_NAME_BYTES {
            let (found, max) = (text.len(), MAX_NAME_BYTES);
            return Err(NameError::TooLong { what, found, max });
        }
        let mut starts_part = true;
        for (index, character) in text.char_indices() {
            let at = index + 1;
            let is_word = character.is_ascii_lowercase() || character.is_ascii_digit();
            if !is_word && !self.marks.contains(character) {
                return Err(self.refused(text, index, character));
            }
            if character == '/' && starts_part {
                return Err(NameError::EmptyPart { what, at });
            }
            if starts_part && !is_word {
                let found = character;
                return Err(NameError::Start { what, found, at });
            }
            starts_part = character == '/';
        }
        if starts_part {
            let at = text.len() + 1;
            return Err(NameError::EmptyPart { what, at });
        }
        Ok(())
    }

    fn refused(&self, text: &str, index: usize, character: char) -> NameError {
        NameError::Byte {
            what: self.what,
            byte: text.as_bytes()[index],
            character,
            at: index + 1,
            allowed: self.allowed,
        }
    }
}

/// A label value is for people: any UTF-8 that is seen when printed, and looks like no other value.
fn check_label_value(text: &str) -> Result<(), NameError> {
    let what = "label value";
    if text.len() > MAX_LABEL_VALUE_BYTES {
        let (found, max) = (text.len(), MAX_LABEL_VALUE_BYTES);
        return Err(NameError::TooLong { what, found, max });
    }
    let edges = [text.char_indices().next(), text.char_indices().next_back()];
    let edge_space = edges.into_iter().flatten().find(|(_, c)| *c == ' ');
    let refused = text.char_indices().find(|(_, c)| is_unseen(*c)).or(edge_space);
    match refused {
        None => Ok(()),
        Some((index, character)) => Err(NameError::Byte {
            what,
            byte: text.as_bytes()[index],
            character,
            at: index + 1,
            allowed: "visible characters with spaces between them",
        }),
    }
}

/// Controls, spaces other than U+0020, and characters that print nothing or turn the direction of others. The list is
/// part of the format and does not follow later versions of Unicode.
fn is_unseen(character: char) -> bool {
    matches!(character,
        '\u{00}'..='\u{1F}' | '\u{7F}'..='\u{A0}' | '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}'
        | '\u{1680}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{2000}'..='\u{200F}'
        | '\u{2028}'..='\u{202F}' | '\u{205F}'..='\u{206F}' | '\u{2800}' | '\u{3000}' | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}

/// Defines a checked text type; `$check` decides what it may hold.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The text, which has passed the check.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                $check(&text)?;
                Ok(Self(text))
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

checked_text! {
    /// The name of an agent, a model provider, a schedule: 1 to 64 of `a-z 0-9 . _ -`, beginning with a letter or digit.
    Slug, |text: &str| SLUG.check(text)
}
checked_text! {
    /// A skill: 1 to 64 of `a-z 0-9 . + # _ -`, beginning with a letter or digit, as `rust`, `c++`, `c#`.
    Skill, |text: &str| SKILL.check(text)
}
checked_text! {
    /// The key of a label: 1 to 64 bytes of slugs joined by `/`, as `team` or `example.com/team`.
    LabelKey, |text: &str| LABEL_KEY.check(text)
}
checked_text! {
    /// The value of a label: up to 256 bytes of UTF-8, perhaps none, without controls, invisible characters, and spaces
    /// at either end.
    LabelValue, check_label_value
}

#[cfg(test)]
mod tests;
