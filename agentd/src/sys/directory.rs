//! The directories that agentd keeps its state and its sockets in.
//!
//! Invariant: a [`Directory`] belonged to this process's user, and nobody else could create or rename files in it, when
//! it was opened.

use rustix::fs::{Mode, OFlags};
use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It belongs to another user.
    #[error(
        "directory {} belongs to uid {owner}, and agentd runs as uid {euid}: name a directory of its own, or give it this one, \
         if nothing else is in it: chown {euid} {}",
        path.display(), path.display()
    )]
    WrongOwner {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        euid: u32,
    },
    /// Others may create and rename files in it.
    #[error(
        "directory {} has mode {mode:04o}, so others can change it; run: chmod go-w {}",
        path.display(), path.display()
    )]
    TooOpen {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Others may look into it.
    #[error(
        "directory {} has mode {mode:04o}, so others can look into it; run: chmod go-rwx {}",
        path.display(), path.display()
    )]
    Readable {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The path names something else.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The directory could not be used.
    #[error("cannot {action} directory {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The directory.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
}

/// Who may look into a directory that is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Mode 0700: state, keys.
    Private,
    /// Mode 0711: others come through to what is theirs in it, and see nothing of the rest.
    Passable,
    /// Mode 0755: a runtime directory with sockets that others connect to.
    Traversable,
}

/// Room on the file system of a directory, for a user without privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSpace {
    /// Bytes that can still be written.
    pub available_bytes: u64,
    /// Size of the file system in bytes.
    pub total_bytes: u64,
}

impl FreeSpace {
    /// Available share of the whole, in percent, rounded down; 0 for a file system of no size.
    pub fn percent(&self) -> u8 {
        let hundredfold = u128::from(self.available_bytes) * 100;
        let percent = hundredfold.checked_div(u128::from(self.total_bytes)).unwrap_or(0);
        u8::try_from(percent.min(100)).unwrap_or(100)
    }
}

