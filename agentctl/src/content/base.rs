//! What of a repository is handed in: a commit as it is, or one of our own on top of it. Nothing is written into the
//! person's repository: commits of our own are made in a scratch one that reads the person's objects.

use std::fs::File;

use crate::content::secrets::{self, Allowed};
use crate::content::sink::{self, Written};
use crate::error::Failure;
use crate::git::repository::{Dirty, Repository};
use crate::git::scratch::{self, Scratch};
use crate::git::{Git, entries, shown};
use crate::output::count;

/// The ref by which a bundle names its base.
const BASE_REF: &str = "refs/agentd/base";
/// Who a commit of ours is by: never a person.
const AUTHOR: (&str, &str) = ("agentctl", "agentctl@agentd.invalid");
/// Settings of a repository that say how its files are read.
const READING: [&str; 4] = ["core.autocrlf", "core.eol", "core.fileMode", "core.symlinks"];
/// Names that one note tells.
const TOLD: usize = 3;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted<'a> {
    /// What is checked out; `HEAD` where absent.
    pub(crate) reference: Option<&'a str>,
    /// With files that are not committed.
    pub(crate) include_dirty: bool,
    /// Secrets that may go along.
    pub(crate) allowed: Allowed,
}

/// A base that is ready to be handed in.
#[derive(Debug)]
pub(crate) struct Base {
    /// The commit.
    pub(crate) commit: String,
    /// The branch that is checked out.
    pub(crate) branch: Option<String>,
    /// What a person should know.
    pub(crate) notes: Vec<String>,
    /// Of a commit of our own, what the person's repository has of it: a commit, or of a cut-off history the tree.
    known: Option<String>,
    git: Git,
    scratch: Scratch,
}

impl Base {
    /// Takes what is wanted of a repository.
    pub(crate) fn take(repository: &Repository, wanted: &Wanted<'_>) -> Result<Self, Failure> {
        let name = wanted.reference.unwrap_or("HEAD");
        let commit = repository.commit(name)?;
        let is_head = !repository.bare && repository.head()?.as_deref() == Some(commit.as_str());
        if wanted.include_dirty && !is_head {
            return Err(Failure::usage(format!("--include-dirty takes what is changed on top of HEAD, not of {name}"))
                .hint("leave out --ref, or --include-dirty"));
        }
        let dirty = if is_head { repository.dirty()? } else { Vec::new() };
        let included = if is_head { repository.included(&dirty)? } else { Vec::new() };
        let mut notes = Vec::new();
        let mut extra = left_out(&mut notes, dirty, wanted.include_dirty);
        if !included.is_empty() {
            let files = count(included.len() as u64, "ignored file");
            notes.push(format!("{files} named by .worktreeinclude: included"));
            extra.extend(included);
        }
        let scratch = Scratch::new()?;
        let git = scratch::repository(&repository.git, &scratch, &repository.format, &[&repository.objects])?;
        let mut base =
            Self { commit: commit.clone(), branch: repository.branch_of(name)?, notes, known: None, git, scratch };
        if !extra.is_empty() || repository.shallow {
            base.stand_on(repository, &commit, &extra)?;
        }
        let findings = secrets::look(&base.git, &base.commit, &wanted.allowed)?;
        base.notes.extend(findings);
        Ok(base)
    }

    /// Makes a commit of our own with these files as they are, on top of `commit`, or in its place where what is before
    /// it is not here.
    fn stand_on(&mut self, repository: &Repository, commit: &str, extra: &[Vec<u8>]) -> Result<(), Failure> {
        let tree = format!("{commit}^{{tree}}");
        let mut tree = self.git.line(["rev-parse", "--verify", &tree])?;
        let known = if repository.shallow { tree.clone() } else { commit.to_owned() };
        if !extra.is_empty() {
            let mut git = self.git.clone().with("GIT_WORK_TREE", &repository.top);
            git = git.with("GIT_INDEX_FILE", self.scratch.path().join("index"));
            for key in READING {
                if let Some(value) = repository.git.maybe(["config", "--get", key])? {
                    git = git.set(key, &value);
                }
            }
            git.bytes(["read-tree", &tree])?;
            let mut list = extra.join(&0);
            list.push(0);
            git.fed(["update-index", "-z", "--add", "--remove", "--replace", "--stdin"], &list)?;
            tree = git.line(["write-tree"])?;
        }
        let time = repository.git.line(["show", "-s", "--no-show-signature", "--format=%ct", commit])?;
        let (name, email) = AUTHOR;
        let date = format!("{time} +0000");
        let mut git = self.git.clone();
        for (variable, value) in [
            ("GIT_AUTHOR_NAME", name),
            ("GIT_AUTHOR_EMAIL", email),
            ("GIT_AUTHOR_DATE", &date),
            ("GIT_COMMITTER_NAME", name),
            ("GIT_COMMITTER_EMAIL", email),
            ("GIT_COMMITTER_DATE", &date),
        ] {
            git = git.with(variable, value);
        }
        let message = if extra.is_empty() { "A history that is cut off here" } else { "Files that are not committed" };
        let mut arguments = vec!["commit-tree", "--no-gpg-sign", &tree, "-m", message];
        if repository.shallow {
            self.notes.push("the clone is shallow: the run sees no history (git fetch --unshallow)".to_owned());
        } else {
            arguments.extend(["-p", commit]);
        }
        self.commit = git.line(arguments)?;
        self.known = Some(known);
        Ok(())
    }

