//! What a work's runs find in their workspace, and how what they make of it is judged, as flags.

use std::collections::BTreeSet;
use std::path::Path;

use agentd_schemas::document::acceptance::{ChangesAcceptance, CommandAcceptance};
use agentd_schemas::document::{Acceptance, WorkDocument, WorkspaceDocument};
use agentd_schemas::unit::pattern::{self, PatternError};

use crate::command;
use crate::content::{self, Allowed, Taking};
use crate::context::Context;
use crate::error::Failure;
use crate::git::repository::Repository;

/// What a workspace is made from, and its judges.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(multiple = true)]
pub(super) struct WorkspaceFlags {
    /// A git repository, from which each run gets a clone of its own; yours is not touched until `work apply`
    #[arg(long, value_name = "PATH", conflicts_with = "folder")]
    repo: Option<String>,
    /// What of the repository is checked out; HEAD by default
    #[arg(long = "ref", value_name = "REF", requires = "repo")]
    reference: Option<String>,
    /// A folder that is no repository; what its .gitignore names stays out
    #[arg(long, value_name = "PATH")]
    folder: Option<String>,
    /// Runs first in each new workspace, by sh -c
    #[arg(long, value_name = "COMMAND")]
    setup: Option<String>,
    /// This command must succeed in a fresh checkout of the result; may be given several times
    #[arg(long = "accept", value_name = "COMMAND")]
    accept: Vec<String>,
    /// Files that are put back as they were before a command judges, as in 'tests/**'; may be given several times
    #[arg(long = "protect", value_name = "PATTERN", requires = "accept", value_parser = glob)]
    protect: Vec<String>,
    /// Nothing but such files may be changed, as in 'src/**', and no binary file; may be given several times
    #[arg(long = "accept-changes", value_name = "PATTERN", value_parser = glob)]
    accept_changes: Vec<String>,
    /// Added and removed lines together, at most
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = command::whole(1..=u64::MAX))]
    max_changed_lines: Option<u64>,
    /// Changed files, at most
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = command::whole(1..=u64::MAX))]
    max_changed_files: Option<u64>,
}

/// A pattern that can be read.
fn glob(text: &str) -> Result<String, PatternError> {
    pattern::check(text).map(|()| text.to_owned())
}

impl WorkspaceFlags {
    /// Writes what the flags say into a document.
    pub(super) fn write(self, document: &mut WorkDocument) {
        if self.repo.is_some() || self.folder.is_some() || self.setup.is_some() {
            document.workspace = Some(WorkspaceDocument {
                repository: self.repo,
                reference: self.reference,
                folder: self.folder,
                setup: self.setup,
                ..WorkspaceDocument::default()
            });
        }
        let mut judges: Vec<Acceptance> = Vec::new();
        for command in self.accept {
            let protected_paths = self.protect.clone();
            judges.push(Acceptance::Command(CommandAcceptance { command, protected_paths, timeout: None }));
        }
        let (max_lines, max_files) = (self.max_changed_lines, self.max_changed_files);
        if !self.accept_changes.is_empty() || max_lines.is_some() || max_files.is_some() {
            let rules = ChangesAcceptance { only: self.accept_changes, max_lines, max_files, ..Default::default() };
            judges.push(Acceptance::Changes(rules));
        }
        // A person looks last, at what the others have passed.
        let is_person = |acceptance: &Acceptance| matches!(acceptance, Acceptance::Person(_));
        let at = document.acceptance.iter().position(is_person).unwrap_or(document.acceptance.len());
        document.acceptance.splice(at..at, judges);
    }
}

/// How what a workspace names is taken; for works of a file too.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct TakingFlags {
    /// With changed and new files of the repository that are not committed; ignored ones stay out
    #[arg(long)]
    include_dirty: bool,
    /// Hand in this file or folder although it looks like a secret; may be given several times
    #[arg(long = "allow-secret", value_name = "PATH")]
    allow_secrets: Vec<String>,
}

impl TakingFlags {
    /// Hands in what the works name; paths of a file are relative to its place.
    pub(super) async fn hand_in(
        self,
        context: &Context,
        documents: &mut [WorkDocument],
        file: Option<&str>,
    ) -> Result<(), Failure> {
        let beside = file.filter(|file| *file != "-").and_then(|file| Path::new(file).parent());
        let taking =
            Taking { include_dirty: self.include_dirty, allowed: Allowed(self.allow_secrets), ..Taking::default() };
        if self.include_dirty && !documents.iter().any(|document| document.workspace.is_some()) {
            return Err(Failure::usage("--include-dirty needs a repository").hint("--repo . takes the one around you"));
        }
        let workspaces = documents.iter_mut().filter_map(|document| document.workspace.as_mut());
        content::hand_in(context, workspaces, beside.unwrap_or(Path::new("")), &taking).await?;
        for pattern in documents.iter().map(protects_nothing).collect::<Result<Vec<_>, _>>()?.concat() {
            context.out.note(format!(
                "warning: {pattern:?} protects nothing: no file of the commit fits it, so a run may make such files"
            ));
        }
        Ok(())
    }
}

/// Patterns of protected paths that fit no file of what a work begins with. What is not committed is not looked at.
fn protects_nothing(document: &WorkDocument) -> Result<Vec<String>, Failure> {
    let base = document
        .workspace
        .as_ref()
        .and_then(|workspace| Some((workspace.repository.as_ref()?, workspace.content.as_ref()?.base.as_ref()?)));
    let patterns: BTreeSet<&String> = document.acceptance.iter().flat_map(protected_paths).collect();
    let Some((place, base)) = base.filter(|_| !patterns.is_empty()) else { return Ok(Vec::new()) };
    let git = Repository::open(Path::new(place))?.git;
    let nothing = git.line(["hash-object", "-t", "tree", "/dev/null"])?;
    let mut found = Vec::new();
    for pattern in patterns {
        let asked = ["diff-tree", "-r", "-z", "--name-only", &nothing, base, "--", &format!(":(glob){pattern}")];
        // A base of ours is not in the repository, and a pattern that git refuses is refused with the work.
        let ran = git.ran(asked, b"")?;
        if ran.code == Some(0) && ran.stdout.is_empty() {
            found.push(pattern.clone());
        }
    }
    Ok(found)
}

fn protected_paths(acceptance: &Acceptance) -> &[String] {
    match acceptance {
        Acceptance::Command(command) => &command.protected_paths,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use agentd_schemas::document::PersonAcceptance;

    use super::*;

    #[test]
    fn commands_and_rules_judge_before_a_person_does() {
        let mut document =
            WorkDocument { acceptance: vec![Acceptance::Person(PersonAcceptance::Owner)], ..WorkDocument::default() };
        let flags = WorkspaceFlags {
            repo: Some(".".to_owned()),
            accept: vec!["make test".to_owned(), "make lint".to_owned()],
            protect: vec!["tests/**".to_owned()],
            accept_changes: vec!["src/**".to_owned()],
            max_changed_lines: Some(20),
            ..WorkspaceFlags::default()
        };
        flags.write(&mut document);
        let told = serde_json::to_value(&document).unwrap();
        assert_eq!(
            told["acceptance"],
            serde_json::json!([
                { "command": "make test", "protected_paths": ["tests/**"] },
                { "command": "make lint", "protected_paths": ["tests/**"] },
                { "changes": { "only": ["src/**"], "max_lines": 20 } },
                { "person": "owner" },
            ])
        );
        assert_eq!(told["workspace"], serde_json::json!({ "repository": "." }));
    }
}
