//! JSON ([RFC 8259]) read strictly, as [RFC 7493] asks of data that two programs must understand alike.
//!
//! [RFC 8259]: https://www.rfc-editor.org/rfc/rfc8259
//! [RFC 7493]: https://www.rfc-editor.org/rfc/rfc7493

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use super::error::{DocumentError, ErrorKind, Place, path_text};
use super::explain::{Format, explain, steps};
pub use super::limits::Limits;
use super::quote::plain;
use super::scan::scan;

const BYTE_ORDER_MARK: &[u8] = &[0xEF, 0xBB, 0xBF];

/// Reads one JSON value of type `T` that fills `bytes`.
///
/// Refused, beside what JSON itself refuses: more bytes, depth, keys or values than `limits`; bytes that are not UTF-8;
/// duplicate keys in any object, also where `T` ignores it; lone surrogates; numbers that would change on the way; keys with a private
/// meaning in serde libraries. Unknown fields are refused where `T` denies them. A struct with derived reading also takes
/// an array of all its fields in their order; that is serde's choice and not undone here.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8], limits: &Limits) -> Result<T, DocumentError> {
    let text = check(bytes, limits)?;
    // Paths cost an allocation for each key, so they are followed only once the document is known to be refused.
    serde_json::from_str(text).map_err(|_| refusal::<T>(text, limits))
}

/// The checks of [`from_slice`] that need no type; hands back the text. The text may still be no JSON.
pub fn check<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a str, DocumentError> {
    if bytes.len() > limits.max_bytes {
        return Err(DocumentError::too_large("document", limits.max_bytes));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        DocumentError::not_utf8(offset).with_place(Place::of(bytes, offset))
    })?;
    if bytes.starts_with(BYTE_ORDER_MARK) {
        let message = "the document begins with a byte order mark";
        return Err(DocumentError::new(ErrorKind::Syntax, message)
            .with_hint("save it as UTF-8 without one")
            .with_place(Place::of(bytes, 0)));
    }
    scan(text, limits)?;
    Ok(text)
}

/// Reads a refused document again, slowly, to say where and why.
fn refusal<T: DeserializeOwned>(text: &str, limits: &Limits) -> DocumentError {
    let mut reader = serde_json::Deserializer::from_str(text);
    if let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut reader) {
        let place = place(text, error.inner());
        return match error.inner().classify() {
            Category::Data => explain(&reason(error.inner()), error.path(), Format::Json),
            _ => misfit::<T>(text, error.path()).unwrap_or_else(|| syntax(error.inner(), limits)),
        }
        .with_place(place);
    }
    match reader.end() {
        Err(error) => syntax(&error, limits).with_place(place(text, &error)),
        // Only a type that answers differently the second time comes here.
        Ok(()) => DocumentError::new(ErrorKind::Invalid, "the document was refused by its type"),
    }
}

/// What serde calls a fault of syntax although the document is JSON: something of several kinds names none of them, or
/// more than one.
fn misfit<T: DeserializeOwned>(text: &str, path: &Path) -> Option<DocumentError> {
    let mut document: Value = serde_json::from_str(text).ok()?;
    let found = path.iter().try_fold(&mut document, |value, segment| match segment {
        Segment::Seq { index } => value.get_mut(*index),
        Segment::Map { key } | Segment::Enum { variant: key } => value.get_mut(key),
        Segment::Unknown => None,
    })?;
    let is = match &*found {
        Value::Object(fields) if fields.is_empty() => "is an empty object".to_owned(),
        Value::Object(fields) => format!("has {} fields", fields.len()),
        Value::Array(_) => "is an array".to_owned(),
        Value::Number(_) => "is a number".to_owned(),
        Value::Bool(_) => "is true or false".to_owned(),
        Value::Null => "is null".to_owned(),
        Value::String(_) => "is a string".to_owned(),
    };
    // A kind that there is not makes serde say which there are.
    *found = serde_json::json!({ "": null });
    let said = serde_path_to_error::deserialize::<_, T>(document).err()?.inner().to_string();
    let known = said.strip_prefix("unknown variant ``, expected ")?;
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    let here = path_text(steps(path));
    let at = if here.is_empty() { "the document" } else { &here };
    let message = format!("{at} {is}: it must name exactly one of {}", known.join(", "));
    Some(DocumentError::new(ErrorKind::Invalid, message).with_path(here))
}

fn syntax(error: &serde_json::Error, limits: &Limits) -> DocumentError {
    let reason = reason(error);
    if reason == "recursion limit exceeded" {
        return DocumentError::too_deep(limits.max_depth.min(127), String::new());
    }
    let said = plain(&reason, 100);
    match said.as_str() {
        "trailing characters" => DocumentError::new(ErrorKind::Syntax, "more content follows the document")
            .with_hint("write one value for each document"),
        _ => DocumentError::new(ErrorKind::Syntax, format!("not JSON: {}", in_words(&said))),
    }
}

/// What the parser calls things by its own names, as people do.
fn in_words(said: &str) -> &str {
    match said {
        "expected ident" => "the only words without quotes are true, false and null",
        "expected value" => "a value is missing here, or is not written as JSON",
        other => other,
    }
}

/// The message without the place, which `serde_json` appends.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// `serde_json` counts columns in bytes; people count characters.
fn place(text: &str, error: &serde_json::Error) -> Place {
    let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    Place::of(text.as_bytes(), before + error.column().saturating_sub(1))
}

#[cfg(test)]
mod tests;
