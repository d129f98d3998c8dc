//! Bytes by their digest: what clients hand in, and what runs make.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentd_schemas::event::ArtefactRef;
use data_encoding::HEXLOWER;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use sha2::{Digest as _, Sha256};

use super::files;
use super::folder::Folder;
use super::host::Host;
use crate::sys::clock::Clock;

/// Bytes copied at once.
const CHUNK_BYTES: usize = 256 << 10;
/// Below this share of free disk, in percent, nothing is taken, where the host does not say otherwise.
pub const MIN_FREE_PERCENT: u64 = 10;

/// Bytes between two looks at the disk while something is taken.
const LOOK_BYTES: u64 = 64 << 20;
/// How long a client may hand nothing in before it is given up.
const SILENCE: Duration = Duration::from_secs(60);
/// How long it may take in all.
const WHOLE_MS: u64 = 3_600_000;

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// SHA-256 (hex) of its bytes.
    pub sha256: String,
    /// How many they are.
    pub bytes: u64,
}

/// One kept file, for whoever clears up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it is.
    pub path: PathBuf,
    /// Whose it is; 0 among artefacts, which are the host's.
    pub uid: u32,
    /// SHA-256 (hex) of its bytes, as its name says.
    pub sha256: String,
    /// How many they are.
    pub bytes: u64,
    /// When it was last handed in: seconds since 1970.
    pub modified_s: u64,
}

/// Refuses to take anything, and to start anything, where the disk below `path` is nearly full.
pub fn check_room(host: &Host, path: &Path) -> io::Result<()> {
    let (free, total) = files::free_share(path)?;
    let least = host.defaults.min_free_percent;
    if u128::from(free) * 100 < u128::from(total) * u128::from(least) {
        let text = format!(
            "{free} of {total} bytes are free below {}, less than {least} % (runs.min_free_percent)",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::StorageFull, text));
    }
    Ok(())
}

/// Keeps what a client hands in by a descriptor, for its user; at most `most` bytes.
pub fn store(host: &Host, uid: u32, from: File, most: u64) -> io::Result<Stored> {
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&from)?.st_mode);
    if !matches!(kind, FileType::RegularFile | FileType::Fifo) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "content is handed in as a file or a pipe"));
    }
    files::folder(&host.content, 0o700)?;
    let folder = host.content.join(uid.to_string());
    files::folder(&folder, 0o700)?;
    let room = || check_room(host, &folder);
    room()?;
    let mut kept = Vec::new();
    list_folder(&folder, uid, &mut kept)?;
    let own: u64 = kept.iter().map(|kept| kept.bytes).sum();
    let left = host.defaults.uploads_bytes.saturating_sub(own);
    let from = Patient { from, silence: SILENCE, until_ms: Clock::system().boot_ms() + WHOLE_MS };
    keep(&folder, from, most.min(left), room).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge if left < most => {
            let text = format!("uid {uid} has {own} bytes here that works may begin with, and {left} more are taken");
            io::Error::new(io::ErrorKind::QuotaExceeded, text)
        }
        _ => error,
    })
}

/// What a client hands in, who may stop in the middle and hold the other end open.
struct Patient {
    from: File,
    silence: Duration,
    until_ms: u64,
}

impl Read for Patient {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let silence = self.silence.min(Duration::from_millis(self.until_ms.saturating_sub(Clock::system().boot_ms())));
        let timeout = Timespec::try_from(silence).map_err(io::Error::other)?;
        // A file is always ready.
        match poll(&mut [PollFd::new(&self.from, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::TimedOut, "whoever hands it in is silent, or takes too long")),
            Ok(_) => self.from.read(into),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Opens what a user handed in; what is not there is `None`.
pub fn open(host: &Host, uid: u32, sha256: &str) -> io::Result<Option<File>> {
    if !is_digest(sha256) {
        return Ok(None);
    }
    files::open_below(&host.content, Path::new(&format!("{uid}/{sha256}")))
}

/// A tar archive of nothing, in memory: two blocks of zeros (tar(5)).
pub fn nothing() -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("nothing", rustix::fs::MemfdFlags::CLOEXEC)?);
    io::Write::write_all(&mut file, &[0; 1024])?;
    io::Seek::rewind(&mut file)?;
    Ok(file)
}

/// Opens an artefact by its digest.
pub fn open_artefact(host: &Host, sha256: &str) -> io::Result<Option<File>> {
    if !is_digest(sha256) {
        return Ok(None);
    }
    files::open_below(&host.artefacts, Path::new(sha256))
}

