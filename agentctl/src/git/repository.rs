//! A person's repository, looked at and not touched.

use std::path::{Path, PathBuf};

use agentd_schemas::strict::nearest;

use super::{Git, complaint, entries, path};
use crate::error::Failure;
use crate::output::shell_word;

/// Names of branches and tags that are looked through for one that was meant.
const FIRST_NAMES: &str = "--count=2000";

/// A repository and the git that looks at it.
#[derive(Debug)]
pub(crate) struct Repository {
    /// Git at its top.
    pub(crate) git: Git,
    /// Its top folder; of a bare one, the repository itself.
    pub(crate) top: PathBuf,
    /// Whether it has no working tree.
    pub(crate) bare: bool,
    /// Whether its history is cut off.
    pub(crate) shallow: bool,
    /// `sha1` or `sha256`.
    pub(crate) format: String,
    /// Where its objects are.
    pub(crate) objects: PathBuf,
}

/// A file that is not as the last commit has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dirty {
    /// Its path below the top, as bytes; a folder that is a repository of its own ends with a slash.
    pub(crate) path: Vec<u8>,
    /// Whether git does not know it.
    pub(crate) untracked: bool,
}

impl Repository {
    /// The repository that the folder `place` is in; `None` where it is in none.
    pub(crate) fn find(place: &Path) -> Result<Option<Self>, Failure> {
        let metadata = place.metadata().map_err(|error| Failure::file(place, "open", &error))?;
        if !metadata.is_dir() {
            return Err(Failure::usage(format!("{} is no folder", place.display())));
        }
        let place = place.canonicalize().map_err(|error| Failure::file(place, "open", &error))?;
        let asks = ["rev-parse", "--is-bare-repository", "--is-inside-work-tree", "--is-shallow-repository"];
        let ran = Git::at(&place).ran(asks.into_iter().chain(["--show-object-format"]), b"")?;
        if ran.code != Some(0) {
            if ran.stderr.contains("not a git repository") {
                return Ok(None);
            }
            return Err(complaint(&asks, &ran.stderr));
        }
        let answer = String::from_utf8_lossy(&ran.stdout).into_owned();
        let mut lines = answer.lines();
        let mut is = || lines.next() == Some("true");
        let (bare, inside, shallow) = (is(), is(), is());
        let format = lines.next().unwrap_or("sha1").to_owned();
        let top = match (bare, inside) {
            (_, true) => PathBuf::from(Git::at(&place).line(["rev-parse", "--show-toplevel"])?),
            (true, false) => PathBuf::from(Git::at(&place).line(["rev-parse", "--absolute-git-dir"])?),
            (false, false) => return Err(not_its_files(&place)),
        };
        // A configuration may say that the files are somewhere else altogether.
        if !place.starts_with(&top) {
            return Err(not_its_files(&place));
        }
        let git = Git::at(&top).disarmed()?;
        let objects = git.line(["rev-parse", "--path-format=absolute", "--git-path", "objects"])?.into();
        Ok(Some(Self { git, top, bare, shallow, format, objects }))
    }

    /// The repository that `place` is in.
    pub(crate) fn open(place: &Path) -> Result<Self, Failure> {
        Self::find(place)?.ok_or_else(|| {
            Failure::usage(format!("{} is in no git repository", place.display()))
                .hint(format!("--folder {} takes a folder as it is", shell_word(&place.display().to_string())))
        })
    }

    /// The commit that is checked out; `None` before the first one.
    pub(crate) fn head(&self) -> Result<Option<String>, Failure> {
        self.git.maybe(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
    }

    /// The branch that is checked out, where there is one.
    pub(crate) fn branch(&self) -> Result<Option<String>, Failure> {
        self.git.maybe(["symbolic-ref", "--quiet", "--short", "HEAD"])
    }

    /// The commit that a name stands for.
    pub(crate) fn commit(&self, name: &str) -> Result<String, Failure> {
        let wanted = format!("{name}^{{commit}}");
        let found = self.git.maybe(["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted])?;
        match found.filter(|id| !id.is_empty()) {
            Some(id) => Ok(id),
            None => Err(self.no_commit(name)?),
        }
    }

    fn no_commit(&self, name: &str) -> Result<Failure, Failure> {
        let place = self.top.display();
        if name == "HEAD" {
            let failure = Failure::local(format!("the repository {place} has no commit yet"));
            return Ok(failure.hint("git commit makes the first, or --folder takes the files without a repository"));
        }
        let names = self.git.bytes([
            "for-each-ref",
            FIRST_NAMES,
            "--format=%(refname:short)",
            "refs/heads",
            "refs/tags",
            "refs/remotes",
        ])?;
        let names = String::from_utf8_lossy(&names).into_owned();
        let names: Vec<&str> = names.lines().collect();
        let failure = Failure::not_found(format!("no commit is called {name} in {place}"));
        Ok(match nearest(&names, name) {
            Some(near) => failure.hint(format!("did you mean {near}?")),
            None => failure.hint("git branch --all and git tag list the names"),
        })
    }

    /// The branch that a name stands for: the one that is checked out for `HEAD`.
    pub(crate) fn branch_of(&self, name: &str) -> Result<Option<String>, Failure> {
        if name == "HEAD" {
            return self.branch();
        }
        let full = self.git.maybe(["rev-parse", "--symbolic-full-name", "--verify", "--quiet", name])?;
        Ok(full.and_then(|full| full.strip_prefix("refs/heads/").map(str::to_owned)))
    }

    /// What is not as the last commit has it: changed, added, removed and unknown files; ignored ones are not told.
    pub(crate) fn dirty(&self) -> Result<Vec<Dirty>, Failure> {
        let status = self.git.bytes([
            "status",
            "--porcelain=v1",
            "-z",
            "--no-renames",
            "--untracked-files=all",
            "--ignore-submodules=all",
        ])?;
        let dirty = |entry: &[u8]| {
            let (code, path) = (entry.get(..2)?, entry.get(3..)?);
            Some(Dirty { path: path.to_owned(), untracked: code == b"??" })
        };
        Ok(entries(&status).filter_map(dirty).collect())
    }

    /// Ignored files that `.worktreeinclude` names.
    pub(crate) fn included(&self, dirty: &[Dirty]) -> Result<Vec<Vec<u8>>, Failure> {
        let list = self.top.join(".worktreeinclude");
        if !list.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Ok(Vec::new());
        }
        let named = self.git.bytes(["ls-files", "-z", "--others", "--ignored", "--exclude-from=.worktreeinclude"])?;
        let unknown: std::collections::BTreeSet<&[u8]> = dirty.iter().map(|file| file.path.as_slice()).collect();
        let ignored = entries(&named).filter(|entry| !unknown.contains(entry) && !entry.ends_with(b"/"));
        Ok(ignored.filter(|entry| self.top.join(path(entry)).symlink_metadata().is_ok()).map(<[u8]>::to_vec).collect())
    }
}

fn not_its_files(place: &Path) -> Failure {
    Failure::local(format!("{} is not among the files of the repository that it is in", place.display()))
        .hint("name the folder with the files; git config core.worktree says where they are taken from")
}
