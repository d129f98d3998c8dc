//! What a folder leaves out by its ignore files, as git reads them: a folder is treated as a repository is.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::Failure;
use crate::git::scratch::{self, Scratch};
use crate::git::{Git, entries};

/// The list of ignored files that go along all the same.
const INCLUDE: &str = ".worktreeinclude";

/// Ignored files and folders of a folder, and which of the files go along all the same.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    out: BTreeSet<Vec<u8>>,
    kept: BTreeSet<Vec<u8>>,
}

/// What happens to a thing in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes along.
    Goes,
    /// It stays out, with all that is in it.
    Stays,
    /// It stays out, but for some of what is in it.
    InPart,
}

impl Ignored {
    /// Asks git, with a repository beside the folder: one in the folder is not looked at.
    pub(super) fn of(root: &Path) -> Result<Self, Failure> {
        let beside = Scratch::new()?;
        let at = Git::at(root);
        scratch::repository(&at, &beside, "sha1", &[])?;
        let git = at.with("GIT_DIR", beside.path().join("repository")).with("GIT_WORK_TREE", root);
        let found = |more: &[&str]| -> Result<BTreeSet<Vec<u8>>, Failure> {
            let asked = ["ls-files", "-z", "--others", "--ignored"].into_iter().chain(more.iter().copied());
            let listed = git.bytes(asked)?;
            Ok(entries(&listed).map(|entry| entry.strip_suffix(b"/").unwrap_or(entry).to_vec()).collect())
        };
        let out = found(&["--exclude-standard", "--directory"])?;
        let is_listed = root.join(INCLUDE).symlink_metadata().is_ok_and(|metadata| metadata.is_file());
        let kept = if is_listed { found(&[&format!("--exclude-from={INCLUDE}")])? } else { BTreeSet::new() };
        Ok(Self { out, kept })
    }

    /// What happens to a thing; `within` says that the folder around it stays out but for some.
    pub(super) fn fate(&self, name: &Path, within: bool) -> Fate {
        let name = name.as_os_str().as_bytes();
        if !within && !self.out.contains(name) {
            return Fate::Goes;
        }
        if self.kept.contains(name) {
            return Fate::Goes;
        }
        let below = [name, b"/"].concat();
        let has = self.kept.range(below.clone()..).next().is_some_and(|next| next.starts_with(&below));
        if has { Fate::InPart } else { Fate::Stays }
    }
}
