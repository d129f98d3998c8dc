//! Criteria that need no command: what was changed, which files are there, what was handed in. Pure.

use agentd_schemas::document::acceptance::{ArtefactAcceptance, ChangesAcceptance, FilesAcceptance};
use agentd_schemas::event::ArtefactRef;
use agentd_schemas::unit::pattern;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::collected::Collected;

/// Paths that are named in one sentence.
const MAX_NAMED: usize = 8;

/// What a criterion says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Whether it is met.
    pub met: bool,
    /// Why not, or what of; for people and for the next attempt.
    pub said: String,
}

impl Judged {
    fn of(wrong: &[String], right: String) -> Self {
        if wrong.is_empty() { Self { met: true, said: right } } else { Self { met: false, said: wrong.join("; ") } }
    }

    fn pattern(error: &str) -> Self {
        Self { met: false, said: format!("a pattern of the criterion cannot be read: {error}") }
    }
}

/// A pattern as git reads `:(glob)`: `*` stays within a folder, `**/` is any folders, and a folder stands for all in it.
fn patterns(patterns: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let plain = pattern::without_braces(pattern).map_err(|error| error.to_string())?;
        for glob in [plain.clone(), format!("{plain}/**")] {
            let built = GlobBuilder::new(&glob).literal_separator(true).backslash_escape(true).build();
            set.add(built.map_err(|error| error.to_string())?);
        }
    }
    set.build().map_err(|error| error.to_string())
}

