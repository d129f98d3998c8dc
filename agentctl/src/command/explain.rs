//! `agentctl explain`

use agentd_schemas::document::schema::SCHEMAS;
use agentd_schemas::strict::nearest;
use serde_json::Value;

use crate::context::Context;
use crate::error::Failure;
use crate::output::{Cell, Colour, Output, Table};

/// Say what a field of a file means
///
/// The files are work, agent, schedule, objective, budget and governance; fields inside fields are joined by dots.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  agentctl explain work\n  agentctl explain work.limits.max_cost\n  agentctl explain schedule --json > schedule.schema.json"
)]
pub(crate) struct Args {
    /// A file, or a field of one
    #[arg(value_name = "FILE[.FIELD]")]
    field: String,
}

impl Args {
    /// Runs the command.
    #[allow(clippy::unused_async, reason = "every command has this form")]
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let mut steps = self.field.split('.');
        let file = steps.next().unwrap_or_default();
        let names = SCHEMAS.map(|(name, _)| name);
        let schema = SCHEMAS.iter().find(|(name, _)| *name == file).map(|(_, schema)| *schema);
        let schema = schema.ok_or_else(|| {
            Failure::not_found(format!("there is no file {file:?} to explain"))
                .hint(format!("files are {}", names.join(", ")))
        })?;
        let root: Value = crate::context::read(schema)?;
        let mut at = Place { root: &root, schema: &root, path: file.to_owned(), required: true };
        for step in steps {
            at = at.enter(step)?;
        }
        context.out.show(at.schema, &at.field_names(), |out| at.words(out))
    }
}

/// One place in a schema.
struct Place<'a> {
    root: &'a Value,
    schema: &'a Value,
    path: String,
    required: bool,
}

impl<'a> Place<'a> {
    /// The field `name` of this place.
    fn enter(&self, name: &str) -> Result<Self, Failure> {
        let fields = self.fields();
        let found = fields.iter().find(|(field, ..)| *field == name);
        let path = format!("{}.{name}", self.path);
        if let Some((_, schema, required)) = found {
            return Ok(Self { root: self.root, schema, path, required: *required });
        }
        let known: Vec<&str> = fields.iter().map(|(field, ..)| *field).collect();
        let failure = Failure::not_found(format!("{} has no field {name:?}", self.path));
        Err(match nearest(&known, name) {
            Some(near) => failure.hint(format!("agentctl explain {}.{near}", self.path)),
            None if known.is_empty() => failure.hint(format!("agentctl explain {}", self.path)),
            None => failure.hint(format!("fields are {}", known.join(", "))),
        })
    }

    fn field_names(&self) -> Vec<String> {
        self.fields().into_iter().map(|(name, ..)| name.to_owned()).collect()
    }

    /// The fields of an object here, or of the objects in a list here, or of every form that this place may have.
    fn fields(&self) -> Vec<(&'a str, &'a Value, bool)> {
        let mut fields = Vec::new();
        self.collect(self.schema, 0, true, &mut fields);
        fields
    }

