//! Every bound of the sources stands in docs/configuration.md with its value.

#![allow(clippy::expect_used, clippy::panic, reason = "a test: what is missing is the failure")]

use std::fs;
use std::path::{Path, PathBuf};

/// Bounds that are none for users, each with the reason.
const NOT_FOR_USERS: &[(&str, &str, &str)] = &[
    ("agentd/src/api/dbus/private.rs", "MAX_CONNECTIONS", "the page has the sum with those for operators alone"),
    ("agentd/src/domain/account.rs", "MAX_AMOUNT", "another name for the most money; the page has it as a power"),
    ("agentd/src/ledger/query/works/scan.rs", "MAX_CHUNK", "a step within one query"),
    ("agentd/src/sys/clock/jump.rs", "SUSPEND_LIMIT_MS", "noise of two clocks, which nobody can bring about"),
    ("agentd/src/sys/groups.rs", "BUFFER_LIMIT_BYTES", "a buffer for one call of the system's library"),
    ("agentd/src/sys/lock.rs", "PID_LIMIT_BYTES", "the text of a process id"),
    ("agentd/src/sys/proc_file.rs", "LIMIT_BYTES", "files that the kernel makes"),
    ("agentd/src/sys/sd_notify.rs", "STATUS_LIMIT_BYTES", "a line that the daemon writes itself"),
    ("schemas/src/key/statement.rs", "MAX_NUMBER", "the last whole number that every JSON reader has"),
    ("schemas/src/log/export/mod.rs", "MAX_LINE_BYTES", "follows from the largest blob; the page has it rounded"),
    ("schemas/src/log/tlog_proof.rs", "MAX_PROOF_BYTES", "follows from the sizes of its parts"),
    ("schemas/src/log/tree.rs", "MAX_TREE_SIZE", "what the database can count to"),
    ("schemas/src/strict/nearest.rs", "MAX_CHARS", "longer words get no proposal"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// The constants that are named as bounds: file, name, value as it is written.
fn bounds() -> Vec<(String, String, String)> {
    let root = root();
    let mut open: Vec<PathBuf> = ["agentd/src", "agentctl/src", "schemas/src"].map(|part| root.join(part)).into();
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(&root).expect("below the workspace").display().to_string();
            if path.is_dir() && !name.ends_with("/tests") {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                let text = text.find("\n#[cfg(test)]\nmod ").map_or(text.as_str(), |at| &text[..at]);
                found
                    .extend(text.lines().filter_map(constant).map(|(constant, value)| (name.clone(), constant, value)));
            }
        }
    }
    assert!(found.len() > 100, "the bounds were not found");
    found
}

fn constant(line: &str) -> Option<(String, String)> {
    let (_, rest) =
        line.split_once("const ").filter(|(before, _)| before.trim().is_empty() || before.contains("pub"))?;
    let (name, rest) = rest.split_once(": ")?;
    let is_bound = ["MAX_", "MIN_", "LONGEST"].iter().any(|start| name.starts_with(start)) || name.contains("LIMIT");
    let (_, value) = rest.split_once("= ").filter(|_| is_bound)?;
    Some((name.to_owned(), value.trim_end_matches(';').to_owned()))
}

/// The value of an expression of numbers; of a duration, its seconds.
fn value(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Some((left, right)) = text.split_once("<<") {
        return Some(value(left)? << value(right)?);
    }
    if let Some((left, right)) = text.rsplit_once('+') {
        return Some(value(left)? + value(right)?);
    }
    if let Some((left, right)) = text.rsplit_once('*') {
        return Some(value(left)? * value(right)?);
    }
    let seconds = text.strip_prefix("Duration::from_secs(").and_then(|rest| rest.strip_suffix(')'));
    seconds.unwrap_or(text).replace('_', "").parse().ok()
}

/// A number with commas, as the pages write it.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = (0..digits.len().div_ceil(3))
        .rev()
        .map(|at| &digits[digits.len().saturating_sub(3 * (at + 1))..digits.len() - 3 * at])
        .collect();
    groups.join(",")
}

/// How the page can write a value.
fn forms(name: &str, written: &str, number: u64) -> Vec<String> {
    let seconds = match () {
        () if name.ends_with("_MS") => Some(number / 1000),
        () if name.ends_with("_S") || name.ends_with("SECONDS") || written.starts_with("Duration") => Some(number),
        () => None,
    };
    let units = [(1024, "KiB"), (1 << 20, "MiB")];
    let mut forms = vec![grouped(number)];
    if let Some(seconds) = seconds {
        forms.clear();
        let units = [(1, "s"), (60, "min"), (3600, "h"), (86_400, "d")];
        forms.extend(
            units
                .iter()
                .filter(|(of, _)| seconds.is_multiple_of(*of))
                .map(|(of, unit)| format!("{} {unit}", seconds / of)),
        );
    } else {
        forms.extend(
            units
                .iter()
                .filter(|(of, _)| number.is_multiple_of(*of))
                .map(|(of, unit)| format!("{} {unit}", number / of)),
        );
    }
    forms
}

/// Whether the page has the form, and not as a part of a larger number.
fn stands(page: &str, form: &str) -> bool {
    let part = |c: char| c.is_ascii_digit();
    page.match_indices(form).any(|(at, _)| {
        let before = page[..at].chars().next_back();
        let mut after = page[at + form.len()..].chars();
        let (next, then) = (after.next(), after.next());
        let goes_on = next.is_some_and(part) || (next == Some(',') && then.is_some_and(part));
        !before.is_some_and(|c| part(c) || c == ',') && !goes_on
    })
}

#[test]
fn every_bound_stands_in_the_page_with_its_value() {
    let page = fs::read_to_string(root().join("docs/configuration.md")).expect("the page");
    let mut missing = Vec::new();
    for (file, name, written) in bounds() {
        if NOT_FOR_USERS.iter().any(|(of, constant, _)| *of == file && *constant == name) {
            continue;
        }
        let found = value(&written).map(|number| forms(&name, &written, number));
        if !found.as_ref().is_some_and(|forms| forms.iter().any(|form| stands(&page, form))) {
            missing.push(format!("{file}: {name} = {written}, expected as one of {:?}", found.unwrap_or_default()));
        }
    }
    assert!(missing.is_empty(), "not in docs/configuration.md:\n{}", missing.join("\n"));
}

#[test]
fn no_exception_outlives_its_bound() {
    let bounds = bounds();
    for (file, name, _) in NOT_FOR_USERS {
        assert!(bounds.iter().any(|(of, constant, _)| of == file && constant == name), "{file}: {name}");
    }
}

#[test]
fn a_value_is_found_as_the_page_writes_it_and_not_within_another() {
    assert_eq!(value("128 << 10"), Some(131_072));
    assert_eq!(value("366 * 86_400"), Some(31_622_400));
    assert!(forms("MAX_SECONDS", "366 * 86_400", 31_622_400).contains(&"366 d".to_owned()));
    assert!(forms("MAX_NAME_BYTES", "64", 64).contains(&"64".to_owned()));
    assert_eq!(grouped(1_234_567), "1,234,567");
    assert!(
        stands("a | 1,024; 8 |", "1,024") && !stands("a | 11,024 |", "1,024") && !stands("a | 1,024,000 |", "1,024")
    );
    assert!(!stands("a | 1,024 |", "24") && !stands("a | 10,000 |", "10"));
}
