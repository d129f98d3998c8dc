//! What the tests of this room stand on: a private directory that goes away, and a second process.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A fresh 0700 directory below the temporary directory, removed with its contents when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("agentd-sys-{}-{number}", std::process::id()));
        // A killed earlier process with the same id may have left one behind.
        drop(fs::remove_dir_all(&path));
        fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// This test binary again, running only the ignored test `name` (its full path): a process that may change its own
/// limits or die without harm to the tests beside it.
pub(crate) fn child(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", name]);
    command
}

/// The program and its arguments, to be run by way of another program.
pub(crate) fn command_line(command: &Command) -> Vec<OsString> {
    let program = std::iter::once(command.get_program());
    program.chain(command.get_args()).map(OsStr::to_owned).collect()
}

/// Runs a [`child`], or a program that runs one, and says whether the one test ran and passed.
pub(crate) fn passes(command: &mut Command) -> bool {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    // A misspelt name runs no test, and that succeeds too.
    let passed = output.status.success() && text.contains("ok. 1 passed");
    if !passed {
        eprintln!("{text}{}", String::from_utf8_lossy(&output.stderr));
    }
    passed
}
