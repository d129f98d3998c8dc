//! The way into a set of groups: opened by who made it, used by the run's user.
//!
//! The kernel asks whether who *opened* the file of a group's processes may move them, not who writes to it. So the maker
//! opens these files and hands the descriptors on, and the groups need not be given away.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{PROCS, PROGRAM, SHIM};
use crate::sys::descriptor;

/// The way into one place of a set: the group of the parent, and that of the program.
#[derive(Debug)]
pub struct Door {
    pub(super) program: PathBuf,
    shim: File,
    inner: File,
}

impl Door {
    pub(super) fn open(place: &Path) -> io::Result<Self> {
        let open = |group: &Path| OpenOptions::new().write(true).open(group.join(PROCS));
        let program = place.join(PROGRAM);
        Ok(Self { shim: open(&place.join(SHIM))?, inner: open(&program)?, program })
    }

    /// Has both descriptors inherited by what this process becomes, and gives what that one is to be told.
    pub fn hand_on(&self) -> io::Result<HandedOn> {
        descriptor::leave_open(&self.shim)?;
        descriptor::leave_open(&self.inner)?;
        let (shim, inner) = (self.shim.as_raw_fd(), self.inner.as_raw_fd());
        Ok(HandedOn { shim, inner, program: self.program.clone() })
    }

    /// Takes what was handed on, once, before anything else is opened.
    pub fn take(told: &HandedOn) -> io::Result<Self> {
        let take = |number| descriptor::inherited(number).map(File::from);
        Ok(Self { shim: take(told.shim)?, inner: take(told.inner)?, program: told.program.clone() })
    }

    /// Takes this process into the group of the parent. The first move on a quiet host takes the kernel some milliseconds.
    pub(super) fn enter(&self) -> io::Result<()> {
        enter(&self.shim)
    }

    /// Has what this process starts next inherit the way into the group of the program.
    pub(super) fn leave_open(&self) -> io::Result<()> {
        descriptor::leave_open(&self.inner)
    }

    /// The number of that descriptor.
    pub(super) fn inner(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

/// Takes this process into the group that `number`, a descriptor which was left open for it, leads to.
pub fn enter_inherited(number: RawFd) -> io::Result<()> {
    enter(&File::from(descriptor::inherited(number)?))
}

fn enter(mut group: &File) -> io::Result<()> {
    group.write_all(b"0")
}

/// A [`Door`] as a word of a command line: `SHIM:PROGRAM:PATH`, two descriptors and the path of the program's group.
#[derive(Debug, Clone)]
pub struct HandedOn {
    shim: RawFd,
    inner: RawFd,
    program: PathBuf,
}

impl fmt::Display for HandedOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.shim, self.inner, self.program.display())
    }
}

impl FromStr for HandedOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut fields = text.splitn(3, ':');
        let mut number = || fields.next().and_then(|field| field.parse().ok());
        let told = number().zip(number());
        match (told, fields.next()) {
            (Some((shim, inner)), Some(path)) if path.starts_with('/') => {
                Ok(Self { shim, inner, program: path.into() })
            }
            _ => Err("give two descriptors and a path, as in 3:4:/sys/fs/cgroup/x".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_is_a_word_and_read_back() {
        let told: HandedOn = "3:4:/sys/fs/cgroup/a:b".parse().unwrap();
        assert_eq!(told.to_string(), "3:4:/sys/fs/cgroup/a:b");
        for bad in ["", "3", "3:4", "3:4:", "3:4:x", "a:4:/x", "3:b:/x", ":4:/x"] {
            assert!(bad.parse::<HandedOn>().is_err(), "{bad}");
        }
    }
}