/// An open directory of ours.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens the directory, after creating it, with missing parents, where it does not exist.
    ///
    /// A symbolic link to a directory is followed (service managers make them); what is checked is what it leads to. An
    /// existing directory keeps its mode.
    pub fn ensure(path: &Path, visibility: Visibility) -> Result<Self, DirectoryError> {
        let failed = |action| move |source| DirectoryError::Io { action, path: path.to_owned(), source };
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700).create(parent).map_err(failed("create the parent of"))?;
        }
        let created = match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(failed("create")(error)),
        };
        let directory = Self::open(path)?;
        if created {
            let mode = match visibility {
                Visibility::Private => 0o700,
                Visibility::Passable => 0o711,
                Visibility::Traversable => 0o755,
            };
            rustix::fs::fchmod(&directory.fd, Mode::from_raw_mode(mode))
                .map_err(|errno| failed("set the mode of")(errno.into()))?;
        }
        Ok(directory)
    }

    /// Opens an existing directory, and refuses it when it is not ours alone to change.
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        Self::open_as(path, rustix::process::geteuid().as_raw())
    }

    fn open_as(path: &Path, euid: u32) -> Result<Self, DirectoryError> {
        let failed = |action, errno: rustix::io::Errno| match errno {
            rustix::io::Errno::NOTDIR => DirectoryError::NotADirectory { path: path.to_owned() },
            errno => DirectoryError::Io { action, path: path.to_owned(), source: errno.into() },
        };
        let fd = open_fd(path).map_err(|errno| failed("open", errno))?;
        let stat = rustix::fs::fstat(&fd).map_err(|errno| failed("inspect", errno))?;
        if stat.st_uid != euid {
            return Err(DirectoryError::WrongOwner { path: path.to_owned(), owner: stat.st_uid, euid });
        }
        let mode = stat.st_mode & 0o7777;
        if mode & 0o022 != 0 {
            return Err(DirectoryError::TooOpen { path: path.to_owned(), mode });
        }
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Lets others come through a directory that was closed to them.
    pub fn make_passable(&self) -> Result<(), DirectoryError> {
        let mode = rustix::fs::fstat(&self.fd).map_err(|errno| self.failed("inspect", errno))?.st_mode & 0o7777;
        if mode & 0o011 == 0o011 {
            return Ok(());
        }
        let mode = Mode::from_raw_mode(mode | 0o011);
        rustix::fs::fchmod(&self.fd, mode).map_err(|errno| self.failed("set the mode of", errno))
    }

    /// Refuses a directory that anybody else can look into: content lies in it. That others can come through, who know a
    /// name in it, is their way to what is theirs.
    pub fn check_private(&self) -> Result<(), DirectoryError> {
        let mode = rustix::fs::fstat(&self.fd).map_err(|errno| self.failed("inspect", errno))?.st_mode & 0o7777;
        if mode & 0o066 == 0 { Ok(()) } else { Err(DirectoryError::Readable { path: self.path.clone(), mode }) }
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes created, renamed and removed names durable.
    pub fn sync(&self) -> Result<(), DirectoryError> {
        rustix::fs::fsync(&self.fd).map_err(|errno| self.failed("sync", errno))
    }

    /// Room left on its file system.
    pub fn free_space(&self) -> Result<FreeSpace, DirectoryError> {
        let stat = rustix::fs::fstatvfs(&self.fd).map_err(|errno| self.failed("measure", errno))?;
        Ok(FreeSpace {
            available_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }

    fn failed(&self, action: &'static str, errno: rustix::io::Errno) -> DirectoryError {
        DirectoryError::Io { action, path: self.path.clone(), source: errno.into() }
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A descriptor of the directory at `path`, without the checks of [`Directory`].
pub(super) fn open_fd(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;
    use proptest::prelude::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_created_directory_has_the_mode_of_its_visibility_and_private_parents() {
        let scratch = Scratch::new();
        let state = Directory::ensure(&scratch.join("a/b/state"), Visibility::Private).unwrap();
        assert_eq!(state.path(), scratch.join("a/b/state"));
        Directory::ensure(&scratch.join("run"), Visibility::Traversable).unwrap();
        let modes = ["a", "a/b", "a/b/state", "run"].map(|name| mode(&scratch.join(name)));
        assert_eq!(modes, [0o700, 0o700, 0o700, 0o755]);
        state.check_private().unwrap();
    }

    #[test]
    fn a_directory_that_others_can_look_into_is_not_private() {
        let scratch = Scratch::new();
        for open in [0o750, 0o705, 0o744] {
            fs::set_permissions(scratch.path(), Permissions::from_mode(open)).unwrap();
            let refused = Directory::open(scratch.path()).unwrap().check_private().unwrap_err().to_string();
            assert!(refused.contains("others can look into it; run: chmod go-rwx"), "{refused}");
        }
    }

    #[test]
    fn an_existing_directory_keeps_its_mode_and_its_files() {
        let scratch = Scratch::new();
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o750)).unwrap();
        fs::write(scratch.join("file"), "kept").unwrap();
        let directory = Directory::ensure(scratch.path(), Visibility::Private).unwrap();
        directory.sync().unwrap();
        assert_eq!(mode(scratch.path()), 0o750);
        assert_eq!(fs::read_to_string(scratch.join("file")).unwrap(), "kept");
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused_with_the_way_out() {
        let scratch = Scratch::new();
        for open in [0o720, 0o702, 0o777, 0o1777] {
            fs::set_permissions(scratch.path(), Permissions::from_mode(open)).unwrap();
            let error = Directory::ensure(scratch.path(), Visibility::Private).unwrap_err();
            assert!(matches!(&error, DirectoryError::TooOpen { mode, .. } if *mode == open), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(&format!("{open:04o}")) && text.contains("chmod go-w"), "{text}");
        }
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        let scratch = Scratch::new();
        let ours = rustix::process::geteuid().as_raw();
        Directory::open_as(scratch.path(), ours).unwrap();
        let error = Directory::open_as(scratch.path(), ours + 1).unwrap_err();
        assert!(
            matches!(error, DirectoryError::WrongOwner { owner, euid, .. } if (owner, euid) == (ours, ours + 1)),
            "{error:?}"
        );
        assert!(error.to_string().contains(&format!("chown {}", ours + 1)), "{error}");
    }

    #[test]
    fn a_file_is_not_a_directory_and_a_link_to_a_directory_is_followed() {
        let scratch = Scratch::new();
        fs::write(scratch.join("file"), "").unwrap();
        let error = Directory::ensure(&scratch.join("file"), Visibility::Private).unwrap_err();
        assert!(matches!(error, DirectoryError::NotADirectory { .. }), "{error:?}");

        fs::create_dir(scratch.join("real")).unwrap();
        fs::set_permissions(scratch.join("real"), Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink("real", scratch.join("link")).unwrap();
        Directory::ensure(&scratch.join("link"), Visibility::Private).unwrap();
        fs::set_permissions(scratch.join("real"), Permissions::from_mode(0o777)).unwrap();
        let error = Directory::ensure(&scratch.join("link"), Visibility::Private).unwrap_err();
        assert!(matches!(error, DirectoryError::TooOpen { .. }), "{error:?}");
    }

    #[test]
    fn a_missing_directory_is_not_created_by_open() {
        let scratch = Scratch::new();
        let error = Directory::open(&scratch.join("absent")).unwrap_err();
        assert!(matches!(error, DirectoryError::Io { action: "open", .. }), "{error:?}");
        assert!(!scratch.join("absent").exists());
    }

    #[test]
    fn the_size_of_the_file_system_agrees_with_another_program() {
        let scratch = Scratch::new();
        let space = Directory::open(scratch.path()).unwrap().free_space().unwrap();
        let mut stat = Command::new("stat");
        let output = stat.args(["--file-system", "--format=%b %S"]).arg(scratch.path()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (blocks, size) = text.trim().split_once(' ').unwrap();
        let theirs = blocks.parse::<u64>().unwrap() * size.parse::<u64>().unwrap();
        assert_eq!(space.total_bytes, theirs);
        assert!(space.available_bytes > 0 && space.available_bytes <= space.total_bytes);
    }

    #[test]
    fn free_percent_is_rounded_down_and_never_beyond_its_range() {
        let table = [(0, 0, 0), (0, 100, 0), (1, 3, 33), (100, 100, 100), (u64::MAX, u64::MAX, 100), (200, 100, 100)];
        for (available_bytes, total_bytes, percent) in table {
            assert_eq!(FreeSpace { available_bytes, total_bytes }.percent(), percent);
        }
    }

    proptest! {
        #[test]
        fn free_percent_never_exceeds_a_hundred(available_bytes: u64, total_bytes: u64) {
            let space = FreeSpace { available_bytes, total_bytes };
            prop_assert!(space.percent() <= 100);
        }
    }
}
