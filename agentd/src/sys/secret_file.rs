//! Secrets at rest: files that one user alone can read, written whole or not at all.
//!
//! Invariant: what [`read`] returns was in a regular file of ours, closed to group and world, and [`write`] leaves
//! either the old state of the name or the whole new secret, durable.

use super::directory;
use super::failpoint;
use super::random::{self, RandomError};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Why a secret was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// There is no such file.
    #[error("secret file {} does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file of that name exists, and it was not to be replaced.
    #[error("secret file {} already exists; it is not overwritten", path.display())]
    AlreadyExists {
        /// The file.
        path: PathBuf,
    },
    /// The path is a symbolic link, a directory, a FIFO, or has no file name.
    #[error("secret file {} is not a regular file", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// The file belongs to another user.
    #[error(
        "secret file {} belongs to uid {owner}, and agentd runs as uid {euid}; run: chown {euid} {}",
        path.display(), path.display()
    )]
    WrongOwner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        euid: u32,
    },
    /// Group or world has some access; the secret may be known already.
    #[error(
        "secret file {} has mode {mode:04o}, so others have access to it; run: chmod 600 {}",
        path.display(), path.display()
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds more than a secret of this kind can be.
    #[error("secret file {} is larger than {limit_bytes} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Most that was asked for.
        limit_bytes: usize,
    },
    /// No name could be made for the unfinished file.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The file could not be used.
    #[error("cannot {action} secret file {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
}

/// The bytes of a secret. Overwritten when dropped, never printed.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// What to do with a file that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave it and fail.
    Refuse,
    /// Put the new secret in its place.
    Replace,
    /// The same, and overwrite the bytes of the old file where nothing else holds it. A file system that copies on write
    /// and a disk that moves its blocks may keep them all the same.
    ReplaceAndWipe,
}

/// Whose file passes for a secret.
#[derive(Debug, Clone, Copy)]
enum Whose {
    /// Of this process's user, closed to all others.
    Ours(u32),
    /// Ours or root's, and closed to the world. An access list shows as a group that may read.
    HandedOver(u32),
    /// Whoever's.
    Anybodys,
}

/// Reads a secret of at most `limit_bytes`.
pub fn read(path: &Path, limit_bytes: usize) -> Result<Secret, SecretFileError> {
    read_whose(path, limit_bytes, Whose::Ours(rustix::process::geteuid().as_raw()))
}

/// Reads a credential of at most `limit_bytes` that the service manager, who is root or the same user, handed over.
pub fn read_credential(path: &Path, limit_bytes: usize) -> Result<Secret, SecretFileError> {
    read_whose(path, limit_bytes, Whose::HandedOver(rustix::process::geteuid().as_raw()))
}

/// Reads a regular file of at most `limit_bytes`, whoever owns it: for who only looks at how it begins.
pub fn read_of_anybody(path: &Path, limit_bytes: usize) -> Result<Secret, SecretFileError> {
    read_whose(path, limit_bytes, Whose::Anybodys)
}

fn read_whose(path: &Path, limit_bytes: usize, whose: Whose) -> Result<Secret, SecretFileError> {
    // Not blocking, so that a FIFO in the file's place is an error and not a wait.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file: File = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => fd.into(),
        Err(Errno::NOENT) => {
            return Err(SecretFileError::Missing { path: path.to_owned() });
        }
        Err(Errno::LOOP | Errno::NXIO) => {
            return Err(SecretFileError::NotRegular { path: path.to_owned() });
        }
        Err(errno) => return Err(failed("open", path)(errno.into())),
    };
    let size = checked_size(&file, path, whose)?;
    let too_large = || SecretFileError::TooLarge { path: path.to_owned(), limit_bytes };
    let size = usize::try_from(size).ok().filter(|size| *size <= limit_bytes).ok_or_else(too_large)?;
    // Allocated once, and one byte larger: growing would leave copies behind in freed memory.
    let mut buffer = Zeroizing::new(vec![0; size.saturating_add(1)]);
    let length = read_up_to(&file, &mut buffer).map_err(failed("read", path))?;
    if length > limit_bytes {
        return Err(too_large());
    }
    if length > size {
        return Err(failed("read", path)(io::Error::other("it grew while it was read")));
    }
    buffer.truncate(length);
    Ok(Secret(buffer))
}

