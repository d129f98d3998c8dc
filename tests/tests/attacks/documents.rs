//! Documents that are not what they seem.

use super::{code, scene};

#[test]
fn a_document_that_two_readers_could_read_differently_is_refused_at_both_doors() {
    let (_daemon, operator, agent) = scene();
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let before = operator.events().len();
    let documents: [(&str, String); 8] = [
        ("duplicate", r#"{"title": "a", "title": "b"}"#.to_owned()),
        ("title", r#"{"titel": "a"}"#.to_owned()),
        ("", format!(r#"{{"title": "a", "inputs": {deep}}}"#)),
        ("", "{\"title\": \"a\"".to_owned()),
        ("", "title = 'a'".to_owned()),
        ("", r#"{"title": "\ud800"}"#.to_owned()),
        ("", r#"{"title": 1e999}"#.to_owned()),
        ("priority", r#"{"title": "a", "priority": 101}"#.to_owned()),
    ];
    for (word, document) in &documents {
        let short: String = document.chars().take(60).collect();
        let problem = operator.ask("Works", "Submit", &(document.as_str(), "")).unwrap_err();
        assert!(["invalid_document", "out_of_bounds", "too_large"].contains(&code(&problem)), "{short}: {problem:?}");
        let told = format!("{} {}", problem.message, problem.hint.unwrap_or_default());
        assert!(told.contains(word), "{short}: {told}");
    }
    for body in [
        br#"{"wait_s": 0, "wait_s": 0}"#.as_slice(),
        br#"{"wait_s": 0, "lease": 5}"#,
        br#"{"wait_s": 61}"#,
        br#"{"lease_s": 4}"#,
        br#"{"lease_s": 3601}"#,
        b"{\"wait_s\": \xff}",
        b"\xef\xbb\xbf{}",
        deep.as_bytes(),
    ] {
        let answer = agent.post_bytes("/v1/claim", body);
        assert_eq!(answer.status, 400, "{}", String::from_utf8_lossy(&body[..body.len().min(60)]));
        assert!(["invalid_document", "out_of_bounds"].contains(&code(&answer.problem())));
    }
    let unknown = agent.post_bytes("/v1/claim", br#"{"wait": 1}"#).problem();
    assert!(format!("{} {:?}", unknown.message, unknown.hint).contains("wait_s"), "{unknown:?}");
    assert_eq!(operator.events().len(), before, "nothing was written");
}
