//! Removing what a run left.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use agentd_schemas::launch::LOCK_FILE;
use rustix::fs::{FileType, FlockOperation, OFlags};

use super::place::{Place, c_name, parse_run};
use super::{LaunchError, refused, system};
use crate::sys::{cgroup, tree};

/// Removes the folder of a run and its control groups, or these alone. A living shim in it is a refusal.
pub(super) fn remove(runs: &Path, run: &str, groups_only: bool) -> Result<(), LaunchError> {
    parse_run(run)?;
    let place = Place::find(runs, run)?;
    // Held until all is removed, so that no shim begins in between.
    let locks = place.as_ref().map(|place| hold_records(place, run)).transpose()?;
    cgroup::remove(run).map_err(system(format!("remove the control groups of run {run}")))?;
    if let Some(place) = place.filter(|_| !groups_only) {
        tree::remove(place.runs(), place.name()).map_err(system(format!("remove the folder of run {run}")))?;
    }
    drop(locks);
    Ok(())
}

/// Locks each record of the run.
fn hold_records(place: &Place, run: &str) -> Result<Vec<File>, LaunchError> {
    let mut locks = Vec::new();
    let lock = c_name(LOCK_FILE.as_ref())?;
    for name in tree::folders_in(place).map_err(system(format!("look into the folder of run {run}")))? {
        // What cannot be opened has no shim of ours in it: a record is its user's to read.
        let Ok(folder) = tree::open_folder(place, &name) else { continue };
        let Ok(file) = tree::open_file(&folder, &lock, OFlags::RDONLY) else { continue };
        match try_lock(file) {
            Ok(lock) => locks.extend(lock),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return refused(format!(
                    "run {run} has a living shim on its record {}; end it first",
                    name.to_string_lossy()
                ));
            }
            Err(error) => return Err(system("lock a record")(error)),
        }
    }
    Ok(locks)
}

/// `None` for what is no file, which no shim locks.
fn try_lock(file: OwnedFd) -> io::Result<Option<File>> {
    let stat = rustix::fs::fstat(&file)?;
    if !FileType::from_raw_mode(stat.st_mode).is_file() {
        return Ok(None);
    }
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(Some(file.into()))
}
