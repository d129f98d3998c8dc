//! Steps, paid while a schema judges. The compiled schema is a rewritten one: before each subschema stands a keyword that
//! takes its steps from the purse of this thread, and ends the judgement when the purse is empty.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use jsonschema::{Keyword, ValidationError};
use serde_json::{Map, Value, json};

use super::survey::{Survey, Toll, below, into};

/// The keyword that pays. A schema that has one of this name is refused.
pub(super) const KEYWORD: &str = "agentd:steps";

/// The purse was empty.
pub(super) struct Cut;

thread_local! {
    static PURSE: Cell<u64> = const { Cell::new(0) };
}

/// Judges with so many steps.
pub(super) fn with_steps<T>(steps: u64, judge: impl FnOnce() -> T) -> Result<T, Cut> {
    PURSE.set(steps);
    match catch_unwind(AssertUnwindSafe(judge)) {
        Ok(said) => Ok(said),
        Err(thrown) if thrown.is::<Cut>() => Err(Cut),
        Err(thrown) => resume_unwind(thrown),
    }
}

fn pay(steps: u64) {
    let left = PURSE.get().checked_sub(steps.saturating_add(1));
    // The judging library offers no other way out of the middle of a judgement: what answers "false" here is asked on.
    let Some(left) = left else { resume_unwind(Box::new(Cut)) };
    PURSE.set(left);
}

/// What a subschema costs for one place of a result.
impl Toll {
    fn pay(&self, instance: &Value) {
        pay(self.own / 8);
        match instance {
            Value::String(text) => pay(self.texts(text.len() as u64)),
            Value::Array(items) => pay((items.len() as u64).saturating_mul(1 + self.members) / 4),
            Value::Object(members) => {
                let names = members.keys().map(|name| name.len() as u64).sum::<u64>();
                pay(self.texts(names).saturating_add((members.len() as u64).saturating_mul(1 + self.members) / 4));
            }
            _ => {}
        }
        if self.compares && (instance.is_array() || instance.is_object()) {
            pay(pairs(instance) / 32);
            look_through(instance);
        }
    }

    /// Patterns may look at each byte once for each of their positions.
    fn texts(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(1 + self.positions) / 64
    }
}

/// Lists and objects in a list, each with each: a set of them is searched by digests that can be made alike.
fn pairs(value: &Value) -> u64 {
    let Value::Array(items) = value else { return 0 };
    let rich = items.iter().filter(|item| item.is_array() || item.is_object()).count() as u64;
    rich.saturating_mul(rich)
}

/// Values that are compared are looked at to their ends.
fn look_through(value: &Value) {
    pay(0);
    match value {
        Value::Array(items) => items.iter().for_each(look_through),
        Value::Object(members) => members.values().for_each(look_through),
        _ => {}
    }
}

impl<'i> Keyword<'i> for Toll {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        self.pay(instance);
        Ok(())
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        self.pay(instance);
        true
    }
}

/// Makes the keyword from what the rewriting wrote down.
#[allow(clippy::unnecessary_wraps, reason = "the form of the library's factories")]
pub(super) fn keyword<'a>(
    _parent: &'a Map<String, Value>,
    written: &'a Value,
    _place: jsonschema::paths::Location,
) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>> {
    let number = |place: usize| written.get(place).and_then(Value::as_u64).unwrap_or(0);
    Ok(Box::new(Toll { own: number(0), positions: number(1), members: number(2), compares: number(3) == 1 }))
}

/// What says which kind of schema a document is; it stays at the top.
const HEAD: &[&str] = &["$schema", "$id", "id", "$recursiveAnchor", "$vocabulary"];

/// The schema with a toll before each subschema.
pub(super) fn rewritten(schema: &Value, survey: &Survey<'_>) -> Value {
    let Value::Object(members) = schema else { return schema.clone() };
    let mut head: Map<String, Value> = Map::new();
    let mut body = members.clone();
    for key in HEAD {
        if let Some(value) = body.remove(*key) {
            head.insert((*key).to_owned(), value);
        }
    }
    let Value::Object(wrapped) = rewrite(&Value::Object(body), "", survey) else { return schema.clone() };
    head.extend(wrapped);
    Value::Object(head)
}

fn rewrite(value: &Value, place: &str, survey: &Survey<'_>) -> Value {
    let found = survey.found(place);
    match value {
        Value::Array(items) => {
            items.iter().enumerate().map(|(at, item)| rewrite(item, &below(place, &at.to_string()), survey)).collect()
        }
        Value::Object(members) => {
            let inner = members.iter().map(|(key, member)| {
                let target = found.and_then(|found| found.refs.get(key.as_str()));
                match target {
                    Some(target) => (key.clone(), Value::String(moved(target, survey))),
                    None => (key.clone(), rewrite(member, &below(place, key), survey)),
                }
            });
            let inner: Map<String, Value> = inner.collect();
            let Some(found) = found else { return Value::Object(inner) };
            let Toll { own, positions, members, compares } = found.toll();
            json!({ "allOf": [{ (KEYWORD): [own, positions, members, u8::from(compares)] }, inner] })
        }
        other => other.clone(),
    }
}

/// Where a subschema is after the rewriting, as a reference.
fn moved(target: &str, survey: &Survey<'_>) -> String {
    let (mut from, mut to) = (String::new(), "#".to_owned());
    for token in target.split('/').skip(1) {
        if survey.is_object(&from) {
            to.push_str("/allOf/1");
        }
        from.push('/');
        from.push_str(token);
        to.push('/');
        to.push_str(&into(token));
    }
    to
}
