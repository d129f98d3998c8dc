//! The one error of every strict reader.

use std::fmt;

use super::quote::{plain, quoted};

/// Characters of one key that a message repeats.
const KEY_CHARS: usize = 64;
/// Characters of a path that a message repeats.
const PATH_CHARS: usize = 200;

/// Why a document was refused: one variant for each decision that a caller can make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// The document, or one line of it, has more bytes than allowed.
    TooLarge {
        /// The bound in bytes.
        limit: usize,
    },
    /// More keys, values or lines than allowed.
    TooMany {
        /// What was counted: `keys`, `values` or `lines`.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// The bytes are not UTF-8.
    NotUtf8 {
        /// Offset of the first invalid byte, from 0.
        offset: usize,
    },
    /// The text is not of the format.
    Syntax,
    /// Objects and arrays are nested deeper than allowed.
    TooDeep {
        /// The bound in levels.
        limit: usize,
    },
    /// One object has a key twice.
    DuplicateKey {
        /// The key as it reads, escapes resolved.
        key: String,
    },
    /// The key has a private meaning inside a serde library and could smuggle unread text.
    ReservedKey {
        /// The key as it reads.
        key: String,
    },
    /// The type has no such field.
    UnknownField {
        /// The field as written.
        field: String,
        /// The known field that was probably meant.
        nearest: Option<String>,
    },
    /// The value is not one of the known words.
    UnknownVariant {
        /// The value as written.
        value: String,
        /// The known word that was probably meant.
        nearest: Option<String>,
    },
    /// The value is of another type.
    WrongType {
        /// What belongs there, in words.
        expected: String,
        /// What is there, in words.
        found: String,
    },
    /// A field that the type needs is absent.
    MissingField {
        /// The absent field.
        field: String,
    },
    /// The value is of the right type and yet refused.
    Invalid,
    /// The source of the bytes failed; says nothing about the document.
    Read,
}

/// A refused document: what is wrong, where, and the way out.
///
/// [`fmt::Display`] prints all of it in one line, as
/// `line 3, column 5: unknown field "skils" in work.limits; did you mean "skills"?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentError(Box<Detail>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Detail {
    kind: ErrorKind,
    path: String,
    place: Option<Place>,
    message: String,
    hint: Option<String>,
}

/// A place in a document; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Place {
    /// The place of the byte at `offset`; offsets past the end give the place after the last byte.
    pub(super) fn of(bytes: &[u8], offset: usize) -> Self {
        let before = &bytes[..offset.min(bytes.len())];
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        Self {
            line: before.split(|b| *b == b'\n').count(),
            column: before[line_start..].iter().filter(|b| !is_continuation(**b)).count() + 1,
        }
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// One step of a path into a document.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// Steps as people write them: `work.acceptance[2].command`, a key that is not a plain word in quotes.
pub(super) fn path_text<'a>(steps: impl IntoIterator<Item = Step<'a>>) -> String {
    let mut path = String::new();
    for step in steps {
        if path.len() > PATH_CHARS {
            path.push('…');
            break;
        }
        match step {
            Step::Index(index) => {
                path.push('[');
                path.push_str(&index.to_string());
                path.push(']');
            }
            Step::Key(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&key_text(key));
            }
        }
    }
    path
}

fn key_text(key: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.len() <= KEY_CHARS && key.chars().all(is_plain) {
        key.to_owned()
    } else {
        quoted(key, KEY_CHARS)
    }
}

/// ` in work.limits`, or nothing at the top of a document.
pub(super) fn within(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" in {path}") }
}

