//! `--fields a,b.c`: chosen fields of a document or of each of its records.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use super::{Cell, Output, Table};
use crate::error::Failure;

/// The chosen fields of one record, in the order in which they were asked for.
struct Picked<'a>(Vec<(&'a str, &'a Value)>);

impl Serialize for Picked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Shows the chosen fields of `view`: as JSON, else as a table with one record a line.
pub(super) fn show<T: Serialize>(out: &Output, view: &T) -> Result<(), Failure> {
    let failed = |error| Failure::local(format!("cannot write the answer as JSON: {error}"));
    let value = serde_json::to_value(view).map_err(failed)?;
    let records = match &value {
        Value::Array(records) => records.as_slice(),
        one => std::slice::from_ref(one),
    };
    for name in &out.style.fields {
        mention_unknown(out, records, name);
    }
    let names = || out.style.fields.iter().map(String::as_str);
    let pick = |record| Picked(names().map(|name| (name, field(record, name))).collect());
    if out.style.json {
        return match &value {
            Value::Array(_) => out.json(&records.iter().map(pick).collect::<Vec<_>>()),
            one => out.json(&pick(one)),
        };
    }
    let heads: Vec<String> = names().map(|name| format!("~{}", name.to_uppercase())).collect();
    let mut table = Table::new(heads.iter().map(String::as_str));
    for record in records {
        table.row(pick(record).0.into_iter().map(|(_, value)| cell(value)));
    }
    out.table(&table)
}

/// The value at a path of keys joined by dots; null where there is none.
fn field<'a>(record: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(record, |value, key| value.get(key).unwrap_or(&Value::Null))
}

fn cell(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::new("-"),
        Value::String(text) => Cell::new(text),
        other => Cell::new(other.to_string()),
    }
}

/// An absent optional field and a misspelt one look alike, so it is said and not refused.
fn mention_unknown(out: &Output, records: &[Value], name: &str) {
    if records.is_empty() || records.iter().any(|record| !field(record, name).is_null()) {
        return;
    }
    let known: Vec<&str> =
        records.iter().filter_map(Value::as_object).flat_map(|map| map.keys()).map(String::as_str).collect();
    if !known.contains(&name) {
        let near = agentd_schemas::strict::nearest(&known, name);
        let near = match near {
            Some(near) => format!(" (did you mean {near}?)"),
            None => {
                let names: std::collections::BTreeSet<&str> = known.into_iter().collect();
                format!(": they have {}", names.into_iter().collect::<Vec<_>>().join(", "))
            }
        };
        out.note(format!("no record has a field {name}{near}"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Style, tests::written};
    use serde_json::json;

    #[test]
    fn records_keep_the_order_of_the_fields_that_were_asked_for() {
        let view = json!([{ "a": 1, "b": { "c": "x" } }, { "a": 2 }]);
        let style = |json| Style { json, fields: vec!["b.c".to_owned(), "a".to_owned()], ..Style::default() };
        let json = written(style(true), None, |out| out.show(&view, &[], |_| Ok(())).unwrap());
        assert_eq!(json, "[{\"b.c\":\"x\",\"a\":1},{\"b.c\":null,\"a\":2}]\n");
        let table = written(style(false), None, |out| out.show(&view, &[], |_| Ok(())).unwrap());
        assert_eq!(table, "B.C  A\nx    1\n-    2\n");
    }
}
