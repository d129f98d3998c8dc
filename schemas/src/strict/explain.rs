//! What serde says about a value, in the words of [`DocumentError`].
//!
//! Deserialisers hand on serde's own messages as text. Their forms are fixed by the default methods of
//! `serde::de::Error` (`unknown_field`, `invalid_type` and so on); they are taken apart here and nowhere else. A text
//! of no known form is a value's own refusal and stays as it is.

use serde_path_to_error::{Path, Segment};

use super::error::{DocumentError, ErrorKind, Step, path_text, split_hint, within};
use super::nearest::nearest;
use super::quote::{plain, quoted};

/// Characters of a found value that a message repeats.
const VALUE_CHARS: usize = 64;
/// Known names that a hint lists.
const LISTED: usize = 12;

/// What a format calls its keyed values.
#[derive(Debug, Clone, Copy)]
pub(super) enum Format {
    Json,
    Toml,
}

/// The error for serde's `text` about the thing at `path`.
pub(super) fn explain(text: &str, path: &Path, format: Format) -> DocumentError {
    let here = path_text(steps(path));
    unknown_name(text, path)
        .or_else(|| absent_or_repeated(text, path))
        .or_else(|| mismatch(text, &here, format))
        .or_else(|| not_one(text, &here))
        .unwrap_or_else(|| refused(text, &here))
}

/// `wanted exactly 1 element, found 0 elements`: the toml crate, of something of several kinds.
fn not_one(text: &str, here: &str) -> Option<DocumentError> {
    text.strip_prefix("wanted exactly 1 element")?;
    let message = format!("{here} must have exactly one field, which names its kind");
    Some(DocumentError::new(ErrorKind::Invalid, message).with_path(here.to_owned()))
}

/// The error of a value that its own type refused.
fn refused(text: &str, here: &str) -> DocumentError {
    let (reason, hint) = split_hint(text);
    let message = if here.is_empty() { reason } else { format!("{here}: {reason}") };
    let error = DocumentError::new(ErrorKind::Invalid, message).with_path(here.to_owned());
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

pub(super) fn steps(path: &Path) -> impl Iterator<Item = Step<'_>> {
    path.iter().map(|segment| match segment {
        Segment::Seq { index } => Step::Index(*index),
        Segment::Map { key } => Step::Key(key),
        Segment::Enum { variant } => Step::Key(variant),
        Segment::Unknown => Step::Key("?"),
    })
}

/// The path of the object around the last step, when that step is `name` itself.
fn parent_path(path: &Path, name: &str) -> String {
    let segments: Vec<Step<'_>> = steps(path).collect();
    match segments.split_last() {
        Some((Step::Key(last), parents)) if *last == name => path_text(parents.iter().copied()),
        _ => path_text(segments.iter().copied()),
    }
}

/// ``unknown field `x`, expected one of `a`, `b` `` and the same of variants.
fn unknown_name(text: &str, path: &Path) -> Option<DocumentError> {
    let (is_field, rest) = match text.strip_prefix("unknown field `") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("unknown variant `")?),
    };
    let (name, known) = rest.rsplit_once("`, expected ").or_else(|| rest.rsplit_once("`, there are no "))?;
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    let near = nearest(&known, name);
    let hint = match near {
        Some(near) => format!("did you mean {near:?}?"),
        None => listed(is_field, &known),
    };
    let (value, nearest) = (name.to_owned(), near.map(str::to_owned));
    let shown = quoted(name, VALUE_CHARS);
    let error = if is_field {
        let message = format!("unknown field {shown}{}", within(&parent_path(path, name)));
        let kind = ErrorKind::UnknownField { field: value, nearest };
        DocumentError::new(kind, message)
    } else {
        let here = path_text(steps(path));
        let at = if here.is_empty() { "the document" } else { &here };
        let kind = ErrorKind::UnknownVariant { value, nearest };
        DocumentError::new(kind, format!("{at} has no meaning for {shown}"))
    };
    Some(error.with_hint(hint).with_path(path_text(steps(path))))
}

fn listed(is_field: bool, known: &[&str]) -> String {
    let noun = if is_field { "fields" } else { "values" };
    if known.is_empty() {
        return format!("no {noun} are known here");
    }
    let mut list = known[..known.len().min(LISTED)].join(", ");
    if known.len() > LISTED {
        list.push_str(", …");
    }
    format!("known {noun} are {list}")
}

/// ``missing field `x` `` and ``duplicate field `x` ``; the second comes from aliases of one field.
fn absent_or_repeated(text: &str, path: &Path) -> Option<DocumentError> {
    if let Some(field) = quoted_name(text, "missing field `") {
        let here = path_text(steps(path));
        let message = format!("missing field {field:?}{}", within(&here));
        let kind = ErrorKind::MissingField { field: field.to_owned() };
        let error = DocumentError::new(kind, message).with_hint(format!("add {field:?}"));
        return Some(error.with_path(here));
    }
    let key = quoted_name(text, "duplicate field `")?;
    let error = DocumentError::duplicate_key(key, &parent_path(path, key));
    Some(error.with_path(path_text(steps(path))))
}

fn quoted_name<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.strip_prefix(prefix)?.strip_suffix('`')
}

/// `invalid type: x, expected y`, and the same of values and lengths.
fn mismatch(text: &str, here: &str, format: Format) -> Option<DocumentError> {
    let (is_type, rest) = match text.strip_prefix("invalid type: ") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("invalid value: ").or_else(|| text.strip_prefix("invalid "))?),
    };
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let (found, expected) = (found_words(found, format), expected_words(expected, format));
    let at = if here.is_empty() { "the document" } else { here };
    let message = format!("{at} must be {expected}, found {found}");
    let kind = if is_type { ErrorKind::WrongType { expected, found } } else { ErrorKind::Invalid };
    Some(DocumentError::new(kind, message).with_path(here.to_owned()))
}

fn found_words(found: &str, format: Format) -> String {
    match found {
        "map" => keyed(format).to_owned(),
        "sequence" => "an array".to_owned(),
        "unit value" | "Option value" => "null".to_owned(),
        other if other.starts_with("length ") => format!("an array of {other}"),
        other => plain(&other.replace('`', ""), VALUE_CHARS),
    }
}

fn expected_words(expected: &str, format: Format) -> String {
    let words = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" | "u128" => "a whole number of 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" | "i128" => "a whole number",
        "f32" | "f64" => "a number",
        "unit" => "null",
        "a sequence" => "an array",
        "a map" => keyed(format),
        other if other.starts_with("struct ") => keyed(format),
        other if other.starts_with("internally tagged enum ") => keyed(format),
        other if other.starts_with("adjacently tagged enum ") => keyed(format),
        other if other.starts_with("enum ") => "a known word",
        other if other.starts_with("tuple ") => "an array",
        other => return plain(&other.replace('`', ""), VALUE_CHARS),
    };
    words.to_owned()
}

fn keyed(format: Format) -> &'static str {
    match format {
        Format::Json => "an object",
        Format::Toml => "a table",
    }
}
