//! Which run has which user. Two runs never have one at the same time, whoever asks: each could reach what the other has.

use std::io;
use std::path::PathBuf;

use agentd_schemas::id::RunId;

/// A file for each user that a run has.
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
    /// Gives a user to a run, unless another run has it that was not removed.
    ///
    /// # Errors
    ///
    /// The words say whose it is.
    pub(super) fn claim(&self, uid: u32, run: RunId) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let path = self.folder.join(uid.to_string());
        let name = run.to_string();
        match std::fs::read_to_string(&path) {
            Ok(holder) if holder == name => return Ok(()),
            Ok(holder) => {
                let text =
                    format!("launch spec field run_as: uid {uid} is the user of run {holder}, which was not removed");
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
        let new = self.folder.join(format!(".{uid}.{name}"));
        std::fs::write(&new, &name)?;
        std::fs::rename(&new, &path)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn no_two_runs_that_were_not_removed_have_one_user() {
        let scratch = Scratch::new();
        let users = Users { folder: scratch.join("users") };
        let [one, two]: [RunId; 2] = ["w-aaaaaaaaaaaaaaaa.1", "w-aaaaaaaaaaaaaaaa.2"].map(|run| run.parse().unwrap());
        users.release(one).unwrap();
        users.claim(7, one).unwrap();
        users.claim(7, one).unwrap();
        let refused = users.claim(7, two).unwrap_err().to_string();
        assert!(refused.contains("uid 7 is the user of run w-aaaaaaaaaaaaaaaa.1"), "{refused}");
        users.claim(8, two).unwrap();
        users.release(one).unwrap();
        users.claim(7, two).unwrap();
        users.clear(7).unwrap();
        users.clear(7).unwrap();
        users.claim(7, one).unwrap();
    }
}
