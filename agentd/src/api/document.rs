//! Documents at a door: read strictly, and refused with the place and the way out.

use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::strict::{DocumentError, ErrorKind, Limits, json};
use serde::de::DeserializeOwned;

/// Reads one JSON document of a caller.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    json::from_slice(bytes, &Limits::DEFAULT).map_err(|error| problem(&error))
}

/// The one place where a refused document becomes an error of a door.
fn problem(error: &DocumentError) -> Problem {
    let code = match error.kind() {
        ErrorKind::TooLarge { .. } => Code::TooLarge,
        _ => Code::InvalidDocument,
    };
    let mut problem = Problem::new(code, error.message());
    problem.hint = error.hint().map(str::to_owned);
    if !error.path().is_empty() {
        problem = problem.detail("path", error.path());
    }
    if let (Some(line), Some(column)) = (error.line(), error.column()) {
        problem = problem.detail("line", line).detail("column", column);
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::read;
    use agentd_schemas::document::WorkDocument;
    use agentd_schemas::problem::Code;
    use serde_json::json;

    #[test]
    fn a_refused_document_names_the_place_and_the_way_out() {
        let text = "{\n  \"title\": \"a\",\n  \"limits\": {\"max_atempts\": 3}\n}";
        let problem = read::<WorkDocument>(text.as_bytes()).unwrap_err();
        assert_eq!(problem.code, Code::InvalidDocument);
        assert!(problem.message.contains("max_atempts"), "{problem:?}");
        assert!(problem.hint.as_deref().is_some_and(|hint| hint.contains("max_attempts")), "{problem:?}");
        assert_eq!(problem.details["line"], json!(3));
        assert!(problem.details["path"].as_str().is_some_and(|path| path.contains("limits")), "{problem:?}");
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for text in [
            r#"{"title": "a", "title": "b"}"#,
            r#"{"title": "a"} {}"#,
            r#"{"title": "\ud800"}"#,
            r#"{"title": "a", "priority": 1e999}"#,
            "\u{feff}{}",
            "",
        ] {
            let problem = read::<WorkDocument>(text.as_bytes()).unwrap_err();
            assert_eq!(problem.code, Code::InvalidDocument, "{text}");
        }
    }

    #[test]
    fn a_document_beyond_its_bound_is_too_large() {
        let text = format!("{{\"title\": \"{}\"}}", "a".repeat(8 << 20));
        assert_eq!(read::<WorkDocument>(text.as_bytes()).unwrap_err().code, Code::TooLarge);
    }
}