fn named<'a>(paths: impl IntoIterator<Item = &'a str>) -> String {
    let paths: Vec<&str> = paths.into_iter().collect();
    let shown = paths.iter().take(MAX_NAMED).copied().collect::<Vec<_>>().join(", ");
    let more = paths.len().saturating_sub(MAX_NAMED);
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// Holds the changes of a result against their rules.
pub fn judge_changes(rules: &ChangesAcceptance, collected: &Collected) -> Judged {
    let changes = &collected.changes;
    let lines: u64 = changes.iter().map(|change| change.added + change.removed).sum();
    let mut wrong = Vec::new();
    if changes.is_empty() && !rules.none {
        wrong.push("nothing was changed".to_owned());
    }
    if !rules.only.is_empty() {
        let only = match patterns(&rules.only) {
            Ok(only) => only,
            Err(error) => return Judged::pattern(&error),
        };
        let others: Vec<&str> =
            changes.iter().map(|change| change.path.as_str()).filter(|path| !only.is_match(path)).collect();
        if !others.is_empty() {
            wrong.push(format!("only {} may be changed, and these were too: {}", rules.only.join(", "), named(others)));
        }
    }
    if let Some(most) = rules.max_files.filter(|most| changes.len() as u64 > *most) {
        wrong.push(format!("{} files were changed, at most {most} may be", changes.len()));
    }
    if let Some(most) = rules.max_lines.filter(|most| lines > *most) {
        wrong.push(format!("{lines} lines were changed, at most {most} may be"));
    }
    let binary: Vec<&str> = changes.iter().filter(|change| change.binary).map(|change| change.path.as_str()).collect();
    if !rules.binary && !binary.is_empty() {
        wrong.push(format!("no binary file may be changed, and these were: {}", named(binary)));
    }
    Judged::of(&wrong, format!("{} files and {lines} lines were changed", changes.len()))
}

/// Holds the files of a result against what must be there, and what must not.
pub fn judge_files(rules: &FilesAcceptance, collected: &Collected) -> Judged {
    let mut wrong = Vec::new();
    for pattern in &rules.present {
        match patterns(std::slice::from_ref(pattern)) {
            Ok(set) if collected.files.iter().any(|path| set.is_match(path)) => {}
            Ok(_) => wrong.push(format!("there is no {pattern}")),
            Err(error) => return Judged::pattern(&error),
        }
    }
    match patterns(&rules.absent) {
        Ok(set) => {
            let found: Vec<&str> =
                collected.files.iter().map(String::as_str).filter(|path| set.is_match(path)).collect();
            if !found.is_empty() {
                wrong.push(format!("these should not be there: {}", named(found)));
            }
        }
        Err(error) => return Judged::pattern(&error),
    }
    Judged::of(&wrong, "the files are as they should be".to_owned())
}

/// Looks for an artefact among those that were handed in.
pub fn judge_artefact(rule: &ArtefactAcceptance, artefacts: &[ArtefactRef]) -> Judged {
    let name = &rule.name;
    let wrong = match (artefacts.iter().find(|artefact| artefact.name == *name), &rule.sha256) {
        (None, _) => vec![format!("no artefact {name} was handed in")],
        (Some(found), Some(sha256)) if !found.sha256.eq_ignore_ascii_case(sha256) => {
            vec![format!("the artefact {name} has SHA-256 {}, and {sha256} is asked for", found.sha256)]
        }
        (Some(_), _) => Vec::new(),
    };
    Judged::of(&wrong, format!("the artefact {name} was handed in"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::{Change, ObjectFormat};

    fn collected(changes: &[(&str, u64, bool)], files: &[&str]) -> Collected {
        let change = |(path, added, binary): &(&str, u64, bool)| Change {
            path: (*path).to_owned(),
            status: 'M',
            added: *added,
            removed: 1,
            binary: *binary,
        };
        Collected {
            format: ObjectFormat::Sha1,
            base: String::new(),
            tree: String::new(),
            changes: changes.iter().map(change).collect(),
            files: files.iter().map(|path| (*path).to_owned()).collect(),
            left_out: Vec::new(),
            overlays: Vec::new(),
            workspace_files: 0,
            workspace_bytes: 0,
        }
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn patterns_mean_what_they_mean_to_git() {
        let table = [
            ("*.py", "a.py", true),
            ("*.py", "src/a.py", false),
            ("**/*.py", "a.py", true),
            ("**/*.py", "a/b/c.py", true),
            ("src/**", "src/a/b", true),
            ("src/**", "src", false),
            ("src", "src/a/b", true),
            ("src/", "src/a", true),
            ("src", "src2", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a?c", "a/c", false),
            ("[ab].c", "b.c", true),
            ("[!ab].c", "b.c", false),
            ("{a,b}", "a", false),
            ("{a,b}", "{a,b}", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("\\{a", "{a", true),
            ("[{a]b", "{b", true),
            ("[{a]b", "[{a]b", false),
            ("A", "a", false),
        ];
        for (pattern, path, expected) in table {
            assert_eq!(patterns(&words(&[pattern])).unwrap().is_match(path), expected, "{pattern} on {path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_pattern_that_can_be_read_judges(pattern in "[]\\[!^{}a-c*?/,\\\\-]{0,12}") {
            let checked = pattern::check(&pattern);
            proptest::prop_assert_eq!(patterns(&[pattern]).err(), checked.err().map(|error| error.to_string()));
        }
    }

    #[test]
    fn each_rule_of_changes_is_held_and_says_what_it_missed() {
        let made = collected(&[("src/a.rs", 3, false), ("logo.png", 0, true)], &[]);
        let rules = |change: fn(&mut ChangesAcceptance)| {
            let mut rules = ChangesAcceptance { binary: true, ..ChangesAcceptance::default() };
            change(&mut rules);
            judge_changes(&rules, &made)
        };
        assert!(rules(|_| {}).met);
        assert!(rules(|rules| rules.max_lines = Some(5)).met);
        assert!(rules(|rules| rules.max_lines = Some(4)).said.contains("5 lines"));
        assert!(rules(|rules| rules.max_files = Some(1)).said.contains("2 files"));
        assert!(rules(|rules| rules.only = words(&["src/**"])).said.ends_with("too: logo.png"));
        assert!(rules(|rules| rules.binary = false).said.contains("logo.png"));
        assert!(rules(|rules| rules.only = words(&["["])).said.contains("cannot be read"));
        let none = collected(&[], &[]);
        assert_eq!(judge_changes(&ChangesAcceptance::default(), &none).said, "nothing was changed");
        assert!(judge_changes(&ChangesAcceptance { none: true, ..ChangesAcceptance::default() }, &none).met);
    }

    #[test]
    fn files_are_there_or_not_and_artefacts_are_what_was_asked_for() {
        let made = collected(&[], &["README.md", "src/a.rs", "debug.log"]);
        let rules = FilesAcceptance { present: words(&["src/*.rs", "LICENSE"]), absent: words(&["**/*.log"]) };
        let judged = judge_files(&rules, &made);
        assert_eq!(judged.said, "there is no LICENSE; these should not be there: debug.log");
        assert!(judge_files(&FilesAcceptance { present: words(&["src"]), absent: words(&[]) }, &made).met);
        let handed = [ArtefactRef { name: "report".to_owned(), sha256: "ab".to_owned(), bytes: 1 }];
        let rule =
            |sha256: Option<&str>| ArtefactAcceptance { name: "report".to_owned(), sha256: sha256.map(str::to_owned) };
        assert!(judge_artefact(&rule(None), &handed).met && judge_artefact(&rule(Some("AB")), &handed).met);
        assert!(!judge_artefact(&rule(Some("ac")), &handed).met && !judge_artefact(&rule(None), &[]).met);
    }
}
