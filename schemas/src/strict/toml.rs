//! TOML ([1.1](https://toml.io/en/v1.1.0)) read strictly: the files that people write.
//!
//! The parser below refuses duplicate keys and bounds nesting itself; what it lets through is refused here, and its
//! errors take the one form of [`DocumentError`].

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{DocumentError, ErrorKind, Place, Step, path_text};
use super::explain::{Format, explain};
pub use super::limits::Limits;
use super::number;
use super::quote::{plain, quoted};
use super::scan::is_reserved;

/// Reads a TOML document of type `T` from the bytes of a file; refuses bytes that are not UTF-8, else as [`from_str`].
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8], limits: &Limits) -> Result<T, DocumentError> {
    if bytes.len() > limits.max_bytes {
        return Err(DocumentError::too_large("document", limits.max_bytes));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        DocumentError::not_utf8(offset).with_place(Place::of(bytes, offset))
    })?;
    from_str(text, limits)
}

/// Reads a TOML document of type `T`.
///
/// Refused, beside what TOML itself refuses: more bytes, depth, keys or values than `limits`; `inf`, `nan` and numbers
/// beyond `f64`; keys with a private meaning in serde libraries. Unknown fields are refused where `T` denies them.
pub fn from_str<T: DeserializeOwned>(text: &str, limits: &Limits) -> Result<T, DocumentError> {
    if text.len() > limits.max_bytes {
        return Err(DocumentError::too_large("document", limits.max_bytes));
    }
    let table = DeTable::parse(text).map_err(|error| syntax(text, &error, limits))?;
    let mut walk = Walk { text, limits, steps: Vec::new(), values: 0 };
    walk.table(table.get_ref(), 0)?;
    serde_path_to_error::deserialize(toml::de::Deserializer::from(table)).map_err(|error| {
        let span = error.inner().span();
        let explained = explain(error.inner().message(), error.path(), Format::Toml);
        match span {
            Some(span) => explained.with_place(Place::of(text.as_bytes(), span.start)),
            None => explained,
        }
    })
}

/// The refusal of something in a document that was read: its path is written as `["rule", "2", "stage", "0"]`, and the place
/// is that of its last step that stands in the text.
pub fn refusal(text: &str, path: &[&str], message: impl Into<String>, hint: impl Into<String>) -> DocumentError {
    let error = DocumentError::new(ErrorKind::Invalid, message).with_hint(hint);
    let steps = path.iter().map(|step| step.parse().map_or(Step::Key(step), Step::Index));
    let error = error.with_path(path_text(steps));
    let Ok(table) = DeTable::parse(text) else { return error };
    let (mut at, mut place): (Option<&DeValue<'_>>, _) = (None, None);
    for (depth, step) in path.iter().enumerate() {
        let found = match (depth, at) {
            (0, _) => table.get_ref().get(*step),
            (_, Some(DeValue::Table(table))) => table.get(*step),
            (_, Some(DeValue::Array(array))) => step.parse().ok().and_then(|index: usize| array.get(index)),
            _ => None,
        };
        let Some(found) = found else { break };
        (at, place) = (Some(found.get_ref()), Some(Place::of(text.as_bytes(), found.span().start)));
    }
    match place {
        Some(place) => error.with_place(place),
        None => error,
    }
}

fn syntax(text: &str, error: &toml::de::Error, limits: &Limits) -> DocumentError {
    let span = error.span().unwrap_or_default();
    let place = Place::of(text.as_bytes(), span.start);
    let refused = match error.message() {
        "duplicate key" => {
            let written = text.get(span).unwrap_or_default();
            let key = written.trim_matches(['"', '\'']);
            DocumentError::duplicate_key(key, "").with_path(path_text([Step::Key(key)]))
        }
        said if said.contains("recursion") => DocumentError::too_deep(limits.max_depth.min(80), String::new()),
        said => DocumentError::new(ErrorKind::Syntax, format!("not TOML: {}", plain(&said.replace('`', "\""), 200))),
    };
    refused.with_place(place)
}

/// A walk over a parsed document; the parser has bounded its depth already, so recursion is safe.
struct Walk<'a> {
    text: &'a str,
    limits: &'a Limits,
    steps: Vec<Step<'a>>,
    values: usize,
}

impl<'a> Walk<'a> {
    fn table(&mut self, table: &'a DeTable<'_>, at: usize) -> Result<(), DocumentError> {
        self.deepen(at)?;
        if table.len() > self.limits.max_keys {
            let error = DocumentError::too_many("keys", self.limits.max_keys, self.path());
            return Err(self.refuse(error, at));
        }
        for (key, value) in table {
            let name: &'a str = key.get_ref();
            if is_reserved(name) {
                let error = DocumentError::reserved_key(name, &self.path());
                self.steps.push(Step::Key(name));
                return Err(self.refuse(error, key.span().start));
            }
            self.value(Step::Key(name), value)?;
        }
        Ok(())
    }

    fn value(&mut self, step: Step<'a>, value: &'a Spanned<DeValue<'_>>) -> Result<(), DocumentError> {
        self.steps.push(step);
        self.values += 1;
        let at = value.span().start;
        if self.values > self.limits.max_values {
            let error = DocumentError::too_many("values", self.limits.max_values, String::new());
            return Err(self.refuse(error, at));
        }
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, at)?,
            DeValue::Array(array) => {
                self.deepen(at)?;
                for (index, element) in array.iter().enumerate() {
                    self.value(Step::Index(index), element)?;
                }
            }
            DeValue::Float(float) => {
                let digits = float.as_str().replace('_', "");
                if !digits.parse::<f64>().is_ok_and(f64::is_finite) {
                    let shown = quoted(float.as_str(), 32);
                    let message = format!("the number {shown} is out of range");
                    let error = DocumentError::new(ErrorKind::Invalid, message);
                    return Err(self.refuse(error, at));
                }
                if let Some(error) = number::refusal(&digits) {
                    return Err(error.about(self.path()).with_place(Place::of(self.text.as_bytes(), at)));
                }
            }
            DeValue::String(_) | DeValue::Integer(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
        self.steps.pop();
        Ok(())
    }

    /// The top table is depth 1, as in JSON; each step leads one deeper.
    fn deepen(&self, at: usize) -> Result<(), DocumentError> {
        if self.steps.len() < self.limits.max_depth {
            return Ok(());
        }
        let error = DocumentError::too_deep(self.limits.max_depth, self.path());
        Err(self.refuse(error, at))
    }

    fn path(&self) -> String {
        path_text(self.steps.iter().copied())
    }

    fn refuse(&self, error: DocumentError, at: usize) -> DocumentError {
        error.with_path(self.path()).with_place(Place::of(self.text.as_bytes(), at))
    }
}

#[cfg(test)]
mod tests;
