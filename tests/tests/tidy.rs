//! The style of the tree, held as tests: sizes, the import table of the house, and what must not stand in it.

#![allow(clippy::expect_used, reason = "a test: what is missing is the failure")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file without inline tests, at most.
const MAX_FILE: usize = 400;
/// Lines of a function, at most.
const MAX_FUNCTION: usize = 70;

/// Functions that may be longer, each with the reason.
const LONG_FUNCTIONS: &[(&str, &str)] =
    &[("schemas/src/problem.rs", "the table of error codes is one macro call, not a function")];

/// Who may import whom in `agentd/src`, as ARCHITECTURE.md has it.
const IMPORTS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("sys", &[]),
    ("policy", &["domain", "sys"]),
    ("identity", &["domain", "sys"]),
    ("ledger", &["domain", "policy", "sys"]),
    ("engine", &["domain", "identity", "ledger", "policy", "runner", "sys"]),
    ("api", &["engine", "policy", "sys"]),
    ("runner", &["domain", "sys"]),
    ("shim", &["sys"]),
    ("launcher", &["sys"]),
    ("bin", &["launcher", "shim"]),
    ("boot", &["api", "domain", "engine", "identity", "ledger", "policy", "runner", "sys"]),
];

/// What `domain` may not touch: it is pure.
const IMPURE: &[&str] =
    &["tokio::", "rusqlite::", "std::fs", "std::net", "std::time::", "std::env", "getrandom", "axum::", "zbus::"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> =
        ["agentd", "agentctl", "schemas", "tests"].iter().map(|member| root.join(member)).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).expect("below the workspace").display().to_string();
                found.push((name, fs::read_to_string(&path).expect("a source file")));
            }
        }
    }
    assert!(found.len() > 100, "the sources were not found");
    found
}

/// The file without its inline tests.
fn without_tests(text: &str) -> &str {
    text.find("\n#[cfg(test)]\nmod ").map_or(text, |at| &text[..at])
}

/// Files that exist for tests alone: their `mod` line says so.
const TEST_SUPPORT: &[&str] =
    &["agentd/src/engine/trial.rs", "agentd/src/ledger/small.rs", "agentd/src/ledger/project/told.rs"];

fn is_test_file(name: &str) -> bool {
    TEST_SUPPORT.contains(&name)
        || name.contains("/tests/")
        || name.ends_with("/tests.rs")
        || name.starts_with("tests/")
        || name.ends_with("/interop.rs")
}

#[test]
fn no_source_file_is_longer_than_one_thought() {
    let mut long = Vec::new();
    for (name, text) in sources() {
        let lines = without_tests(&text).lines().count();
        if !is_test_file(&name) && lines > MAX_FILE {
            long.push(format!("{name}: {lines} lines"));
        }
    }
    assert!(long.is_empty(), "above {MAX_FILE} lines, look for the second thing in them:\n{}", long.join("\n"));
}

#[test]
fn no_function_is_longer_than_a_screen() {
    let mut long = Vec::new();
    for (name, text) in sources() {
        if is_test_file(&name) || LONG_FUNCTIONS.iter().any(|(file, _)| *file == name) {
            continue;
        }
        let mut begun: Option<(usize, usize, String)> = None;
        for (number, line) in without_tests(&text).lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start();
            let begins = [
                "fn ",
                "pub fn ",
                "pub(crate) fn ",
                "pub(super) fn ",
                "async fn ",
                "pub async fn ",
                "const fn ",
                "pub const fn ",
            ];
            if begun.is_none()
                && begins.iter().any(|begin| head.starts_with(begin))
                && !head.ends_with(';')
                && !head.ends_with('}')
            {
                begun = Some((number, indent, head.chars().take(60).collect()));
            } else if let Some((start, depth, what)) = &begun
                && indent == *depth
                && (head == "}" || head == "};" || head.ends_with(';'))
            {
                if number - start + 1 > MAX_FUNCTION {
                    long.push(format!("{name}:{}: {} lines: {what}", start + 1, number - start + 1));
                }
                begun = None;
            }
        }
    }
    assert!(long.is_empty(), "above {MAX_FUNCTION} lines:\n{}", long.join("\n"));
}

#[test]
fn the_rooms_of_the_house_import_only_whom_they_may() {
    let table: BTreeMap<&str, &[&str]> = IMPORTS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let Some(rest) = name.strip_prefix("agentd/src/").filter(|_| !is_test_file(&name)) else { continue };
        let Some((room, _)) = rest.split_once('/') else { continue };
        let allowed = table.get(room).unwrap_or_else(|| panic!("the room {room} is not in the table"));
        for line in without_tests(&text).lines() {
            for part in line.split("crate::").skip(1) {
                let word: String = part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if table.contains_key(word.as_str()) && word != room && !allowed.contains(&word.as_str()) {
                    wrong.push(format!("{name} imports {word}: {}", line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "not in the import table:\n{}", wrong.join("\n"));
}

#[test]
fn the_rules_are_pure() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        if !name.starts_with("agentd/src/domain/") || is_test_file(&name) {
            continue;
        }
        for (number, line) in without_tests(&text).lines().enumerate() {
            if !line.trim_start().starts_with("//") && IMPURE.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "domain touches the world:\n{}", wrong.join("\n"));
}

#[test]
fn the_command_line_speaks_through_the_schemas_alone() {
    let manifest = fs::read_to_string(root().join("agentctl/Cargo.toml")).expect("agentctl's manifest");
    assert!(
        !manifest
            .lines()
            .any(|line| line.starts_with("agentd.") || line.starts_with("agentd =") || line.starts_with("rusqlite"))
    );
}

#[test]
fn unsafe_code_is_in_sys_alone() {
    let offenders: Vec<String> = sources()
        .into_iter()
        .filter(|(name, text)| {
            !name.starts_with("agentd/src/sys/")
                && !is_test_file(name)
                && text.lines().any(|line| line.trim_start().starts_with("unsafe ") || line.contains("= unsafe {"))
        })
        .map(|(name, _)| name)
        .collect();
    assert!(offenders.is_empty(), "{offenders:?}");
}

#[test]
fn nothing_reads_like_a_stub() {
    let words = ["todo!(", "unimplemented!(", "not yet implemented", "#[ignore]", "FIXME"];
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        if name == "tests/tests/tidy.rs" {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
