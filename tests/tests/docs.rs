//! What the documents promise to list, they list.

use std::collections::BTreeSet;
use std::path::Path;

use agentd_schemas::event::EventData;
use agentd_schemas::problem::Code;

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_error_code_has_its_section_in_the_order_of_the_code() {
    let text = document("errors.md");
    let sections: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(sections, codes);
    for code in Code::ALL {
        let facts = format!(
            "HTTP {} · exit {} · `org.agentd1.Error.{}`",
            code.http_status(),
            code.exit_code(),
            code.dbus_name()
        );
        assert!(text.contains(&format!("## {}\n\n{facts}\n", code.as_str())), "{} does not say {facts}", code.as_str());
    }
}

#[test]
fn every_event_type_stands_in_the_page_of_the_ledger() {
    let text = document("ledger.md");
    let told: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let missing: Vec<_> = EventData::TYPES.iter().filter(|name| !told.contains(*name)).collect();
    assert!(missing.is_empty(), "docs/ledger.md does not tell of {missing:?}");
}

#[test]
fn every_word_of_the_glossary_stands_once_and_in_order() {
    let text = document("glossary.md");
    let words: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("| **")?.split("**").next()).collect();
    assert!(words.len() > 20, "{words:?}");
    let mut sorted = words.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(words, sorted);
}
