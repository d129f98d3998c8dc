//! What a daemon that is not root may have the launcher's service start: bounds that hold whatever the spec says.

use std::path::Path;

use agentd_schemas::launch::{Access, Allowed, LaunchSpec, Level, overlap};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::place::{Place, names};
use super::start::{read_spec, user_of};
use super::{LaunchError, Uids, allowed, refused, system};

/// A spec that may be started.
pub(super) struct Checked {
    pub(super) spec: LaunchSpec,
    /// SHA-256 (hex) of its file.
    pub(super) sha256: String,
    /// Device and inode of each place of the host that it mounts, in their order.
    pub(super) mounted: Vec<String>,
}

/// Holds the spec of a step against the bounds; a trial of the service's own has none but the contract's.
pub(super) fn check(
    runs: &Path,
    spec: &Path,
    uids: Uids,
    least: Level,
    most: Option<&Allowed>,
) -> Result<Checked, LaunchError> {
    let (run, name) = names(runs, spec)?;
    let place = Place::find(runs, run)?
        .ok_or_else(|| LaunchError::Refused(format!("there is no folder of run {run} in {}", runs.display())))?;
    let (text, spec) = read_spec(&place, name, spec)?;
    user_of(&spec, uids)?;
    if spec.level < least {
        return refused(format!(
            "launch spec field level: {} is weaker than {}, the least that is given here",
            spec.level.as_str(),
            least.as_str()
        ));
    }
    most.map_or(Ok(()), |most| allowed::check(most, &spec))?;
    let mounted = mounts(&spec, &runs.join(run), most)?;
    Ok(Checked { spec, sha256: digest(&text), mounted })
}

/// SHA-256 (hex) of the bytes of a spec.
pub(super) fn digest(text: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

fn mounts(spec: &LaunchSpec, folder: &Path, most: Option<&Allowed>) -> Result<Vec<String>, LaunchError> {
    let shows = |path: &Path| {
        most.is_none_or(|most| most.shows(path)) && !spec.keep_out.iter().any(|place| overlap(path, place))
    };
    let mut mounted = Vec::new();
    for mount in &spec.mounts {
        let path = &mount.source;
        if path.starts_with(folder) && path != folder {
            continue;
        }
        let shown = path.display();
        if mount.access == Access::Write {
            return refused(format!("launch spec field mounts: {shown} is not of this run, and cannot be written"));
        }
        // By the name first: who asks learns nothing of what is where it may not look.
        if !shows(path) {
            return refused(allowed::told(&Allowed::not_shown(path)));
        }
        let real = path.canonicalize().map_err(system(format!("find {shown}")))?;
        if real.as_path() != path.as_path() {
            let name = if shows(&real) { format!("; name {}", real.display()) } else { String::new() };
            return refused(format!("launch spec field mounts: {shown} has a link on the way{name}"));
        }
        mounted.push(seen(path)?);
    }
    Ok(mounted)
}

/// What tells one file from another that is put into its place.
pub(super) fn seen(path: &Path) -> Result<String, LaunchError> {
    use std::os::unix::fs::MetadataExt as _;
    let found = path.symlink_metadata().map_err(system(format!("look at {}", path.display())))?;
    Ok(format!("{}:{}", found.dev(), found.ino()))
}

/// Holds what systemd mounted against what was checked.
pub(super) fn is_as_checked(spec: &LaunchSpec, folder: &Path, mounted: &[String]) -> Result<(), LaunchError> {
    let host = spec.mounts.iter().map(|mount| &mount.source).filter(|path| !path.starts_with(folder));
    let found = host.map(|path| seen(path)).collect::<Result<Vec<_>, _>>()?;
    if found == mounted { Ok(()) } else { refused("a place of the host was exchanged after it had been checked") }
}
