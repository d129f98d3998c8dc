use std::collections::{BTreeMap, HashSet};
use std::fmt;

use proptest::prelude::*;
use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{Limits, from_slice};
use crate::strict::{DocumentError, ErrorKind};

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    work: Work,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Work {
    title: String,
    #[serde(default)]
    skills: Vec<String>,
    #[serde(default)]
    on_mismatch: Option<Choice>,
    #[serde(default)]
    limits: Option<Bounds>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Choice {
    Record,
    Pause,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    #[serde(default)]
    max_tokens: u64,
    #[serde(default)]
    max_attempts: u8,
    #[serde(default)]
    timeout: Option<crate::unit::duration::Span>,
}

fn refused<T: serde::de::DeserializeOwned + fmt::Debug>(text: &str) -> DocumentError {
    from_slice::<T>(text.as_bytes(), &Limits::DEFAULT).unwrap_err()
}

#[test]
fn a_good_document_is_read() {
    let text = br#" {"work": {"title": "t\u00e9\ud83d\ude00", "skills": ["rust"], "on_mismatch": "pause",
        "limits": {"max_tokens": 2000000, "timeout": "1h"}}} "#;
    let document: Document = from_slice(text, &Limits::DEFAULT).unwrap();
    assert_eq!(document.work.title, "té😀");
    assert_eq!(document.work.on_mismatch, Some(Choice::Pause));
    assert_eq!(document.work.limits.unwrap().max_tokens, 2_000_000);
}

