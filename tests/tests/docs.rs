//! What the documents promise to list, they list.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

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

#[test]
fn every_method_of_each_interface_stands_in_the_page_of_the_bus() {
    let page = document("dbus.md");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/dbus");
    let mut found = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let interface = path.file_stem().unwrap().to_str().unwrap();
        let section = page.split(&format!("\n### {interface}\n")).nth(1).unwrap_or_else(|| panic!("no {interface}"));
        let section = section.split("\n##").next().unwrap_or_default();
        // The first column of the table has one method or more.
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
        let told: BTreeSet<&str> = rows.flat_map(|names| names.split('`')).map(str::trim).collect();
        let xml = std::fs::read_to_string(&path).unwrap();
        let own = xml.split("<interface").find(|part| part.contains(&format!("name=\"{interface}\""))).unwrap();
        for name in own.lines().filter_map(|line| line.trim().strip_prefix("<method name=\"")?.split('"').next()) {
            found += 1;
            assert!(told.contains(name), "docs/dbus.md does not tell of {interface}.{name}: {told:?}");
        }
    }
    assert!(found > 50, "{found}");
}