/// The size of a file that passes for a secret: regular, of whom it may be, closed to others.
fn checked_size(file: &File, path: &Path, whose: Whose) -> Result<u64, SecretFileError> {
    let metadata = file.metadata().map_err(failed("inspect", path))?;
    let path = || path.to_owned();
    if !metadata.is_file() {
        return Err(SecretFileError::NotRegular { path: path() });
    }
    let owner = metadata.uid();
    let (euid, is_owner, closed) = match whose {
        Whose::Ours(euid) => (euid, owner == euid, 0o077),
        Whose::HandedOver(euid) => (euid, owner == euid || owner == 0, 0o037),
        Whose::Anybodys => return Ok(metadata.len()),
    };
    if !is_owner {
        return Err(SecretFileError::WrongOwner { path: path(), owner, euid });
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & closed != 0 {
        return Err(SecretFileError::TooOpen { path: path(), mode });
    }
    Ok(metadata.len())
}

fn read_up_to(mut file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Writes a secret with mode 0600: to an unfinished file beside it, synced, then given its name, the directory synced.
///
/// A crash leaves the name as it was, or with the whole secret; it can leave a `.NAME.new-…` file, which nothing reads.
pub fn write(path: &Path, secret: &[u8], existing: Existing) -> Result<(), SecretFileError> {
    let not_regular = || SecretFileError::NotRegular { path: path.to_owned() };
    let name = path.file_name().ok_or_else(not_regular)?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let directory = directory::open_fd(parent).map_err(|errno| failed("open the directory of", path)(errno.into()))?;
    let unfinished = unfinished_name(name)?;
    let old = match existing {
        Existing::ReplaceAndWipe => open_to_wipe(&directory, name).map_err(failed("open", path))?,
        Existing::Refuse | Existing::Replace => None,
    };
    let written = write_unfinished(&directory, &unfinished, secret)
        .map_err(failed("write", path))
        .and_then(|()| publish(&directory, &unfinished, name, existing, path));
    if written.is_err() {
        // The first error is the one to tell; an unfinished file that stays is harmless.
        let _ = rustix::fs::unlinkat(&directory, &unfinished, AtFlags::empty());
    }
    written?;
    rustix::fs::fsync(&directory).map_err(|errno| failed("sync the directory of", path)(errno.into()))?;
    if let Some(old) = old {
        failpoint::hit("secret.wipe");
        wipe(&old).map_err(failed("overwrite the old bytes of", path))?;
    }
    Ok(())
}

/// Overwrites and removes what interrupted writes of files of these names have left in a directory; nobody may be writing
/// them.
pub fn remove_unfinished(directory: &Path, of: &dyn Fn(&str) -> bool) -> Result<(), SecretFileError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("list the directory of", directory)(error)),
    };
    let fd = directory::open_fd(directory).map_err(|errno| failed("open the directory of", directory)(errno.into()))?;
    for entry in entries {
        let name = entry.map_err(failed("list the directory of", directory))?.file_name();
        if !unfinished_of(&name).is_some_and(of) {
            continue;
        }
        let path = directory.join(&name);
        let old = open_to_wipe(&fd, &name).map_err(failed("open", &path))?;
        rustix::fs::unlinkat(&fd, &name, AtFlags::empty()).map_err(|errno| failed("remove", &path)(errno.into()))?;
        if let Some(old) = old {
            wipe(&old).map_err(failed("overwrite the old bytes of", &path))?;
        }
    }
    rustix::fs::fsync(&fd).map_err(|errno| failed("sync the directory of", directory)(errno.into()))
}

/// A file whose name is about to go; none where there is nothing that could be overwritten.
fn open_to_wipe(directory: &OwnedFd, name: &OsStr) -> io::Result<Option<File>> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Ok(fd) => Ok(Some(fd.into())),
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::ISDIR | Errno::ACCESS) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Overwrites a file that has no name any more. Another name means that somebody keeps it on purpose.
fn wipe(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.nlink() > 0 {
        return Ok(());
    }
    io::copy(&mut io::repeat(0).take(metadata.len()), &mut &*file)?;
    file.sync_all()
}

/// What stands behind the name in that of an unfinished file.
const UNFINISHED: &str = ".new-";