    /// Writes a bundle with everything that the base needs; `progress` shows git's own on stderr.
    pub(crate) fn bundle(&self, into: &File, progress: bool) -> Result<Written, Failure> {
        self.git.bytes(["update-ref", BASE_REF, &self.commit])?;
        let say = if progress { "--progress" } else { "--quiet" };
        // With one thread the same base gives the same bytes, so that a submit can be repeated under its key.
        let git = self.git.clone().set("pack.threads", "1");
        sink::git(&git, &["bundle", "create", say, "-", BASE_REF], b"", into, progress)
    }

    /// Whether it is a commit that the person's repository does not have.
    pub(crate) fn is_own(&self) -> bool {
        self.known.is_some()
    }

    /// Writes what the person's repository lacks of a base of our own, as a pack.
    pub(crate) fn lacking(&self, into: &File) -> Result<Written, Failure> {
        let known = self.known.iter().map(|known| format!("^{known}\n"));
        let revisions = format!("{}\n{}", self.commit, known.collect::<String>());
        let arguments = ["pack-objects", "--revs", "--stdout", "--quiet"];
        sink::git(&self.git, &arguments, revisions.as_bytes(), into, false)
    }
}

/// Which files go along, and a note of those that do not.
fn left_out(notes: &mut Vec<String>, dirty: Vec<Dirty>, include: bool) -> Vec<Vec<u8>> {
    let (nested, files): (Vec<_>, Vec<_>) = dirty.into_iter().partition(|file| file.path.ends_with(b"/"));
    for folder in nested {
        notes.push(format!("{} is a repository of its own and is not included", shown(&folder.path)));
    }
    let number = count(files.len() as u64, "uncommitted file");
    let are = if files.len() == 1 { "is" } else { "are" };
    match (files.is_empty(), include) {
        (true, _) => return Vec::new(),
        (false, true) => notes.push(format!("{number} {are} included")),
        (false, false) => {
            notes.push(format!("{number} {are} not included (--include-dirty)"));
            return Vec::new();
        }
    }
    files.into_iter().map(|file| file.path).collect()
}

/// Names for a note, the first few.
pub(crate) fn names(names: &[String]) -> String {
    let mut told = names.iter().take(TOLD).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > TOLD {
        told.push_str(&format!(" and {} more", names.len() - TOLD));
    }
    told
}

/// The entries of a tree: mode, object, size of a file, path.
pub(crate) fn tree(git: &Git, commit: &str) -> Result<Vec<Entry>, Failure> {
    let listed = git.bytes(["ls-tree", "-r", "-l", "-z", "--full-tree", commit])?;
    let entry = |line: &[u8]| {
        let at = line.iter().position(|byte| *byte == b'\t')?;
        let head = str::from_utf8(line.get(..at)?).ok()?;
        let mut words = head.split_ascii_whitespace();
        let mode = words.next()?.to_owned();
        let object = words.nth(1)?.to_owned();
        let size = words.next()?.parse().ok();
        Some(Entry { mode, object, size, path: line.get(at + 1..)?.to_owned() })
    };
    Ok(entries(&listed).filter_map(entry).collect())
}

/// One entry of a tree.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// `100644`, `120000` for a symlink, `160000` for a submodule.
    pub(crate) mode: String,
    /// Its object.
    pub(crate) object: String,
    /// Bytes, of a file.
    pub(crate) size: Option<u64>,
    /// Its path.
    pub(crate) path: Vec<u8>,
}
