//! Bases of our own, kept for `work apply`: a commit that holds what was not committed is in no repository, and a result
//! stands on it.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::base::Base;
use crate::ambient;
use crate::error::Failure;
use crate::new_file::NewFile;

/// Bases that are kept, at most; the oldest goes first.
const MAX_KEPT: usize = 64;

/// Where bases are kept.
pub(crate) fn folder() -> Result<PathBuf, Failure> {
    Ok(ambient::state_dir()?.join("bases"))
}

/// Where the base with this commit id is kept, if it is.
pub(crate) fn kept(folder: &Path, commit: &str) -> Option<PathBuf> {
    let is_id = commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| folder.join(commit)).filter(|path| path.is_file())
}

/// Keeps what the person's repository lacks of a base.
pub(super) fn keep(base: &Base, folder: &Path) -> Result<(), Failure> {
    if !base.is_own() || kept(folder, &base.commit).is_some() {
        return Ok(());
    }
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Failure::file(folder, "create", &error))?;
    forget(folder);
    let file = NewFile::create(&folder.join(&base.commit), true)?;
    base.lacking(file.file())?;
    file.keep().map(drop)
}

/// Makes room for one more.
fn forget(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut kept: Vec<_> =
        entries.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect();
    kept.sort_unstable();
    let more = (kept.len() + 1).saturating_sub(MAX_KEPT);
    for (_, path) in kept.into_iter().take(more) {
        // One that stays is in the way of nobody.
        let _ = std::fs::remove_file(path);
    }
}