/// The name that an unfinished file was to have.
fn unfinished_of(name: &OsStr) -> Option<&str> {
    let (name, digits) = name.to_str()?.strip_prefix('.')?.rsplit_once(UNFINISHED)?;
    (digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(name)
}

/// A name that no other writer uses at the same time.
fn unfinished_name(name: &OsStr) -> Result<OsString, RandomError> {
    let mut unfinished = OsString::from(".");
    unfinished.push(name);
    unfinished.push(format!("{UNFINISHED}{:016x}", random::u64()?));
    Ok(unfinished)
}

fn write_unfinished(directory: &OwnedFd, name: &OsStr, secret: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    let mut file: File = rustix::fs::openat(directory, name, flags, mode)?.into();
    // The umask may have taken from the mode, and it is not ours to know.
    rustix::fs::fchmod(&file, mode)?;
    file.write_all(secret)?;
    file.sync_all()
}

fn publish(
    directory: &OwnedFd,
    unfinished: &OsStr,
    name: &OsStr,
    existing: Existing,
    path: &Path,
) -> Result<(), SecretFileError> {
    failpoint::check("secret.publish").map_err(failed("name", path))?;
    let renamed = match existing {
        Existing::Replace | Existing::ReplaceAndWipe => rustix::fs::renameat(directory, unfinished, directory, name),
        Existing::Refuse => {
            let flags = RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(directory, unfinished, directory, name, flags) {
                Err(Errno::INVAL | Errno::NOSYS) => link_and_unlink(directory, unfinished, name),
                result => result,
            }
        }
    };
    renamed.map_err(|errno| match errno {
        Errno::EXIST => SecretFileError::AlreadyExists { path: path.to_owned() },
        Errno::ISDIR => SecretFileError::NotRegular { path: path.to_owned() },
        errno => failed("name", path)(errno.into()),
    })
}

/// For file systems that cannot rename without replacing.
fn link_and_unlink(directory: impl AsFd, unfinished: &OsStr, name: &OsStr) -> rustix::io::Result<()> {
    let directory = directory.as_fd();
    rustix::fs::linkat(directory, unfinished, directory, name, AtFlags::empty())?;
    rustix::fs::unlinkat(directory, unfinished, AtFlags::empty())
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SecretFileError {
    let path = path.to_owned();
    move |source| SecretFileError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;
    use std::fs::{self, Permissions};
    use std::process::Command;

    const LIMIT: usize = 64;

    fn names(directory: &Path) -> Vec<OsString> {
        let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_secret_comes_back_as_it_was_written_and_nothing_else_is_left() {
        let scratch = Scratch::new();
        let path = scratch.join("issuer.key");
        for secret in [b"".as_slice(), b"\x00\xff\n", &[7; LIMIT]] {
            write(&path, secret, Existing::Replace).unwrap();
            assert_eq!(read(&path, LIMIT).unwrap().expose(), secret);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(names(scratch.path()), ["issuer.key"]);
    }

    #[test]
    fn an_existing_secret_is_overwritten_only_when_asked() {
        let scratch = Scratch::new();
        let path = scratch.join("key");
        write(&path, b"first", Existing::Refuse).unwrap();
        let error = write(&path, b"second", Existing::Refuse).unwrap_err();
        assert!(matches!(error, SecretFileError::AlreadyExists { .. }), "{error:?}");
        assert_eq!(read(&path, LIMIT).unwrap().expose(), b"first");
        write(&path, b"third", Existing::Replace).unwrap();
        assert_eq!(read(&path, LIMIT).unwrap().expose(), b"third");
        assert_eq!(names(scratch.path()), ["key"]);
    }

    #[test]
    fn the_way_for_old_file_systems_does_not_overwrite_either() {
        let scratch = Scratch::new();
        let directory = directory::open_fd(scratch.path()).unwrap();
        let (unfinished, name) = (OsStr::new(".new"), OsStr::new("key"));
        write_unfinished(&directory, unfinished, b"one").unwrap();
        link_and_unlink(&directory, unfinished, name).unwrap();
        assert_eq!(names(scratch.path()), ["key"]);
        write_unfinished(&directory, unfinished, b"two").unwrap();
        assert_eq!(link_and_unlink(&directory, unfinished, name), Err(Errno::EXIST));
        assert_eq!(read(&scratch.join("key"), LIMIT).unwrap().expose(), b"one");
    }

    #[test]
    fn a_secret_that_others_can_reach_is_refused_with_its_mode_and_the_way_out() {
        let scratch = Scratch::new();
        let path = scratch.join("key");
        write(&path, b"secret", Existing::Refuse).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601, 0o644, 0o777] {
            set_mode(&path, mode);
            let text = read(&path, LIMIT).unwrap_err().to_string();
            let way_out = format!("chmod 600 {}", path.display());
            assert!(text.contains(&format!("{mode:04o}")) && text.contains(&way_out), "{text}");
        }
        set_mode(&path, 0o400);
        assert_eq!(read(&path, LIMIT).unwrap().expose(), b"secret");
    }

    #[test]
    fn a_secret_of_another_user_is_refused() {
        let scratch = Scratch::new();
        let path = scratch.join("key");
        write(&path, b"secret", Existing::Refuse).unwrap();
        let file = File::open(&path).unwrap();
        let ours = rustix::process::geteuid().as_raw();
        assert_eq!(checked_size(&file, &path, Whose::Ours(ours)).unwrap(), 6);
        let error = checked_size(&file, &path, Whose::Ours(ours + 1)).unwrap_err();
        assert!(
            matches!(error, SecretFileError::WrongOwner { owner, euid, .. } if (owner, euid) == (ours, ours + 1)),
            "{error:?}"
        );
    }

    #[test]
    fn a_credential_may_be_roots_and_have_an_access_list_and_is_closed_to_the_world() {
        let scratch = Scratch::new();
        let path = scratch.join("agentd.kek");
        write(&path, b"secret", Existing::Refuse).unwrap();
        let ours = rustix::process::geteuid().as_raw();
        for (mode, fine) in [(0o400, true), (0o440, true), (0o600, true), (0o460, false), (0o404, false)] {
            set_mode(&path, mode);
            assert_eq!(read_credential(&path, LIMIT).is_ok(), fine, "{mode:o}");
        }
        set_mode(&path, 0o400);
        let file = File::open(&path).unwrap();
        let by = |euid| checked_size(&file, &path, Whose::HandedOver(euid)).is_ok();
        assert_eq!((by(ours), by(ours + 1)), (true, ours == 0), "another's is no credential, root's is");
    }

    #[test]
    fn a_secret_that_is_replaced_for_good_is_overwritten_unless_it_has_another_name() {
        let scratch = Scratch::new();
        let (path, kept) = (scratch.join("key"), scratch.join("kept"));
        write(&path, b"first", Existing::Refuse).unwrap();
        let mut old = File::open(&path).unwrap();
        write(&path, b"second", Existing::ReplaceAndWipe).unwrap();
        let mut left = Vec::new();
        old.read_to_end(&mut left).unwrap();
        assert_eq!((left.as_slice(), read(&path, LIMIT).unwrap().expose()), ([0; 5].as_slice(), b"second".as_slice()));
        fs::hard_link(&path, &kept).unwrap();
        write(&path, b"third", Existing::ReplaceAndWipe).unwrap();
        assert_eq!(read(&kept, LIMIT).unwrap().expose(), b"second");
    }

    #[test]
    fn what_an_interrupted_write_left_goes_and_nothing_else() {
        let scratch = Scratch::new();
        let left = unfinished_name(OsStr::new("key")).unwrap();
        fs::write(scratch.path().join(&left), b"secret").unwrap();
        let mut old = File::open(scratch.path().join(&left)).unwrap();
        for other in [".key.new-1", "key.new-0123456789abcdef", ".hidden", "key"] {
            fs::write(scratch.join(other), b"other").unwrap();
        }
        remove_unfinished(scratch.path(), &|name| name == "other").unwrap();
        assert!(names(scratch.path()).contains(&left));
        remove_unfinished(scratch.path(), &|name| name == "key").unwrap();
        assert_eq!(names(scratch.path()), [".hidden", ".key.new-1", "key", "key.new-0123456789abcdef"]);
        let mut bytes = Vec::new();
        old.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [0; 6]);
        remove_unfinished(&scratch.join("absent"), &|_| true).unwrap();
    }

    #[test]
    fn a_symlink_a_directory_and_a_fifo_are_not_secrets() {
        let scratch = Scratch::new();
        let (target, link) = (scratch.join("target"), scratch.join("link"));
        write(&target, b"secret", Existing::Refuse).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let fifo = scratch.join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for path in [link.as_path(), scratch.path(), fifo.as_path()] {
            let error = read(path, LIMIT).unwrap_err();
            assert!(matches!(error, SecretFileError::NotRegular { .. }), "{error:?}");
        }
        write(&link, b"new", Existing::Replace).unwrap();
        assert_eq!(read(&target, LIMIT).unwrap().expose(), b"secret", "written through the link");
    }

    #[test]
    fn a_path_without_a_file_name_and_a_directory_in_the_way_are_refused() {
        let scratch = Scratch::new();
        fs::create_dir(scratch.join("taken")).unwrap();
        for path in [Path::new("/"), Path::new(".."), &scratch.join("taken")] {
            let error = write(path, b"x", Existing::Replace).unwrap_err();
            assert!(matches!(error, SecretFileError::NotRegular { .. }), "{error:?}");
        }
        assert_eq!(names(scratch.path()), ["taken"]);
    }

    #[test]
    fn a_missing_secret_is_told_from_a_missing_directory_in_words() {
        let scratch = Scratch::new();
        let path = scratch.join("absent");
        assert!(matches!(read(&path, LIMIT), Err(SecretFileError::Missing { path: named }) if named == path));
        let error = write(&scratch.join("no/key"), b"x", Existing::Refuse).unwrap_err();
        assert!(error.to_string().contains("open the directory of"), "{error}");
    }

    #[test]
    fn the_size_is_bounded() {
        let scratch = Scratch::new();
        let path = scratch.join("key");
        write(&path, &[1; LIMIT + 1], Existing::Refuse).unwrap();
        let error = read(&path, LIMIT).unwrap_err();
        assert!(matches!(error, SecretFileError::TooLarge { limit_bytes: LIMIT, .. }), "{error:?}");
        assert_eq!(read(&path, LIMIT + 1).unwrap().expose().len(), LIMIT + 1);
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        let secret = Secret(Zeroizing::new(b"canary".to_vec()));
        assert_eq!(format!("{secret:?}"), "Secret(6 bytes)");
    }
}
