//! Bytes by their digest: what clients hand in, and what runs make.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentd_schemas::event::ArtefactRef;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;

use super::files;
use super::folder::Folder;
use super::host::Host;
use super::keep::{self, Bounds, Keeping};
use crate::sys::clock::Clock;

/// Bytes copied at once.
const CHUNK_BYTES: usize = 256 << 10;
/// Below this share of free disk, in percent, nothing is taken, where the host does not say otherwise.
pub const MIN_FREE_PERCENT: u64 = 10;

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
    /// Which file it was when it was found: its inode, and when it was handed in, to the nanosecond.
    pub state: (u64, i64, i64),
}

/// Refuses to take anything, and to start anything, where the disk below `path` is nearly full.
pub fn check_room(host: &Host, path: &Path) -> io::Result<()> {
    keep::check_free(path, host.defaults.min_free_percent)
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
    let bounds = Bounds {
        least_free_percent: host.defaults.min_free_percent,
        file_bytes: most,
        folder_bytes: host.defaults.uploads_bytes,
    };
    let from = Patient { from, silence: SILENCE, until_ms: Clock::system().boot_ms() + WHOLE_MS };
    keep(&folder, from, bounds).map_err(|error| match error.kind() {
        io::ErrorKind::QuotaExceeded => {
            io::Error::new(io::ErrorKind::QuotaExceeded, format!("of uid {uid}, {error} (runs.max_uploads)"))
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

/// Says whether a user handed this in and it is still here. Where it is, it counts as handed in now, so that who is about to
/// name it has it.
pub fn claim(host: &Host, uid: u32, sha256: &str) -> io::Result<bool> {
    Ok(is_digest(sha256) && keep::touch(&host.content.join(uid.to_string()).join(sha256))?)
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
    let Stored { sha256, bytes } = keep(&host.artefacts, from, artefact_bounds(host.defaults.min_free_percent, most))?;
    Ok(ArtefactRef { name: name.to_owned(), sha256, bytes })
}

/// What bounds an artefact of at most `most` bytes.
pub fn artefact_bounds(least_free_percent: u64, most: u64) -> Bounds {
    Bounds { least_free_percent, file_bytes: most, folder_bytes: u64::MAX }
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
            kept.push(Kept { path, uid, sha256: name, bytes: found.len(), modified_s, state: keep::state(&found) });
        }
    }
    Ok(())
}

pub(super) fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Copies into a folder under the digest, durably.
fn keep(folder: &Path, mut from: impl Read, bounds: Bounds) -> io::Result<Stored> {
    let mut keeping = Keeping::begin(folder, bounds)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return keeping.finish(),
            Ok(length) => keeping.write(&chunk[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
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
    fn what_does_not_fit_leaves_nothing() {
        let scratch = crate::sys::scratch::Scratch::new();
        let none = Bounds { least_free_percent: 0, file_bytes: u64::MAX, folder_bytes: u64::MAX };
        keep(scratch.path(), &b"small"[..], none).unwrap();
        for (bounds, kind) in [
            (Bounds { least_free_percent: 101, ..none }, io::ErrorKind::StorageFull),
            (Bounds { file_bytes: 4, ..none }, io::ErrorKind::FileTooLarge),
            (Bounds { folder_bytes: 9, ..none }, io::ErrorKind::QuotaExceeded),
        ] {
            assert_eq!(keep(scratch.path(), &b"other"[..], bounds).unwrap_err().kind(), kind);
        }
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1, "nothing is left of them");
    }

    #[test]
    fn two_that_are_handed_in_at_a_time_do_not_pass_the_bound_of_all_together() {
        let scratch = crate::sys::scratch::Scratch::new();
        let defaults = crate::runner::RunDefaults { uploads_bytes: 100, min_free_percent: 0, ..Default::default() };
        let host = Host { content: scratch.join("content"), defaults, ..crate::runner::trial_host() };
        let (end, mut other) = std::io::pipe().unwrap();
        let first = {
            let host = host.clone();
            std::thread::spawn(move || store(&host, 7, File::from(OwnedFd::from(end)), 1000))
        };
        other.write_all(&[b'a'; 60]).unwrap();
        let there = || std::fs::read_dir(host.content.join("7")).into_iter().flatten().flatten();
        while there().filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).sum::<u64>() < 60 {
            std::thread::yield_now();
        }
        std::fs::write(scratch.join("second"), [b'b'; 60]).unwrap();
        let refused = store(&host, 7, File::open(scratch.join("second")).unwrap(), 1000).unwrap_err();
        assert!(refused.kind() == io::ErrorKind::QuotaExceeded && refused.to_string().contains("uid 7"), "{refused}");
        store(&host, 8, File::open(scratch.join("second")).unwrap(), 1000).unwrap();
        drop(other);
        first.join().unwrap().unwrap();
        assert_eq!(list(&host).unwrap().iter().map(|kept| (kept.uid, kept.bytes)).max(), Some((8, 60)));
        assert_eq!(there().count(), 1);
    }

    #[test]
    fn what_is_handed_in_again_after_it_was_found_does_not_go() {
        let scratch = crate::sys::scratch::Scratch::new();
        let host = Host { content: scratch.join("content"), ..crate::runner::trial_host() };
        std::fs::write(scratch.join("bundle"), "bundle").unwrap();
        let hand_in = || store(&host, 7, File::open(scratch.join("bundle")).unwrap(), 1000).unwrap().sha256;
        let found = || list(&host).unwrap().pop().unwrap();
        let goes = |found: &Kept, is_needed| keep::remove(found, || Ok(is_needed)).unwrap();
        let sha256 = hand_in();
        let before = found();
        hand_in();
        assert!(!goes(&before, false), "another file has its name");
        let before = found();
        std::thread::sleep(Duration::from_millis(20));
        assert!(claim(&host, 7, &sha256).unwrap() && !goes(&before, false), "somebody is about to name it");
        assert!(!goes(&found(), true), "a work needs it");
        assert!(goes(&found(), false));
        assert!(!claim(&host, 7, &sha256).unwrap() && open(&host, 7, &sha256).unwrap().is_none());
    }
}
