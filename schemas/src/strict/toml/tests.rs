use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Limits, from_slice, from_str};
use crate::strict::{DocumentError, ErrorKind};
use crate::unit::duration::Span;
use crate::unit::money::Usd;
use crate::unit::time::WallMs;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Work {
    title: String,
    #[serde(default)]
    required_skills: Vec<String>,
    not_before: Option<WallMs>,
    limits: Option<Bounds>,
    #[serde(default)]
    acceptance: Vec<Acceptance>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    max_cost: Option<Usd>,
    max_attempts: Option<u8>,
    timeout: Option<Span>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Acceptance {
    command: String,
}

const GOOD: &str = r#"title = "Make the retry test deterministic"
required_skills = ["rust"]
not_before = 2026-12-01T22:00:00+01:00

[limits]
max_cost = "2.00 USD"
max_attempts = 2
timeout = "1h"

[[acceptance]]
command = "cargo test"
"#;

fn refused(text: &str) -> DocumentError {
    from_str::<Work>(text, &Limits::DEFAULT).unwrap_err()
}

#[test]
fn a_good_file_is_read() {
    let work: Work = from_slice(GOOD.as_bytes(), &Limits::DEFAULT).unwrap();
    assert_eq!(work.title, "Make the retry test deterministic");
    assert_eq!(work.required_skills, ["rust"]);
    assert_eq!(work.not_before.unwrap().to_string(), "2026-12-01T21:00:00.000Z");
    let limits = work.limits.unwrap();
    assert_eq!(limits.max_cost.unwrap().to_string(), "2.00 USD");
    assert_eq!(limits.max_attempts, Some(2));
    assert_eq!(limits.timeout.unwrap().to_string(), "1h");
    assert_eq!(work.acceptance[0].command, "cargo test");
}

#[test]
fn each_refusal_names_the_thing_the_place_and_the_way_out() {
    for (from, to, said) in [
        (
            "required_skills",
            "required_skils",
            "line 2, column 1: unknown field \"required_skils\"; did you mean \"required_skills\"?",
        ),
        ("max_cost", "maxcost", "line 6, column 1: unknown field \"maxcost\" in limits; did you mean \"max_cost\"?"),
        (
            "command",
            "comand",
            "line 11, column 1: unknown field \"comand\" in acceptance[0]; did you mean \"command\"?",
        ),
        ("\"rust\"", "1", "line 2, column 20: required_skills[0] must be a string, found integer 1"),
        (
            "[limits]",
            "[limits.deep]",
            "line 5, column 9: unknown field \"deep\" in limits; known fields are max_cost, max_attempts, timeout",
        ),
        (
            "\"2.00 USD\"",
            "\"2.00\"",
            "line 6, column 12: limits.max_cost: \"2.00\" names no currency; write \"2.00 USD\"",
        ),
        (
            "= 2\n",
            "= 300\n",
            "line 7, column 16: limits.max_attempts must be a whole number from 0 to 255, found integer 300",
        ),
        (
            "+01:00",
            "",
            "line 3, column 14: not_before: \"2026-12-01T22:00:00\" has no offset from UTC; append \"Z\" or one such as \"+01:00\"",
        ),
        ("timeout", "max_cost", "line 8, column 1: duplicate key \"max_cost\"; keep one of the two"),
        (
            "command = \"cargo test\"",
            "",
            "line 10, column 1: missing field \"command\" in acceptance[0]; add \"command\"",
        ),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_eq!(refused(&text).to_string(), said, "{to}");
    }
}

#[test]
fn text_that_is_no_toml_is_a_syntax_error_with_its_place() {
    for text in ["title", "title = ", "title = 'a", "[limits", "= 1", "title = \"\\ud800\""] {
        let error = refused(text);
        assert_eq!(*error.kind(), ErrorKind::Syntax, "{text}: {error}");
        assert_eq!(error.line(), Some(1), "{text}: {error}");
        assert!(error.message().starts_with("not TOML: "), "{error}");
    }
    assert_eq!(
        *from_slice::<Work>(b"a = '\xFF'", &Limits::DEFAULT).unwrap_err().kind(),
        ErrorKind::NotUtf8 { offset: 5 }
    );
}

#[test]
fn what_a_lenient_reader_lets_through_is_refused_even_where_it_is_ignored() {
    for (text, said) in [
        ("a = inf", "line 1, column 5: the number \"inf\" is out of range"),
        ("b = [1.0, -nan]", "line 1, column 11: the number \"-nan\" is out of range"),
        ("a = 1e4_00", "line 1, column 5: the number \"1e400\" is out of range"),
        (
            "[a]\n'$serde_json::private::RawValue' = '{}'",
            "line 2, column 1: reserved key \"$serde_json::private::RawValue\" in a; rename the key",
        ),
    ] {
        let error = from_str::<IgnoredAny>(text, &Limits::DEFAULT).unwrap_err();
        assert_eq!(error.to_string(), said);
    }
}

#[test]
fn bounds_hold_for_files_too() {
    let limits = Limits { max_bytes: 60, max_depth: 3, max_keys: 2, max_values: 6 };
    let read = |text: &str| from_str::<IgnoredAny>(text, &limits);
    assert!(read("a.b.c = 1\na.b.d = 2").is_ok());
    for (text, said) in [
        (&*"#".repeat(61), "the document is larger than 60 bytes"),
        ("a.b.c.d = 1", "values are nested deeper than 3 levels"),
        ("a = [[[1]]]", "values are nested deeper than 3 levels"),
        ("[o]\na=1\nb=2\nc=3", "more than 2 keys in o"),
        ("a = [1,2,3,4,5,6]", "more than 6 values"),
    ] {
        let error = read(text).unwrap_err();
        assert_eq!(error.message(), said);
        assert!(error.line().is_some() || error.kind() == &ErrorKind::TooLarge { limit: 60 });
    }
}

#[test]
fn nesting_without_end_is_refused_and_not_followed() {
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a = ".repeat(100_000)),
        format!("a{} = 1", ".a".repeat(100_000)),
        format!("[a{}]", ".a".repeat(100_000)),
    ] {
        let error = from_str::<IgnoredAny>(&text, &Limits::DEFAULT).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TooDeep { .. }), "{error}");
    }
}

