//! What a user would run instead, measured in the same run where it is installed.

pub(crate) mod postgres;
pub(crate) mod pueue;

use std::path::{Path, PathBuf};

/// A program on the usual paths.
fn installed(name: &str) -> Option<PathBuf> {
    ["/usr/local/bin", "/usr/bin", "/bin"].iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists())
}
