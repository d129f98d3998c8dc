//! Files of others, read without following a link and bounded; files of our own, written whole or not at all.

use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};

use crate::sys::random;

/// Bytes that are still free for files, and bytes in all, of the file system that a folder is on.
pub fn free_share(path: &Path) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::statvfs(path)?;
    Ok((stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize)))
}

/// Opens a regular file below a folder of ours. No part of `name` may be a link; a file that is not there is `None`.
pub(super) fn open_below(folder: &Path, name: &Path) -> io::Result<Option<File>> {
    match walk(folder, name) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", folder.join(name).display()))),
    }
}

fn walk(folder: &Path, name: &Path) -> io::Result<File> {
    let through = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let mut at: OwnedFd = rustix::fs::open(folder, through & !OFlags::NOFOLLOW, Mode::empty())?;
    let mut parts = name.components().peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(part) = part else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain path"));
        };
        // Not blocking, so that a FIFO in the file's place is no wait.
        let last = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::RDONLY;
        let flags = if parts.peek().is_some() { through } else { last };
        at = rustix::fs::openat(&at, part, flags, Mode::empty())?;
    }
    let stat = rustix::fs::fstat(&at)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
    }
    Ok(at.into())
}

/// Reads a file, which errors call `path`; more than `most` bytes are one.
pub(super) fn read(file: File, path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        let text = format!("{}: more than {most} bytes", path.display());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// A name beside `path` that nothing has.
pub(super) fn unfinished(path: &Path) -> io::Result<PathBuf> {
    let number = random::u64().map_err(io::Error::other)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(path.with_file_name(format!(".{name}.new-{number:016x}")))
}

/// Creates a file of ours that was not there.
pub(super) fn create(path: &Path, mode: u32) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file: File = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?.into();
    // The umask may have taken from the mode, and it is not ours to know.
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
}

/// Writes a file of ours so that it is there whole, under its name, or not at all.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> io::Result<()> {
    let new = unfinished(path)?;
    let written = create(&new, mode).and_then(|mut file| {
        file.write_all(bytes)?;
        if durable { file.sync_all() } else { Ok(()) }
    });
    let named = written.and_then(|()| std::fs::rename(&new, path));
    if named.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    named?;
    if durable { sync_folder_of(path) } else { Ok(()) }
}

/// The same for a file that may be there already, as it is to be: then it is left alone. To replace many files is work for
/// the disk.
pub(super) fn lay(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    if is_there(path, bytes, mode) { Ok(()) } else { write(path, bytes, mode, false) }
}

fn is_there(path: &Path, bytes: &[u8], mode: u32) -> bool {
    let Ok(meta) = path.symlink_metadata() else { return false };
    let same = meta.is_file() && meta.len() == bytes.len() as u64 && meta.permissions().mode() & 0o7777 == mode;
    same && std::fs::read(path).is_ok_and(|there| there == bytes)
}

/// Makes the names in the folder of a file durable.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Makes a folder of ours with exactly this mode, where it is not there.
pub(super) fn folder(path: &Path, mode: u32) -> io::Result<()> {
    match std::fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.symlink_metadata()?.is_dir() => {}
        Err(error) => return Err(error),
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn a_file_that_is_as_it_is_to_be_is_left_alone() {
        use std::os::unix::fs::MetadataExt as _;
        let scratch = Scratch::new();
        let path = scratch.join("file");
        let inode = || path.symlink_metadata().unwrap().ino();
        lay(&path, b"one", 0o600).unwrap();
        let first = inode();
        lay(&path, b"one", 0o600).unwrap();
        assert_eq!(inode(), first);
        for (bytes, mode) in [(b"two", 0o600), (b"two", 0o755)] {
            lay(&path, bytes, mode).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
            assert_eq!(path.symlink_metadata().unwrap().permissions().mode() & 0o7777, mode);
        }
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(scratch.join("elsewhere"), &path).unwrap();
        lay(&path, b"one", 0o600).unwrap();
        assert!(path.symlink_metadata().unwrap().is_file() && !scratch.join("elsewhere").exists());
    }

    #[test]
    fn a_link_on_the_way_is_not_followed_and_a_fifo_is_no_wait() {
        let scratch = Scratch::new();
        std::fs::create_dir_all(scratch.join("run/home")).unwrap();
        std::fs::write(scratch.join("secret"), "secret").unwrap();
        std::fs::write(scratch.join("run/home/a"), "fine").unwrap();
        std::os::unix::fs::symlink(scratch.path(), scratch.join("run/home/up")).unwrap();
        std::os::unix::fs::symlink(scratch.join("secret"), scratch.join("run/home/b")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(scratch.join("run/home/fifo")).status().unwrap().success());
        let read = |name: &str| {
            let file = open_below(&scratch.join("run"), Path::new(name))?;
            file.map(|file| read(file, Path::new(name), 10)).transpose()
        };
        assert_eq!(read("home/a").unwrap().unwrap(), b"fine");
        assert_eq!(read("home/none").unwrap(), None);
        for name in ["home/b", "home/up/secret", "home/fifo", "home", "../secret", "/etc/passwd"] {
            assert!(read(name).is_err(), "{name}");
        }
        std::fs::write(scratch.join("run/home/a"), "eleven byte").unwrap();
        assert_eq!(read("home/a").unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_file_is_there_whole_with_its_mode() {
        let scratch = Scratch::new();
        for durable in [false, true] {
            write(&scratch.join("a"), b"text", 0o755, durable).unwrap();
            assert_eq!(std::fs::metadata(scratch.join("a")).unwrap().permissions().mode() & 0o7777, 0o755);
        }
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
        assert!(write(&scratch.join("none/a"), b"", 0o644, false).is_err());
    }
}