    fn collect(&self, schema: &'a Value, depth: u32, only: bool, fields: &mut Vec<(&'a str, &'a Value, bool)>) {
        // The schemas are our own and not recursive; the bound keeps a mistake in them from becoming a hang.
        if depth > 16 {
            return;
        }
        let schema = self.resolve(schema);
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            if !fields.iter().any(|(known, ..)| known == name) {
                fields.push((name, field, only && required.contains(&name.as_str())));
            }
        }
        let forms = forms(schema);
        // Of several forms one is chosen, so what one of them needs is not needed here.
        let only = only && forms.iter().filter(|form| form["type"] != "null").count() < 2;
        for form in forms.into_iter().chain(schema.get("items")) {
            self.collect(form, depth + 1, only, fields);
        }
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        pointer.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(schema)
    }

    /// What is written at a schema itself, else at what it refers to.
    fn said(&self, schema: &'a Value) -> String {
        let own = schema["description"].as_str();
        let there = || forms(schema).into_iter().find_map(|form| self.resolve(form)["description"].as_str());
        own.or_else(|| self.resolve(schema)["description"].as_str()).or_else(there).unwrap_or_default().to_owned()
    }

    /// How the text at a schema is written, with an example: what the unit that it refers to says of itself.
    fn form(&self, schema: &'a Value) -> Option<&'a str> {
        let unit = self.unit(schema)?;
        unit.strip_prefix("#/$defs/").and_then(|name| self.root["$defs"][name]["description"].as_str())
    }

    /// The reference to the unit at a schema, through lists and what may be absent.
    fn unit(&self, schema: &'a Value) -> Option<&'a str> {
        let at = |schema: &'a Value| schema["$ref"].as_str();
        let found = at(schema).or_else(|| forms(schema).into_iter().find_map(at)).or_else(|| at(&schema["items"]))?;
        let is_text = self.root.pointer(found.strip_prefix('#')?)?["type"] == "string";
        is_text.then_some(found)
    }

    /// The kind of value, in words: `text`, `list of objects`.
    fn kind(&self, schema: &'a Value) -> String {
        let kind = match self.unit(schema).filter(|_| schema["type"] != "array") {
            Some("#/$defs/WallMs") => Some("time"),
            Some("#/$defs/Span") => Some("duration"),
            Some("#/$defs/Usd") => Some("amount of money"),
            _ => None,
        };
        if let Some(kind) = kind {
            return kind.to_owned();
        }
        let schema = self.resolve(schema);
        if let Some(words) = self.words_of(schema) {
            return words;
        }
        let kinds: Vec<&str> = match &schema["type"] {
            Value::String(kind) => vec![kind],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect(),
            _ => Vec::new(),
        };
        match kinds.first() {
            Some(&"array") => format!("list of {}", self.kind(&schema["items"])),
            Some(&"object") => "object".to_owned(),
            Some(&"string") => "text".to_owned(),
            Some(&"integer") => "whole number".to_owned(),
            Some(&"boolean") => "true or false".to_owned(),
            Some(kind) => (*kind).to_owned(),
            None => match forms(schema).into_iter().find(|form| form["type"] != "null") {
                Some(form) => self.kind(form),
                None => "any value".to_owned(),
            },
        }
    }

    /// The words that may stand here, where it is one of a few.
    fn words_of(&self, schema: &'a Value) -> Option<String> {
        let mut words: Vec<&str> = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        words.extend(schema["const"].as_str());
        words.extend(forms(schema).into_iter().filter_map(|form| self.resolve(form)["const"].as_str()));
        (!words.is_empty()).then(|| words.join(" | "))
    }

    fn words(&self, out: &Output) -> Result<(), Failure> {
        let required = if self.required { "" } else { ", optional" };
        out.line(format!("{}  ({}{required})", out.paint(Colour::Bold, &self.path), self.kind(self.schema)))?;
        let said = self.said(self.schema);
        if !said.is_empty() {
            out.line(format!("  {}", said.replace('\n', "\n  ")))?;
        }
        if let Some(form) = self.form(self.schema).filter(|form| *form != said) {
            out.line(format!("  {}", form.replace('\n', " ")))?;
        }
        if let Some(value) = self.schema.get("default").filter(|value| !value.is_null()) {
            out.line(format!("  default: {value}"))?;
        }
        let fields = self.fields();
        if fields.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(["FIELD", "~KIND", "~MEANING"]);
        for (name, schema, required) in fields {
            let name = if required { format!("{name} (needed)") } else { name.to_owned() };
            table.row([Cell::new(name), Cell::new(self.kind(schema)), Cell::new(self.said(schema).replace('\n', " "))]);
        }
        out.line("")?;
        out.table(&table)
    }
}

/// Every place in a file: `work`, `work.limits`, `work.limits.max_cost`.
pub(super) fn paths(file: &str, schema: &str) -> Vec<String> {
    let Ok(root) = serde_json::from_str::<Value>(schema) else {
        return Vec::new();
    };
    let mut open = vec![Place { root: &root, schema: &root, path: file.to_owned(), required: true }];
    let mut paths = Vec::new();
    while let Some(place) = open.pop() {
        // The schemas are our own and not recursive; the bound keeps a mistake in them from becoming a hang.
        if place.path.split('.').count() < 6 {
            open.extend(place.field_names().iter().rev().filter_map(|name| place.enter(name).ok()));
        }
        paths.push(place.path);
    }
    paths
}

/// The forms that a schema offers.
fn forms(schema: &Value) -> Vec<&Value> {
    ["anyOf", "oneOf", "allOf"].into_iter().flat_map(|key| schema[key].as_array().into_iter().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Style;
    use crate::output::tests::written;

    fn explained(path: &str) -> Result<String, Failure> {
        let mut steps = path.split('.');
        let file = steps.next().unwrap();
        let root: Value = serde_json::from_str(SCHEMAS.iter().find(|(name, _)| *name == file).unwrap().1).unwrap();
        let mut at = Place { root: &root, schema: &root, path: file.to_owned(), required: true };
        for step in steps {
            at = at.enter(step)?;
        }
        Ok(written(Style::default(), None, |out| at.words(out).unwrap()))
    }

    #[test]
    fn fields_inside_fields_are_found_with_what_they_mean() {
        for (path, parts) in [
            ("work", &["instructions", "depends_on", "list of text"][..]),
            ("work.limits.max_cost", &["(amount of money, optional)", "Money over all attempts", "2.00 USD"]),
            ("work.not_before", &["(time, optional)", "Not handed out", "2026-11-22T08:00:00.000Z"]),
            ("work.limits.timeout", &["(duration, optional)", "1h 30min"]),
            ("work.required_skills", &["list of text", "a-z 0-9"]),
            ("work.on_deadline", &["breach | stop"]),
            ("work.acceptance", &["json_schema", "person"]),
            ("schedule.work.slo.start_within", &["A first agent has it within this time"]),
            ("agent.model.on_mismatch", &["record | pause | deny"]),
            ("objective.window", &["(duration)", "28d", "1h 30min"]),
        ] {
            let text = explained(path).unwrap();
            for part in parts {
                assert!(text.contains(part), "{path}: {part}\n{text}");
            }
        }
    }

    #[test]
    fn every_place_is_known_by_its_path() {
        let found: Vec<String> = SCHEMAS.iter().flat_map(|(name, schema)| paths(name, schema)).collect();
        for path in &found {
            explained(path).unwrap();
        }
        assert!(found.contains(&"schedule.work.limits.max_cost".to_owned()), "{found:?}");
    }

    #[test]
    fn a_misspelt_field_is_not_found_and_the_nearest_is_named() {
        let failure = explained("work.limits.max_costs").unwrap_err();
        assert_eq!(failure.exit(), 6);
        assert!(
            failure.told(false).ends_with("hint: agentctl explain work.limits.max_cost\n"),
            "{}",
            failure.told(false)
        );
    }
}
