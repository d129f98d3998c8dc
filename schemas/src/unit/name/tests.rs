use super::{LabelKey, LabelValue, NameError, Skill, Slug};
use proptest::prelude::*;

#[test]
fn names_are_taken_as_they_are() {
    for text in ["a", "0", "coder", "coder-2.1_b", "a..b", &"x".repeat(64)] {
        assert_eq!(text.parse::<Slug>().unwrap().as_str(), text);
    }
    for text in ["rust", "c++", "c#", "node.js", "objective-c"] {
        assert_eq!(text.parse::<Skill>().unwrap().as_str(), text);
    }
    for text in ["team", "example.com/team", "a/b/c"] {
        assert_eq!(text.parse::<LabelKey>().unwrap().as_str(), text);
    }
    for text in ["", "payments", "Zahlungen für Köln", "日本", &"ä".repeat(128)] {
        assert_eq!(text.parse::<LabelValue>().unwrap().as_str(), text);
    }
}

#[test]
fn a_refused_name_says_which_byte_at_which_place() {
    let allowed = "allowed are a-z 0-9 . _ -";
    for (text, message) in [
        ("", "the name is empty; write at least one letter or digit".to_owned()),
        (&"x".repeat(65), "the name has 65 bytes; at most 64 are allowed".to_owned()),
        ("Coder", format!("the name has byte 0x43 (\"C\" U+0043) at byte 1; {allowed}")),
        ("c\u{43e}der", format!("the name has byte 0xd0 (\"\u{43e}\" U+043E) at byte 2; {allowed}")),
        ("a%62c", format!("the name has byte 0x25 (\"%\" U+0025) at byte 2; {allowed}")),
        ("ab\u{202e}c", format!("the name has byte 0xe2 (\"\\u{{202e}}\" U+202E) at byte 3; {allowed}")),
        ("a\0", format!("the name has byte 0x00 (\"\\0\" U+0000) at byte 2; {allowed}")),
        ("a/b", format!("the name has byte 0x2f (\"/\" U+002F) at byte 2; {allowed}")),
        ("..", "the name has '.' at byte 1; begin it, and each part, with a-z or 0-9".to_owned()),
        ("-x", "the name has '-' at byte 1; begin it, and each part, with a-z or 0-9".to_owned()),
    ] {
        assert_eq!(text.parse::<Slug>().unwrap_err().to_string(), message);
    }
}

#[test]
fn label_keys_have_a_name_on_both_sides_of_each_slash() {
    let what = "label key";
    for (text, error) in [
        ("/a", NameError::EmptyPart { what, at: 1 }),
        ("a/", NameError::EmptyPart { what, at: 3 }),
        ("a//b", NameError::EmptyPart { what, at: 3 }),
        ("a/.b", NameError::Start { what, found: '.', at: 3 }),
    ] {
        assert_eq!(text.parse::<LabelKey>(), Err(error), "{text}");
    }
}

#[test]
fn label_values_are_seen_when_printed() {
    for (text, at) in [
        ("a\nb", 2),
        ("a\u{7f}", 2),
        ("a\u{202e}b", 2),
        ("pay\u{200b}ments", 4),
        ("\u{feff}a", 1),
        ("a\u{a0}b", 2),
        ("a\u{e0041}", 2),
        (" a", 1),
        ("a ", 2),
        (" ", 1),
    ] {
        match text.parse::<LabelValue>() {
            Err(NameError::Byte { at: found, .. }) => assert_eq!(found, at, "{text:?}"),
            other => panic!("{text:?} gave {other:?}"),
        }
    }
    assert!("ä".repeat(129).parse::<LabelValue>().is_err());
}

#[test]
fn serde_checks_as_parsing_does() {
    assert_eq!(serde_json::from_str::<Slug>("\"coder\"").unwrap(), "coder".parse().unwrap());
    assert_eq!(serde_json::to_string(&"c++".parse::<Skill>().unwrap()).unwrap(), "\"c++\"");
    assert!(serde_json::from_str::<Slug>("\"Coder\"").is_err());
    assert!(serde_json::from_str::<Slug>("7").is_err());
}

proptest! {
    #[test]
    fn every_slug_is_a_skill_and_a_label_key(text in "[a-z0-9][a-z0-9._-]{0,63}") {
        let slug: Slug = text.parse().unwrap();
        prop_assert_eq!(slug.as_str(), text.as_str());
        prop_assert!(text.parse::<Skill>().is_ok());
        prop_assert!(text.parse::<LabelKey>().is_ok());
        prop_assert!(text.parse::<LabelValue>().is_ok());
    }

    #[test]
    fn any_text_is_answered_and_only_plain_ascii_becomes_a_name(text in "[a-z0-9._/+#%A-Z-]{0,70}|(?s).{0,70}") {
        let is_plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.len() <= 64;
        prop_assert_eq!(text.parse::<Slug>().is_ok(), is_plain);
        let _ = text.parse::<Skill>();
        let _ = text.parse::<LabelKey>();
        let _ = text.parse::<LabelValue>();
    }
}
