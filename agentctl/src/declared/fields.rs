//! Documents as flat fields, so that two of them can be compared field by field: `limits.max_concurrency`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::error::Failure;

/// Fields by their paths; a list is one value.
pub(super) type Fields = BTreeMap<String, Value>;

/// One field that differs: what is, and what is declared; absent where there is nothing.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(clippy::struct_field_names, reason = "the names of its JSON form")]
pub(crate) struct Field {
    /// Its path.
    pub(crate) field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<Value>,
}

/// The fields of a document.
pub(super) fn fields<T: Serialize>(document: &T) -> Result<Fields, Failure> {
    let value = serde_json::to_value(document)
        .map_err(|error| Failure::unfit(format!("cannot write the document as JSON: {error}")))?;
    let mut found = Fields::new();
    flatten(String::new(), value, &mut found);
    Ok(found)
}

fn flatten(path: String, value: Value, found: &mut Fields) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name } else { format!("{path}.{name}") };
                flatten(path, value, found);
            }
        }
        Value::Null => {}
        value => {
            found.insert(path, value);
        }
    }
}

/// The fields that differ, by path.
pub(super) fn differing(is: &Fields, declared: &Fields) -> Vec<Field> {
    let mut paths: Vec<&String> = is.keys().chain(declared.keys()).collect();
    paths.sort();
    paths.dedup();
    let field =
        |path: &String| Field { field: path.clone(), from: is.get(path).cloned(), to: declared.get(path).cloned() };
    paths.into_iter().filter(|path| is.get(*path) != declared.get(*path)).map(field).collect()
}