#[test]
fn each_refusal_names_the_thing_the_place_and_the_way_out() {
    for (text, said) in [
        (
            r#"{"work": {"title": "t", "skils": []}}"#,
            "line 1, column 31: unknown field \"skils\" in work; did you mean \"skills\"?",
        ),
        (
            "{\"work\": {\"title\": \"t\", \"limits\": {\n\"max_tokns\": 1}}}",
            "line 2, column 11: unknown field \"max_tokns\" in work.limits; did you mean \"max_tokens\"?",
        ),
        (r#"{"wrk": 1}"#, "line 1, column 6: unknown field \"wrk\"; did you mean \"work\"?"),
        (r#"{"colour": 1}"#, "line 1, column 9: unknown field \"colour\"; known fields are work"),
        (r#"{"work": {"title": 5}}"#, "line 1, column 20: work.title must be a string, found integer 5"),
        (
            r#"{"work": {"title": "t", "skills": ["a", {}]}}"#,
            "line 1, column 40: work.skills[1] must be a string, found an object",
        ),
        (
            r#"{"work": {"title": "t", "limits": {"max_tokens": "many"}}}"#,
            "line 1, column 55: work.limits.max_tokens must be a whole number of 0 or more, found string \"many\"",
        ),
        (
            r#"{"work": {"title": "t", "limits": {"max_attempts": 300}}}"#,
            "line 1, column 54: work.limits.max_attempts must be a whole number from 0 to 255, found integer 300",
        ),
        (
            r#"{"work": {"title": "t", "limits": {"timeout": "90"}}}"#,
            "line 1, column 51: work.limits.timeout: \"90\" names no unit; write \"90s\", \"90min\" or \"90h\"",
        ),
        (
            r#"{"work": {"title": "t", "on_mismatch": "paus"}}"#,
            "line 1, column 45: work.on_mismatch has no meaning for \"paus\"; did you mean \"pause\"?",
        ),
        (r#"{"work": {}}"#, "line 1, column 11: missing field \"title\" in work; add \"title\""),
        (r#"{"work": []}"#, "line 1, column 11: work must be an object, found an array of length 0"),
        (r#"{"work": 7}"#, "line 1, column 10: work must be an object, found integer 7"),
        (
            r#"{"work": {"title": "t", "title": "u"}}"#,
            "line 1, column 25: duplicate key \"title\" in work; keep one of the two",
        ),
        (
            r#"{"work": {"title": "t"}} {}"#,
            "line 1, column 26: more content follows the document; write one value for each document",
        ),
    ] {
        assert_eq!(refused::<Document>(text).to_string(), said, "{text}");
    }
}

#[test]
fn paths_and_kinds_are_there_for_programs() {
    let error = refused::<Document>(r#"{"work": {"title": "t", "skils": []}}"#);
    assert_eq!(error.path(), "work.skils");
    assert_eq!((error.line(), error.column()), (Some(1), Some(31)));
    assert_eq!(error.message(), "unknown field \"skils\" in work");
    assert_eq!(error.hint(), Some("did you mean \"skills\"?"));
    let kind = ErrorKind::UnknownField { field: "skils".to_owned(), nearest: Some("skills".to_owned()) };
    assert_eq!(*error.kind(), kind);
    let error = refused::<Document>(r#"{"work": {"title": true}}"#);
    let kind = ErrorKind::WrongType { expected: "a string".to_owned(), found: "boolean true".to_owned() };
    assert_eq!(*error.kind(), kind);
}

#[test]
fn duplicate_keys_are_found_wherever_they_are() {
    for (text, path, column) in [
        (r#"{"a":1,"a":2}"#, "a", 8),
        (r#"{"a":1,"b":2,"b":3,"a":4}"#, "b", 14),
        (r#"{"a":1,"\u0061":2}"#, "a", 8),
        (r#"[0,{"x":{"y":1,"z":[],"y":{}}}]"#, "[1].x.y", 23),
        (r#"{"a":{"k":1},"b":[{"k":1},{"k":1,"k":1}]}"#, "b[1].k", 34),
        (r#"{"":0,"":0}"#, "\"\"", 7),
    ] {
        let error = refused::<Value>(text);
        assert!(matches!(error.kind(), ErrorKind::DuplicateKey { .. }), "{text}: {error}");
        assert_eq!((error.path(), error.column()), (path, Some(column)), "{text}");
        assert_eq!(refused::<IgnoredAny>(text), error, "where the type ignores it");
    }
    for text in
        [r#"{"a":{"a":{"a":1}},"b":["a","a"],"c":"a","d":{"a":1}}"#, r#"[{"a":1},{"a":1}]"#, r#"{"a":1,"A":2,"a ":3}"#]
    {
        assert!(from_slice::<Value>(text.as_bytes(), &Limits::DEFAULT).is_ok(), "{text}");
    }
}

#[test]
fn what_a_lenient_reader_lets_through_is_refused_even_where_it_is_ignored() {
    for (text, said) in [
        (r#"{"a":"\ud800"}"#, "\\ud800 is half of a surrogate pair and stands alone"),
        (r#"["\uDC00"]"#, "\\udc00 is half of a surrogate pair and stands alone"),
        (r#"["\ud83dx"]"#, "\\ud83d is half of a surrogate pair and stands alone"),
        (r#"{"\ud83d\u0041":1}"#, "\\ud83d is half of a surrogate pair and stands alone"),
        ("[1e400]", "[0]: the number \"1e400\" is out of range"),
        (
            r#"{"a":[{"b":18446744073709551616}]}"#,
            "a[0].b: the number \"18446744073709551616\" is out of range: whole numbers have 64 bits",
        ),
        (
            r#"{"a":3.14159265358979323846}"#,
            "a: the number \"3.14159265358979323846\" has more digits than a 64-bit float keeps",
        ),
        ("-1E+999", "the number \"-1E+999\" is out of range"),
        (
            &"9".repeat(400),
            "the number \"99999999999999999999999999999999…\" is out of range: whole numbers have 64 bits",
        ),
        (
            r#"{"a":{"$serde_json::private::RawValue":"{\"x\":1,\"x\":2}"}}"#,
            "reserved key \"$serde_json::private::RawValue\" in a",
        ),
        (r#"{"$__toml_private_datetime":"1"}"#, "reserved key \"$__toml_private_datetime\""),
        (r#"{"\u0024__toml_private_datetime":"1"}"#, "reserved key \"$__toml_private_datetime\""),
        ("\u{feff}{}", "the document begins with a byte order mark"),
    ] {
        assert_eq!(refused::<IgnoredAny>(text).message(), said, "{text}");
    }
    assert!(from_slice::<f64>(b"1e-400", &Limits::DEFAULT).is_err());
    assert!(from_slice::<f64>(b"1.7e308", &Limits::DEFAULT).is_ok());
}

#[test]
fn text_that_is_no_json_is_a_syntax_error_with_its_place() {
    for (text, line, column) in [
        ("", 1, 1),
        ("{\"a\": 1,\n}", 2, 1),
        ("{\"ä\" 1}", 1, 6),
        ("[1,]", 1, 4),
        ("{]", 1, 2),
        ("[}", 1, 2),
        ("]", 1, 1),
        ("[01]", 1, 3),
        ("[NaN]", 1, 2),
        ("{'a':1}", 1, 2),
        ("[\"a\nb\"]", 1, 3),
        ("\"abc", 1, 4),
    ] {
        let error = refused::<IgnoredAny>(text);
        assert_eq!(*error.kind(), ErrorKind::Syntax, "{text:?}: {error}");
        assert_eq!((error.line(), error.column()), (Some(line), Some(column)), "{text:?}: {error}");
    }
}

#[test]
fn bytes_that_are_no_utf8_are_named_by_offset() {
    let error = from_slice::<Value>(b"[\"a\n\xFF\"]", &Limits::DEFAULT).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotUtf8 { offset: 4 });
    assert_eq!((error.line(), error.column()), (Some(2), Some(1)));
}

#[test]
fn bounds_hold_before_anything_is_built() {
    let limits = Limits { max_bytes: 40, max_depth: 3, max_keys: 2, max_values: 6 };
    let read = |text: &str| from_slice::<Value>(text.as_bytes(), &limits);
    assert!(read("[[[1]]]").is_ok());
    assert!(read(r#"{"a":1,"b":2}"#).is_ok());
    assert!(read("[1,2,3,4,5]").is_ok());
    for (text, said) in [
        (&*"[".repeat(41), "the document is larger than 40 bytes"),
        ("[[{\"a\":[]}]]", "line 1, column 8: values are nested deeper than 3 levels"),
        (r#"{"o":{"a":1,"b":2,"c":3}}"#, "more than 2 keys in o"),
        ("[1,2,3,4,5,6]", "more than 6 values"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    assert_eq!(read("[[{\"a\":[]}]]").unwrap_err().path(), "[0][0].a");
}

#[test]
fn nesting_without_end_is_refused_and_not_followed() {
    for text in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
        let error = refused::<IgnoredAny>(&text);
        assert_eq!(*error.kind(), ErrorKind::TooDeep { limit: 32 });
    }
    // The parser's own bound holds where the limits ask for more.
    let limits = Limits { max_depth: usize::MAX, ..Limits::DEFAULT };
    let deep = "[".repeat(100_000);
    let error = from_slice::<IgnoredAny>(deep.as_bytes(), &limits);
    assert!(error.is_err());
    let error = from_slice::<Value>(deep.as_bytes(), &limits).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::TooDeep { limit: 127 });
}

#[test]
fn a_message_repeats_little_of_the_document_and_no_control_characters() {
    let long = "k".repeat(100_000);
    for text in [
        format!("{{\"{long}\":1,\"{long}\":2}}"),
        format!("{{\"work\":{{\"{long}\":2}}}}"),
        format!("{{\"work\":\"{long}\"}}"),
        "{\"work\":{\"\\u001b[2J\\u202e\":1}}".to_owned(),
    ] {
        let said = refused::<Document>(&text).to_string();
        assert!(said.len() < 400, "{said}");
        assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said}");
    }
}

/// A second implementation of the duplicate rule, by serde alone: it fails on a key that repeats.
struct Distinct;

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Distinct {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self, A::Error> {
        while array.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some((key, _)) = object.next_entry::<String, Self>()? {
            if !seen.insert(key) {
                return Err(A::Error::custom("repeated"));
            }
        }
        Ok(self)
    }
}

/// JSON text whose keys often repeat, some of them written with escapes.
fn repetitive() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1".to_owned()),
        Just("-2.5e3".to_owned()),
        Just("null".to_owned()),
        Just(r#""a\"}]{,""#.to_owned()),
        Just(r#""\\""#.to_owned()),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let key = prop_oneof![Just("a"), Just("b"), Just("c"), Just("d"), Just("e"), Just(r"\u0061"), Just(r"\"),];
        let key = key.prop_map(|key| if key == r"\" { r"\\".to_owned() } else { key.to_owned() });
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[{}]", v.join(" ,"))),
            prop::collection::vec((key, inner), 0..4).prop_map(|entries| {
                let entries: Vec<String> = entries.iter().map(|(k, v)| format!("\"{k}\": {v}")).collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn duplicates_are_found_exactly_where_a_second_implementation_finds_them(text in repetitive()) {
        let is_distinct = serde_json::from_str::<Distinct>(&text).is_ok();
        let read = from_slice::<Value>(text.as_bytes(), &Limits::DEFAULT);
        prop_assert_eq!(read.is_ok(), is_distinct, "{}", text);
        if let Err(error) = read {
            let is_duplicate = matches!(error.kind(), ErrorKind::DuplicateKey { .. });
            prop_assert!(is_duplicate, "{}", error);
        }
    }

    #[test]
    fn a_damaged_document_is_never_taken_for_more_than_json(
        text in repetitive(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let is_json = serde_json::from_slice::<Distinct>(&bytes).is_ok();
        prop_assert_eq!(from_slice::<Distinct>(&bytes, &Limits::DEFAULT).is_ok(), is_json);
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = from_slice::<Document>(&bytes, &Limits::DEFAULT);
    }

    #[test]
    fn any_tokens_are_answered(text in "[{}\\[\\],:\"\\\\ud8ce019.+a-]{0,60}") {
        let read = from_slice::<Value>(text.as_bytes(), &Limits::DEFAULT);
        if let Ok(value) = read {
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }

    #[test]
    fn maps_survive_a_round_trip(map in prop::collection::btree_map("(?s).{0,8}", any::<i64>(), 0..40)) {
        let text = serde_json::to_vec(&map).unwrap();
        let read: BTreeMap<String, i64> = from_slice(&text, &Limits::DEFAULT).unwrap();
        prop_assert_eq!(read, map);
    }
}

#[test]
fn a_thing_of_many_kinds_says_which_one_is_missing() {
    for (result, path, message) in [
        ("{}", "program.result", "program.result is an empty object"),
        (r#"{"file": "a", "json": "/a"}"#, "program.result", "program.result has 2 fields"),
        ("3", "program.result", "program.result is a number"),
    ] {
        let text = format!("{{\"name\": \"a\", \"program\": {{\"result\": {result}}}}}");
        let error = refused::<crate::document::AgentDocument>(&text);
        assert_eq!(error.path(), path, "{error}");
        assert!(error.message().starts_with(message), "{error}");
        assert!(error.message().contains("exactly one of stdout, file, json, socket"), "{error}");
    }
}
