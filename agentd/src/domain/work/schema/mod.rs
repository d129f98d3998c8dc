//! JSON Schemas that strangers write, made safe to judge with: what one may ask for is bounded before it is compiled, and
//! what it does ask for is counted while it judges.
//!
//! A few lines of `$ref` and `anyOf` can ask for more work than a machine can do. So a schema is surveyed (how much of it
//! meets at one place of a result), its patterns are held to an engine that runs in linear time, and every subschema pays
//! for being looked at, out of a purse of steps: an empty purse ends the judgement.

mod metered;
mod pattern;
mod survey;

use serde_json::Value;

use metered::{Cut, with_steps};
use survey::Survey;

/// Subschemas that may be looked at for one place of a result, at most: what `$ref`, `anyOf` and the like make of a few.
pub const MAX_EXPANSION: u64 = 10_000;
/// Subschemas inside each other, by `$ref` and the like, at one place of a result.
pub const MAX_CHAIN: u64 = 64;
/// Bytes of the places (as JSON Pointers) of all keywords of a schema: each is kept with what is compiled.
pub const MAX_PLACE_BYTES: usize = 8 << 20;
/// Different patterns of a schema.
pub const MAX_PATTERNS: usize = 256;
/// What the patterns of a schema are together, each counted repetition written out: `[a-z]{3}` is 3.
pub const MAX_PATTERN_POSITIONS: u64 = 20_000;
/// Steps of one judgement: about one for each subschema that is looked at, more for long texts and lists.
pub const MAX_STEPS: u64 = 10_000_000;

/// Bytes that all complaints about one result may take while they are put together.
const MAX_COMPLAINT_BYTES: u64 = 32 << 20;
/// Bytes of one complaint beside its place in the result, about.
const COMPLAINT_BYTES: u64 = 256;
/// Complaints that are told to the next attempt, at most.
const MAX_MESSAGES: usize = 20;
/// Bytes of one of them, at most.
const MAX_MESSAGE_BYTES: usize = 400;
/// Compiled size of one pattern, and what its engine may remember while it runs.
const PATTERN_BYTES: usize = 1 << 20;
const PATTERN_CACHE_BYTES: usize = 256 << 10;

/// A schema that is ready to judge.
pub struct Validator {
    inner: jsonschema::Validator,
    weight: usize,
}

/// Compiles a schema, if judging with it is bounded; the error is one line.
pub fn compile(schema: &Value) -> Result<Validator, String> {
    let survey = Survey::of(schema)?;
    let patterns = jsonschema::PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_CACHE_BYTES);
    let built = jsonschema::options()
        .with_pattern_options(patterns)
        // A pattern in a result would be compiled, whatever it asks for.
        .with_format("regex", |_| true)
        .with_keyword(metered::KEYWORD, metered::keyword)
        .build(&metered::rewritten(schema, &survey));
    match built {
        Ok(inner) => Ok(Validator { inner, weight: survey.weight() }),
        Err(error) => Err(cut(&error)),
    }
}

impl Validator {
    /// Bytes that it takes in memory, about.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// What the schema says of a result: nothing, or what is wrong with it, line by line.
    pub fn complaints(&self, result: &Value) -> Option<String> {
        match with_steps(MAX_STEPS, || self.inner.is_valid(result)) {
            Ok(true) => return None,
            Ok(false) => {}
            Err(Cut) => {
                return Some(format!(
                    "/: judging this result takes more than {MAX_STEPS} steps: the schema asks for too much, or the \
                     result is too large for it"
                ));
            }
        }
        let steps = MAX_COMPLAINT_BYTES / (COMPLAINT_BYTES + longest_place(result));
        let lines = with_steps(steps, || {
            self.inner.iter_errors(result).take(MAX_MESSAGES).map(|error| line(&error)).collect::<Vec<_>>().join("\n")
        });
        Some(lines.unwrap_or_else(|Cut| {
            "/: the result does not fit the schema, and it would take too long to say where".to_owned()
        }))
    }
}

fn line(error: &jsonschema::ValidationError<'_>) -> String {
    let place = error.instance_path().to_string();
    let place = if place.is_empty() { "/" } else { place.as_str() };
    if let jsonschema::error::ValidationErrorKind::Not { .. } = error.kind() {
        return cut(&format_args!("{place}: this is what it must not be"));
    }
    cut(&format_args!("{place}: {error}"))
}

/// Bytes of the longest JSON Pointer into a value, about: each complaint carries one.
fn longest_place(value: &Value) -> u64 {
    let below = match value {
        Value::Array(items) => items.iter().map(|item| 8 + longest_place(item)).max(),
        Value::Object(members) => members.iter().map(|(key, item)| 2 * key.len() as u64 + longest_place(item)).max(),
        _ => None,
    };
    below.unwrap_or(0)
}

/// The beginning of a text, in one line. The rest is not even put together: it may be as long as the result.
fn cut(text: &dyn std::fmt::Display) -> String {
    struct Short(String);
    impl std::fmt::Write for Short {
        fn write_str(&mut self, part: &str) -> std::fmt::Result {
            for c in part.chars() {
                if self.0.len() + c.len_utf8() > MAX_MESSAGE_BYTES {
                    return Err(std::fmt::Error);
                }
                self.0.push(if matches!(c, '\n' | '\r') { ' ' } else { c });
            }
            Ok(())
        }
    }
    let mut short = Short(String::new());
    // An error is the end of the line, and no harm.
    let _ = std::fmt::write(&mut short, format_args!("{text}"));
    short.0
}

#[cfg(test)]
mod tests;
