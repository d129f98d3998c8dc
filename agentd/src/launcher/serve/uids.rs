//! Which run has which user. Two runs never have one at the same time, whoever asks: each could reach what the other has.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use agentd_schemas::id::RunId;

use super::super::{LaunchError, refused, system};
use super::systemd::SystemdError;
use super::{Service, say, unit};

/// A file for each user that a run has.
const FOLDER: &str = "/run/agentd-launch/users";

/// The users of runs, one file each with the run's name in it. They go with the boot, as runs do.
pub(super) struct Users {
    folder: PathBuf,
    starts: Mutex<Starts>,
}

/// Starts that are under way.
#[derive(Default)]
struct Starts {
    of: HashMap<RunId, usize>,
    /// How many there ever were.
    begun: u64,
}

impl Default for Users {
    fn default() -> Self {
        Self { folder: FOLDER.into(), starts: Mutex::default() }
    }
}

/// A start that is under way, until this is dropped.
pub(super) struct Starting<'a>(&'a Users, RunId);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        let mut starts = self.0.starts();
        if let Some(count) = starts.of.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                starts.of.remove(&self.1);
            }
        }
    }
}

impl Users {
    fn starts(&self) -> MutexGuard<'_, Starts> {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step of a run is being started: its user is the run's, whatever else is seen of it.
    pub(super) fn starting(&self, run: RunId) -> Starting<'_> {
        let mut starts = self.starts();
        *starts.of.entry(run).or_default() += 1;
        starts.begun += 1;
        Starting(self, run)
    }

    /// Gives a user to a run, unless another one has it, which is told.
    pub(super) fn claim(&self, uid: u32, run: RunId) -> io::Result<Option<String>> {
        std::fs::create_dir_all(&self.folder)?;
        let path = self.folder.join(uid.to_string());
        let name = run.to_string();
        match std::fs::read_to_string(&path) {
            Ok(holder) => return Ok((holder != name).then_some(holder)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
        let new = self.folder.join(format!(".{uid}.{name}"));
        std::fs::write(&new, &name)?;
        std::fs::rename(&new, &path)?;
        Ok(None)
    }

    /// Takes a user back, whoever has it: that of trials, one of which may not have come to its end.
    pub(super) fn clear(&self, uid: u32) -> io::Result<()> {
        match std::fs::remove_file(self.folder.join(uid.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes the user back from a run of which nothing is left.
    pub(super) fn release(&self, run: RunId) -> io::Result<()> {
        let name = run.to_string();
        let held = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            held => held?,
        };
        for entry in held {
            let path = entry?.path();
            if std::fs::read_to_string(&path).is_ok_and(|holder| holder == name) {
                std::fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// Gives a user to a run. A run that has it and of which nothing is left, neither a process nor its folder, has it no longer.
pub(super) async fn claim(service: &Service, uid: u32, run: RunId) -> Result<(), LaunchError> {
    let users = &service.users;
    let note = || users.claim(uid, run).map_err(system("note whose user it is"));
    let Some(holder) = note()? else { return Ok(()) };
    if let Ok(held) = holder.parse()
        && is_stale(service, held).await.unwrap_or(false)
    {
        say(&format!("the user of run {held}, of which nothing is left, is taken back"));
        users.release(held).map_err(system("take back the user of a run"))?;
        if note()?.is_none() {
            return Ok(());
        }
    }
    refused(format!("launch spec field run_as: uid {uid} is the user of run {holder}, which was not removed"))
}

/// Whether nothing is left of a run. The folder alone tells nothing: the daemon could have moved it.
pub(super) async fn is_stale(service: &Service, run: RunId) -> Result<bool, SystemdError> {
    let begun = service.users.starts().begun;
    let gone = |path: PathBuf| path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    if !gone(service.options.runs.join(run.to_string())) {
        return Ok(false);
    }
    let lives = service.systemd.lives(&unit::pattern(run)).await?;
    // Whoever began to start something meanwhile may have it be of this run.
    let starts = service.users.starts();
    Ok(!lives && starts.begun == begun && !starts.of.contains_key(&run))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn no_two_runs_that_were_not_removed_have_one_user() {
        let scratch = Scratch::new();
        let users = Users { folder: scratch.join("users"), starts: Mutex::default() };
        let [one, two]: [RunId; 2] = ["w-aaaaaaaaaaaaaaaa.1", "w-aaaaaaaaaaaaaaaa.2"].map(|run| run.parse().unwrap());
        users.release(one).unwrap();
        assert_eq!(users.claim(7, one).unwrap(), None);
        assert_eq!(users.claim(7, one).unwrap(), None);
        assert_eq!(users.claim(7, two).unwrap().as_deref(), Some("w-aaaaaaaaaaaaaaaa.1"));
        assert_eq!(users.claim(8, two).unwrap(), None);
        users.release(one).unwrap();
        assert_eq!(users.claim(7, two).unwrap(), None);
        users.clear(7).unwrap();
        users.clear(7).unwrap();
        assert_eq!(users.claim(7, one).unwrap(), None);
    }

    #[test]
    fn a_start_is_under_way_until_its_last_one_ends() {
        let users = Users::default();
        let run: RunId = "w-aaaaaaaaaaaaaaaa.1".parse().unwrap();
        let (one, two) = (users.starting(run), users.starting(run));
        drop(one);
        assert!(users.starts().of.contains_key(&run));
        drop(two);
        assert!(users.starts().of.is_empty());
        assert_eq!(users.starts().begun, 2);
    }
}