/// Keeps an artefact of a run: a file of its folder, which is not followed where it is a link. At most `most` bytes.
pub fn artefact(host: &Host, name: &str, folder: &Folder, file: &Path, most: u64) -> io::Result<ArtefactRef> {
    let found = folder.open(file)?;
    let found =
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no {}", file.display())))?;
    artefact_from(host, name, found, most)
}

/// Keeps an artefact from wherever it is read.
pub fn artefact_from(host: &Host, name: &str, from: impl Read, most: u64) -> io::Result<ArtefactRef> {
    files::folder(&host.artefacts, 0o700)?;
    let Stored { sha256, bytes } = keep(&host.artefacts, from, most, || check_room(host, &host.artefacts))?;
    Ok(ArtefactRef { name: name.to_owned(), sha256, bytes })
}

/// All that clients handed in.
pub fn list(host: &Host) -> io::Result<Vec<Kept>> {
    let mut kept = Vec::new();
    for (name, path) in entries(&host.content)? {
        if let Ok(uid) = name.parse() {
            list_folder(&path, uid, &mut kept)?;
        }
    }
    Ok(kept)
}

/// All artefacts.
pub fn list_artefacts(host: &Host) -> io::Result<Vec<Kept>> {
    let mut kept = Vec::new();
    list_folder(&host.artefacts, 0, &mut kept)?;
    Ok(kept)
}

/// Names and paths in a folder of ours; none where it is not there.
pub(super) fn entries(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        found.extend(entry.file_name().into_string().ok().map(|name| (name, entry.path())));
    }
    Ok(found)
}

fn list_folder(folder: &Path, uid: u32, kept: &mut Vec<Kept>) -> io::Result<()> {
    for (name, path) in entries(folder)? {
        // What is unfinished has no digest for a name, and is listed too: somebody must clear it up.
        let Ok(found) = path.symlink_metadata() else { continue };
        if found.is_file() {
            let modified_s = u64::try_from(found.mtime()).unwrap_or(0);
            kept.push(Kept { path, uid, sha256: name, bytes: found.len(), modified_s });
        }
    }
    Ok(())
}

pub(super) fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Copies into a folder under the digest, durably.
fn keep(folder: &Path, from: impl Read, most: u64, room: impl Fn() -> io::Result<()>) -> io::Result<Stored> {
    let new = files::unfinished(&folder.join("content"))?;
    let kept = copy(&new, from, most, room).and_then(|stored| {
        let path = folder.join(&stored.sha256);
        std::fs::rename(&new, &path)?;
        files::sync_folder_of(&path)?;
        Ok(stored)
    });
    if kept.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    kept
}

fn copy(to: &Path, mut from: impl Read, most: u64, room: impl Fn() -> io::Result<()>) -> io::Result<Stored> {
    let mut file = files::create(to, 0o600)?;
    let (mut digest, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK_BYTES]);
    loop {
        let length = match from.read(&mut chunk) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if length == 0 {
            break;
        }
        let before = bytes / LOOK_BYTES;
        bytes += length as u64;
        if bytes / LOOK_BYTES > before {
            room()?;
        }
        if bytes > most {
            let text = format!("more than {most} bytes, which is what is taken at most");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        digest.update(&chunk[..length]);
        file.write_all(&chunk[..length])?;
    }
    file.sync_all()?;
    Ok(Stored { sha256: HEXLOWER.encode(&digest.finalize()), bytes })
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn who_hands_nothing_in_is_given_up_and_what_was_handed_in_is_read() {
        let (end, mut other) = std::io::pipe().unwrap();
        let from = File::from(OwnedFd::from(end));
        let mut patient = Patient { from, silence: Duration::ZERO, until_ms: Clock::system().boot_ms() + WHOLE_MS };
        let mut into = [0; 8];
        assert_eq!(patient.read(&mut into).unwrap_err().kind(), io::ErrorKind::TimedOut);
        other.write_all(b"some").unwrap();
        assert_eq!(patient.read(&mut into).unwrap(), 4);
        drop(other);
        assert_eq!(patient.read(&mut into).unwrap(), 0, "the end is no silence");
    }

    #[test]
    fn the_disk_is_looked_at_while_something_is_taken() {
        let folder = crate::sys::scratch::Scratch::new();
        let full = || Err(io::Error::from(io::ErrorKind::StorageFull));
        let refused = keep(folder.path(), io::repeat(0).take(LOOK_BYTES + 1), u64::MAX, full).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left of it");
        keep(folder.path(), &b"small"[..], u64::MAX, full).unwrap();
    }
}