#[test]
fn dates_of_inputs_are_text_as_json_has_none() {
    let text = "title = 'a'\n[inputs]\nday = 2026-11-22\nat = [2026-11-22T10:00:00Z, { clock = 10:00:00 }]\n";
    let work: crate::document::WorkDocument = from_str(text, &Limits::DEFAULT).unwrap();
    let expected = serde_json::json!({"day": "2026-11-22", "at": ["2026-11-22T10:00:00Z", {"clock": "10:00:00"}]});
    assert_eq!(work.inputs, Some(expected));
}

#[test]
fn a_thing_of_many_kinds_has_one() {
    for text in ["{}", "{ file = 'a', json = '/a' }"] {
        let text = format!("name = 'a'\nprogram.result = {text}\n");
        let error = from_str::<crate::document::AgentDocument>(&text, &Limits::DEFAULT).unwrap_err();
        assert_eq!(error.message(), "program.result must have exactly one field, which names its kind");
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "([a-c.]{1,4} = [0-9a-f\"'.\\[\\]{}:TZ-]{0,12}\n|\\[{1,2}[a-c.]{1,4}\\]{1,2}\n){0,6}|\\PC{0,60}") {
        let _ = from_str::<Work>(&text, &Limits::DEFAULT);
        let _ = from_str::<IgnoredAny>(&text, &Limits::DEFAULT);
    }

    #[test]
    fn tables_survive_a_round_trip(map in prop::collection::btree_map("(?s).{0,8}", any::<i64>(), 0..20)) {
        let text = toml::to_string(&map).unwrap();
        let read: BTreeMap<String, i64> = from_str(&text, &Limits::DEFAULT).unwrap();
        prop_assert_eq!(read, map);
    }
}
