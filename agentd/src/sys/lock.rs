//! One daemon for one state directory.
//!
//! The lock is the kernel's `flock` on a file named `lock`; it ends with the process that holds it, however that ended.
//! The file is never removed (a removed one could be locked by two), and the process id in it is for people only.

use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

const FILE_NAME: &str = "lock";
/// A process id in decimal and a newline are at most 11 bytes.
const PID_LIMIT_BYTES: u64 = 16;

/// Why the directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds the lock.
    #[error("agentd already runs on {} ({}); stop it first", path.display(), holder(*pid))]
    AlreadyRunning {
        /// What the holder wrote about itself, if it is readable.
        pid: Option<u32>,
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file is something else than a file of ours.
    #[error("{} is not a regular file; move it away", path.display())]
    NotRegular {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file could not be used.
    #[error("cannot {action} lock file {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The lock file.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "process id unknown".to_owned(), |pid| format!("process {pid}"))
}

/// The right to be the only daemon on a state directory; given up when dropped.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
    path: PathBuf,
}

impl DirectoryLock {
    /// Locks `directory`, without waiting.
    pub fn acquire(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join(FILE_NAME);
        let failed = |action| {
            let path = path.clone();
            move |source: io::Error| LockError::Io { action, path, source }
        };
        // Not blocking, so that a FIFO in the file's place is an error and not a wait.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mut file: File = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| failed("open")(errno.into()))?
            .into();
        if !file.metadata().map_err(failed("inspect"))?.is_file() {
            return Err(LockError::NotRegular { path });
        }
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(LockError::AlreadyRunning { pid: read_pid(&file), path });
            }
            Err(errno) => return Err(failed("lock")(errno.into())),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed("write"))?;
        Ok(Self { file, path })
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing would do, were it not for a child between fork and exec, which shares the open file for a moment.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

/// The process id in the file: a hint, absent while the holder is between locking and writing.
fn read_pid(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_LIMIT_BYTES).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Child, Command, Stdio};

    /// Another process that holds the lock until it is killed; returns when it does.
    fn other_holder(path: &Path) -> Child {
        let script = "import fcntl, os, sys\n\
            file = open(sys.argv[1], 'w')\n\
            fcntl.flock(file, fcntl.LOCK_EX)\n\
            file.write(str(os.getpid()) + '\\n'); file.flush()\n\
            print('held', flush=True)\n\
            sys.stdin.read()\n";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n");
        child
    }

    fn try_flock(path: &Path) -> bool {
        let command = Command::new("flock").arg("--nonblock").arg(path).arg("true").status();
        command.unwrap().success()
    }

    #[test]
    fn the_second_daemon_learns_who_is_first_and_follows_its_death() {
        let scratch = Scratch::new();
        let mut child = other_holder(&scratch.join("lock"));
        let error = DirectoryLock::acquire(scratch.path()).unwrap_err();
        let LockError::AlreadyRunning { pid, path } = &error else { panic!("{error:?}") };
        assert_eq!((*pid, path.as_path()), (Some(child.id()), scratch.join("lock").as_path()));
        assert!(error.to_string().contains(&format!("process {}", child.id())), "{error}");

        child.kill().unwrap();
        child.wait().unwrap();
        let lock = DirectoryLock::acquire(scratch.path()).unwrap();
        assert_eq!(std::fs::read_to_string(lock.path()).unwrap(), format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_program_started_meanwhile_does_not_inherit_the_lock() {
        let scratch = Scratch::new();
        let lock = DirectoryLock::acquire(scratch.path()).unwrap();
        let mut bystander = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        drop(lock);
        assert!(try_flock(&scratch.join("lock")));
        assert!(bystander.try_wait().unwrap().is_none());
        drop(bystander.stdin.take());
        assert!(bystander.wait().unwrap().success());
    }

    #[test]
    fn other_programs_see_the_lock_until_it_is_dropped() {
        let scratch = Scratch::new();
        let lock = DirectoryLock::acquire(scratch.path()).unwrap();
        assert!(!try_flock(lock.path()));
        let second = DirectoryLock::acquire(scratch.path()).unwrap_err();
        assert!(matches!(second, LockError::AlreadyRunning { pid: Some(pid), .. } if pid == std::process::id()));
        drop(lock);
        assert!(try_flock(&scratch.join("lock")));
    }

    #[test]
    fn the_file_is_private_and_survives_the_lock() {
        let scratch = Scratch::new();
        drop(DirectoryLock::acquire(scratch.path()).unwrap());
        let mode = std::fs::metadata(scratch.join("lock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn garbage_in_the_file_is_an_unknown_holder() {
        let scratch = Scratch::new();
        let path = scratch.join("lock");
        std::fs::write(&path, vec![b'9'; 100_000]).unwrap();
        let file = File::open(&path).unwrap();
        assert_eq!(read_pid(&file), None);
    }

    #[test]
    fn a_symlink_a_directory_and_a_fifo_are_refused() {
        let scratch = Scratch::new();
        let path = scratch.join("lock");
        let target = scratch.join("target");
        std::os::unix::fs::symlink(&target, &path).unwrap();
        let symlink = DirectoryLock::acquire(scratch.path()).unwrap_err();
        assert!(matches!(symlink, LockError::Io { action: "open", .. }), "{symlink:?}");
        assert!(!target.exists());

        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let directory = DirectoryLock::acquire(scratch.path()).unwrap_err();
        assert!(matches!(directory, LockError::Io { action: "open", .. }), "{directory:?}");

        std::fs::remove_dir(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let fifo = DirectoryLock::acquire(scratch.path()).unwrap_err();
        assert!(matches!(fifo, LockError::NotRegular { .. }), "{fifo:?}");
    }
}
