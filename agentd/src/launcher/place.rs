//! One run's folder, held by a descriptor, and the names that may be in it.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use agentd_schemas::id::RunId;
use rustix::fs::{Mode, OFlags};

use super::{LaunchError, refused, system};
use crate::sys::tree;

/// Bytes of a name in a run's folder, at most. It is the name of a control group too.
const MAX_NAME_BYTES: usize = 64;

/// The folder of one run, `ROOT/RUN`.
pub(super) struct Place {
    runs: OwnedFd,
    folder: OwnedFd,
    name: CString,
    run: RunId,
}

impl Place {
    /// Opens the folder of a run. `None` where there is none.
    pub(super) fn find(runs: &Path, run: &str) -> Result<Option<Self>, LaunchError> {
        let id = parse_run(run)?;
        let name = c_name(OsStr::new(run))?;
        let Some(root) = open_runs(runs)? else { return Ok(None) };
        let folder = match tree::open_mounted_folder(&root, &name) {
            Ok(folder) => folder,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(system(format!("open the folder {run} in {}", runs.display()))(error)),
        };
        let (of_root, of_run) = (owner(&root, runs)?, owner(&folder, &runs.join(run))?);
        if of_root != of_run {
            return refused(format!(
                "the folder of run {run} is uid {of_run}'s, and {} is uid {of_root}'s",
                runs.display()
            ));
        }
        Ok(Some(Self { runs: root, folder, name, run: id }))
    }

    /// The run.
    pub(super) fn run(&self) -> RunId {
        self.run
    }

    /// The folder that this one is in.
    pub(super) fn runs(&self) -> BorrowedFd<'_> {
        self.runs.as_fd()
    }

    /// The folder's own name.
    pub(super) fn name(&self) -> &CStr {
        &self.name
    }
}

impl AsFd for Place {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

/// Reads the name of a run; another way to write the same one is none.
pub(super) fn parse_run(text: &str) -> Result<RunId, LaunchError> {
    match text.parse::<RunId>() {
        Ok(run) if run.to_string() == text => Ok(run),
        Ok(run) => refused(format!("{text} is not how run {run} is written")),
        Err(error) => refused(error.to_string()),
    }
}

/// `None` where it is not there. Links on the way to it are followed: whoever names it could name anything, and what is
/// done in it is bounded by what is asked of it here.
fn open_runs(runs: &Path) -> Result<Option<OwnedFd>, LaunchError> {
    if !runs.is_absolute() {
        return refused(format!("{} must be absolute", runs.display()));
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(runs, flags, Mode::empty()) {
        Ok(root) => Ok(Some(root)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(errno) => Err(system(format!("open {}", runs.display()))(errno)),
    }
}

/// Whose a folder is, that nobody else may change.
fn owner(folder: &OwnedFd, path: &Path) -> Result<u32, LaunchError> {
    let stat = rustix::fs::fstat(folder).map_err(system(format!("inspect {}", path.display())))?;
    if stat.st_mode & 0o022 != 0 {
        return refused(format!("{} can be changed by others; run: chmod go-w {0}", path.display()));
    }
    let me = rustix::process::geteuid();
    if !me.is_root() && stat.st_uid != me.as_raw() {
        return refused(format!("{} is uid {}'s, not ours", path.display(), stat.st_uid));
    }
    Ok(stat.st_uid)
}

/// The two names of `ROOT/RUN/NAME`. Nothing else is in a run's folder directly.
pub(super) fn names<'a>(runs: &Path, path: &'a Path) -> Result<(&'a str, &'a str), LaunchError> {
    let outside =
        || LaunchError::Refused(format!("{} is not directly in a run's folder in {}", path.display(), runs.display()));
    let mut parts = path.strip_prefix(runs).map_err(|_| outside())?.components();
    let (Some(Component::Normal(run)), Some(Component::Normal(name)), None) =
        (parts.next(), parts.next(), parts.next())
    else {
        return Err(outside());
    };
    // Written in another way, such as with a dot, it would be equal and not the same.
    let (Some(run), Some(name)) = (run.to_str(), name.to_str()) else { return Err(outside()) };
    if runs.join(run).join(name).as_os_str() == path.as_os_str() { Ok((run, name)) } else { Err(outside()) }
}

/// A name that may be in a run's folder, as the kernel takes it.
pub(super) fn plain_name(name: &str) -> Result<CString, LaunchError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(plain) {
        return refused(format!(
            "{name:?} is no name for a record or a folder: up to {MAX_NAME_BYTES} of a-z, 0-9 and -"
        ));
    }
    c_name(OsStr::new(name))
}

/// Any name, as the kernel takes it.
pub(super) fn c_name(name: &OsStr) -> Result<CString, LaunchError> {
    CString::new(name.as_encoded_bytes()).map_err(|_| LaunchError::Refused("a name has a NUL byte".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_two_names_below_the_runs_or_outside() {
        let runs = Path::new("/var/lib/agentd/runs");
        let good = Path::new("/var/lib/agentd/runs/w-x.1/program.json");
        assert_eq!(names(runs, good).unwrap(), ("w-x.1", "program.json"));
        for bad in [
            "/var/lib/agentd/runs/w-x.1",
            "/var/lib/agentd/runs/w-x.1/a/b",
            "/var/lib/agentd/runs/w-x.1/../b",
            "/var/lib/agentd/runs/./w-x.1/b",
            "/var/lib/agentd/runs/w-x.1/b/",
            "/var/lib/agentd/runs2/w-x.1/b",
            "/var/lib/agentd/runs//w-x.1/b",
            "w-x.1/b",
            "/etc/passwd",
            "",
        ] {
            assert!(names(runs, Path::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_plain_and_short() {
        assert!(plain_name("check-12").is_ok());
        for bad in ["", "cgroup.procs", "A", "a b", "..", "a/b", "a\0", &"x".repeat(MAX_NAME_BYTES + 1)] {
            assert!(plain_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_run_is_written_in_one_way() {
        assert!(parse_run("w-aaaaaaaaaaaaaaaa.1").is_ok());
        for bad in ["w-aaaaaaaaaaaaaaaa.01", "w-aaaaaaaaaaaaaaaa.+1", "w-aaaaaaaaaaaaaaaa", "..", ""] {
            assert!(parse_run(bad).is_err(), "{bad}");
        }
    }
}
