//! The shim that root starts: nothing that others could have written, whoever names it. It is what holds the sandbox, so
//! whoever names another program as it would have no sandbox.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{LaunchError, refused, system};
use crate::sys::process;

/// Where the shim is, without a link on the way. For root it must be a regular file that only those can change who could
/// change this program as well: root, and who has this file or a folder above it.
pub(super) fn find(shim: &Path) -> Result<PathBuf, LaunchError> {
    if !shim.is_absolute() {
        return refused(format!("{} must be absolute", shim.display()));
    }
    if process::effective_uid() != 0 {
        return Ok(shim.to_owned());
    }
    let shim = shim.canonicalize().map_err(system(format!("find {}", shim.display())))?;
    let own = process::own_program().and_then(|own| own.canonicalize()).map_err(system("find this program"))?;
    let mut trusted = BTreeSet::from([0]);
    for path in own.ancestors() {
        trusted.insert(look(path)?.uid());
    }
    let file = look(&shim)?;
    if !file.is_file() {
        return refused(format!("the shim {} is no regular file", shim.display()));
    }
    only_of(&trusted, &shim, &file)?;
    for (above, folder) in shim.ancestors().skip(1).enumerate() {
        let found = look(folder)?;
        // Who could put another folder in its place could do so with that of this program.
        let shared = above > 0 && own.starts_with(folder);
        // In a folder such as /tmp nobody takes away what is another's.
        let sticky = above > 0 && found.uid() == 0 && found.mode() & 0o1000 != 0;
        if !shared && !sticky {
            only_of(&trusted, folder, &found)?;
        }
    }
    Ok(shim)
}

fn look(path: &Path) -> Result<Metadata, LaunchError> {
    path.symlink_metadata().map_err(system(format!("look at {}", path.display())))
}

fn only_of(trusted: &BTreeSet<u32>, path: &Path, found: &Metadata) -> Result<(), LaunchError> {
    let path = path.display();
    if !trusted.contains(&found.uid()) {
        return refused(format!(
            "{path} is uid {}'s: a shim that root starts, and the folders above it, are root's; run: chown root {path}",
            found.uid()
        ));
    }
    if found.mode() & 0o022 != 0 {
        return refused(format!(
            "{path} can be changed by others, so root starts no shim from it; run: chmod go-w {path}"
        ));
    }
    Ok(())
}
