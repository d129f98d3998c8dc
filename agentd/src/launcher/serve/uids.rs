//! Which run has which user. Two runs never have one at the same time, whoever asks: each could reach what the other has.

use std::io;
use std::path::{Path, PathBuf};

use agentd_schemas::id::RunId;

/// Beside the folders of runs that the service knows of there is a file for each user that one of them has.
const FOLDER: &str = "/run/agentd-launch/users";

/// The users of runs, one file each with the run's name in it. They go with the boot, as runs do.
pub(super) struct Users {
    folder: PathBuf,
}

impl Default for Users {
    fn default() -> Self {
        Self { folder: FOLDER.into() }
    }
}

impl Users {
    /// Gives a user to a run, unless another run has it whose folder is still there.
    ///
    /// # Errors
    ///
    /// The words say whose it is.
    pub(super) fn claim(&self, runs: &Path, uid: u32, run: RunId) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let path = self.folder.join(uid.to_string());
        let name = run.to_string();
        if let Ok(holder) = std::fs::read_to_string(&path)
            && holder != name
            && holder.parse::<RunId>().is_ok_and(|other| runs.join(other.to_string()).exists())
        {
            let text =
                format!("launch spec field run_as: uid {uid} is the user of run {holder}, whose folder is there");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        let new = self.folder.join(format!(".{uid}.{name}"));
        std::fs::write(&new, &name)?;
        std::fs::rename(&new, &path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn no_two_runs_that_are_there_have_one_user() {
        let scratch = Scratch::new();
        let users = Users { folder: scratch.join("users") };
        let runs = scratch.join("runs");
        let [one, two]: [RunId; 2] = ["w-aaaaaaaaaaaaaaaa.1", "w-aaaaaaaaaaaaaaaa.2"].map(|run| run.parse().unwrap());
        std::fs::create_dir_all(runs.join(one.to_string())).unwrap();
        users.claim(&runs, 7, one).unwrap();
        users.claim(&runs, 7, one).unwrap();
        let refused = users.claim(&runs, 7, two).unwrap_err().to_string();
        assert!(refused.contains("uid 7 is the user of run w-aaaaaaaaaaaaaaaa.1"), "{refused}");
        users.claim(&runs, 8, two).unwrap();
        std::fs::remove_dir(runs.join(one.to_string())).unwrap();
        users.claim(&runs, 7, two).unwrap();
    }
}