impl DocumentError {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Detail { kind, path: String::new(), place: None, message: message.into(), hint: None }))
    }

    pub(super) fn too_large(what: &str, limit: usize) -> Self {
        Self::new(ErrorKind::TooLarge { limit }, format!("the {what} is larger than {limit} bytes"))
            .with_hint("split it into smaller ones")
    }

    pub(super) fn too_deep(limit: usize, path: String) -> Self {
        let kind = ErrorKind::TooDeep { limit };
        Self::new(kind, format!("values are nested deeper than {limit} levels"))
            .with_hint("flatten the document")
            .with_path(path)
    }

    pub(super) fn too_many(what: &'static str, limit: usize, path: String) -> Self {
        let message = format!("more than {limit} {what}{}", within(&path));
        Self::new(ErrorKind::TooMany { what, limit }, message).with_hint("split the document").with_path(path)
    }

    pub(super) fn not_utf8(offset: usize) -> Self {
        Self::new(ErrorKind::NotUtf8 { offset }, format!("the byte at offset {offset} is not UTF-8"))
            .with_hint("save the document as UTF-8")
    }

    /// `parent` is the path of the object that has `key` twice.
    pub(super) fn duplicate_key(key: &str, parent: &str) -> Self {
        let message = format!("duplicate key {}{}", quoted(key, KEY_CHARS), within(parent));
        let key = key.to_owned();
        Self::new(ErrorKind::DuplicateKey { key }, message).with_hint("keep one of the two")
    }

    pub(super) fn reserved_key(key: &str, parent: &str) -> Self {
        let message = format!("reserved key {}{}", quoted(key, KEY_CHARS), within(parent));
        let key = key.to_owned();
        Self::new(ErrorKind::ReservedKey { key }, message).with_hint("rename the key")
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(super) fn with_path(mut self, path: String) -> Self {
        self.0.path = path;
        self
    }

    /// Names the value at `path` in the message too.
    pub(super) fn about(mut self, path: String) -> Self {
        if !path.is_empty() {
            self.0.message = format!("{path}: {}", self.0.message);
        }
        self.with_path(path)
    }

    pub(super) fn with_place(mut self, place: Place) -> Self {
        self.0.place = Some(place);
        self
    }

    /// The same error where the document began at `line` of a larger one.
    pub(super) fn on_line(mut self, line: usize) -> Self {
        let column = self.0.place.map_or(1, |place| place.column);
        self.0.place = Some(Place { line, column });
        self
    }

    /// Why, for callers that decide by it.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The path of the refused thing from the top of the document, as `work.acceptance[2].command`; empty for the
    /// whole document. Duplicate keys of TOML have only the key's own name here.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Line of the place, from 1; `None` where the error is about the whole document.
    pub fn line(&self) -> Option<usize> {
        self.0.place.map(|place| place.line)
    }

    /// Column of the place in characters, from 1.
    pub fn column(&self) -> Option<usize> {
        self.0.place.map(|place| place.column)
    }

    /// What is wrong, lowercase, without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The way out, where there is one to name.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { line, column }) = self.0.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.0.message)?;
        match &self.0.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DocumentError {}

/// A message of a library or of a value's own type, made safe to print, split where it names the way out: units write
/// `what is wrong; the way out`.
pub(super) fn split_hint(text: &str) -> (String, Option<String>) {
    match text.rsplit_once("; ") {
        Some((reason, hint)) => (plain(reason, PATH_CHARS), Some(plain(hint, PATH_CHARS))),
        None => (plain(text, PATH_CHARS), None),
    }
}

#[cfg(test)]
mod tests {
    use super::{DocumentError, ErrorKind, Place, Step, path_text};

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "ab\ncäd\n".as_bytes();
        for (offset, line, column) in [(0, 1, 1), (2, 1, 3), (3, 2, 1), (6, 2, 3), (8, 3, 1), (99, 3, 1)] {
            assert_eq!(Place::of(text, offset), Place { line, column }, "offset {offset}");
        }
    }

    #[test]
    fn paths_quote_what_is_not_a_plain_word_and_stay_short() {
        let steps = [Step::Key("work"), Step::Index(2), Step::Key("a.b"), Step::Key("")];
        assert_eq!(path_text(steps), "work[2].\"a.b\".\"\"");
        assert!(path_text((0..1000).map(|_| Step::Key("key"))).len() < 300);
    }

    #[test]
    fn an_error_prints_place_message_and_hint_in_one_line() {
        let error = DocumentError::duplicate_key("a", "work.limits").with_place(Place { line: 3, column: 5 });
        assert_eq!(error.to_string(), "line 3, column 5: duplicate key \"a\" in work.limits; keep one of the two");
        assert_eq!(*error.kind(), ErrorKind::DuplicateKey { key: "a".to_owned() });
    }
}
