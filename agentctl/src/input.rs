//! Files that people name: read whole within a bound, `-` for stdin; and documents in TOML, JSON or JSON Lines.

use std::io::Read;

use agentd_schemas::strict::{Limits, json, jsonl, toml};
use serde::de::DeserializeOwned;

use crate::error::Failure;

/// Reads a file, or stdin for `-`, of at most `limit` bytes.
pub(crate) fn read(name: &str, limit: usize) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::file(shown(name), "read", &error);
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    if name == "-" {
        std::io::stdin().lock().take(bound).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        std::fs::File::open(name).and_then(|file| file.take(bound).read_to_end(&mut bytes)).map_err(failed)?;
    }
    if bytes.len() > limit {
        return Err(Failure::usage(format!("{} is larger than {limit} bytes", shown(name))));
    }
    Ok(bytes)
}

/// The same as text.
pub(crate) fn text(name: &str, limit: usize) -> Result<String, Failure> {
    String::from_utf8(read(name, limit)?).map_err(|_| Failure::usage(format!("{} is not UTF-8", shown(name))))
}

/// A file as errors name it.
pub(crate) fn shown(name: &str) -> &str {
    if name == "-" { "stdin" } else { name }
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Toml,
    Json,
    JsonList,
    JsonLines,
}

/// By the name where it says so, else by the content.
fn format(name: &str, bytes: &[u8]) -> Format {
    let trimmed = bytes.trim_ascii_start();
    let after = trimmed.get(1..).unwrap_or_default().trim_ascii_start().first();
    // A TOML table also begins with a bracket, but a name and no brace or bracket follows a single one.
    let is_list = trimmed.first() == Some(&b'[') && matches!(after, Some(b'{' | b']'));
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("toml") => Format::Toml,
        Some("jsonl" | "ndjson") => Format::JsonLines,
        Some("json") if is_list => Format::JsonList,
        Some("json") => Format::Json,
        _ if is_list => Format::JsonList,
        _ if trimmed.first() != Some(&b'{') => Format::Toml,
        _ if holds_lines(trimmed) => Format::JsonLines,
        _ => Format::Json,
    }
}

/// Whether the first line is a JSON value of its own and another one follows.
fn holds_lines(bytes: &[u8]) -> bool {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return false;
    };
    let is_value = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes[..end]).is_ok();
    is_value && bytes[end..].trim_ascii_start().first() == Some(&b'{')
}

/// Reads one document.
pub(crate) fn document<T: DeserializeOwned>(name: &str, limit: usize) -> Result<T, Failure> {
    let mut documents = documents(name, limit, 1)?;
    match (documents.pop(), documents.is_empty()) {
        (Some(document), true) => Ok(document),
        _ => Err(Failure::usage(format!("{} should hold one document", shown(name)))),
    }
}

/// Reads the documents of a file: one in TOML or JSON, many in a JSON list or JSON Lines.
pub(crate) fn documents<T: DeserializeOwned>(name: &str, limit: usize, most: usize) -> Result<Vec<T>, Failure> {
    parsed(name, read(name, limit)?, most)
}

/// Reads the documents in what a file of this name held.
pub(crate) fn parsed<T: DeserializeOwned>(name: &str, mut bytes: Vec<u8>, most: usize) -> Result<Vec<T>, Failure> {
    // Some editors begin UTF-8 with a mark; in a file it is harmless whatever the format.
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    let documents = parse(name, &bytes, most).map_err(|error| Failure::document(shown(name), &error))?;
    match documents.len() {
        0 => Err(Failure::usage(format!("{} holds no document", shown(name)))),
        found if found > most => {
            Err(Failure::usage(format!("{} holds {found} documents, at most {most} are allowed here", shown(name))))
        }
        _ => Ok(documents),
    }
}

fn parse<T: DeserializeOwned>(
    name: &str,
    bytes: &[u8],
    most: usize,
) -> Result<Vec<T>, agentd_schemas::strict::DocumentError> {
    let limits = Limits::DEFAULT;
    match format(name, bytes) {
        Format::Toml => Ok(vec![toml::from_slice(bytes, &limits)?]),
        Format::Json => Ok(vec![json::from_slice(bytes, &limits)?]),
        Format::JsonList => json::from_slice(bytes, &limits),
        Format::JsonLines => {
            let line = Limits { max_bytes: limits.max_bytes, ..limits };
            jsonl::lines(bytes, jsonl::LineLimits { line, max_lines: most }).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use agentd_schemas::document::WorkDocument;

    use super::*;

    #[test]
    fn the_format_follows_the_name_and_else_the_content() {
        for (name, text, expected) in [
            ("work.toml", "{", Format::Toml),
            ("work.json", "{}", Format::Json),
            ("works.json", " [ {} ]", Format::JsonList),
            ("works.jsonl", "", Format::JsonLines),
            ("-", "title = 'a'", Format::Toml),
            ("-", "[limits]\n", Format::Toml),
            ("-", "[[acceptance]]\n", Format::Toml),
            ("-", "[]", Format::JsonList),
            ("-", "{\n\"title\": \"a\"}\n", Format::Json),
            ("-", "{\"title\": \"a\"}\n", Format::Json),
            ("-", "{\"title\": \"a\"}\n{\"title\": \"b\"}\n", Format::JsonLines),
        ] {
            assert_eq!(format(name, text.as_bytes()), expected, "{name} {text:?}");
        }
    }

    #[test]
    fn every_format_gives_the_same_work() {
        let title = |name: &str, text: &str| {
            let works: Vec<WorkDocument> = parse(name, text.as_bytes(), 9).unwrap();
            works.into_iter().map(|work| work.title.unwrap()).collect::<Vec<_>>().join(",")
        };
        assert_eq!(title("-", "title = \"a\"\n"), "a");
        assert_eq!(title("-", "{\"title\":\"a\"}"), "a");
        assert_eq!(title("-", "[{\"title\":\"a\"},{\"title\":\"b\"}]"), "a,b");
        assert_eq!(title("-", "{\"title\":\"a\"}\n{\"title\":\"b\"}\n"), "a,b");
    }

    #[test]
    fn a_misspelt_field_is_refused_with_its_place_and_the_nearest_name() {
        let error = parse::<WorkDocument>("-", b"titel = 'a'\n", 1).unwrap_err();
        let told = Failure::document("work.toml", &error).told(false);
        assert_eq!(told, "error: work.toml:1:1: unknown field \"titel\"\nhint: did you mean \"title\"?\n");
    }
}
