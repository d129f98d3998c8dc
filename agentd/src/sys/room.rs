//! What a run takes of the disk, looked at from outside while its programs write.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};

/// Folders within each other that are looked into. What lies deeper the step that collects sees, and the disk's own count.
const MAX_DEPTH: usize = 128;

/// Bytes and files, files being all that has a name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// Bytes.
    pub bytes: u64,
    /// Files and folders.
    pub files: u64,
}

impl Room {
    /// Whether it is more than `most`.
    pub fn is_beyond(self, most: Self) -> bool {
        self.bytes > most.bytes || self.files > most.files
    }
}

/// What folders have in them, counted no further than beyond `most`. Bytes are those that a file claims or those that it
/// takes, whichever are more. Links are not followed, and what cannot be seen is not counted.
pub fn taken(folders: &[PathBuf], most: Room) -> Room {
    count(folders.iter().filter_map(|folder| enter(CWD, folder)), most)
}

/// The same of folders directly below one that is held open: whoever puts another in its place changes nothing.
pub fn taken_below(parent: impl AsFd, names: &[CString], most: Room) -> Room {
    count(names.iter().filter_map(|name| enter(&parent, name)), most)
}

fn count(folders: impl Iterator<Item = Dir>, most: Room) -> Room {
    let mut sum = Room::default();
    for folder in folders {
        let mut open = vec![folder];
        while let Some(here) = open.last_mut() {
            let Some(Ok(entry)) = here.next() else {
                open.pop();
                continue;
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(at) = here.fd() else { continue };
            let Ok(found) = statat(at, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let (claims, takes) =
                (u64::try_from(found.st_size).unwrap_or(0), u64::try_from(found.st_blocks).unwrap_or(0));
            sum.files += 1;
            sum.bytes = sum.bytes.saturating_add(claims.max(takes.saturating_mul(512)));
            if sum.is_beyond(most) {
                return sum;
            }
            if FileType::from_raw_mode(found.st_mode) == FileType::Directory && open.len() < MAX_DEPTH {
                let below = open.last().and_then(|here| here.fd().ok()).and_then(|at| enter(at, name));
                open.extend(below);
            }
        }
    }
    sum
}

fn enter(at: impl AsFd, name: impl rustix::path::Arg) -> Option<Dir> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let folder: OwnedFd = openat(at, name, flags, Mode::empty()).ok()?;
    Dir::new(folder).ok()
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;

    const ANY: Room = Room { bytes: u64::MAX, files: u64::MAX };

    #[test]
    fn everything_counts_and_no_link_leads_out() {
        let scratch = Scratch::new();
        let (one, two) = (scratch.join("one"), scratch.join("two"));
        std::fs::create_dir_all(one.join("a/b")).unwrap();
        std::fs::create_dir_all(&two).unwrap();
        std::fs::write(one.join("a/b/c"), vec![0; 100_000]).unwrap();
        std::fs::File::create(two.join("sparse")).unwrap().set_len(1 << 30).unwrap();
        std::os::unix::fs::symlink("/usr", two.join("out")).unwrap();
        std::os::unix::fs::symlink("/usr", scratch.join("three")).unwrap();
        let folders = [one, two, scratch.join("three"), scratch.join("none")];
        let found = taken(&folders, ANY);
        assert_eq!(found.files, 5);
        let scratch_itself = std::fs::File::open(scratch.path()).unwrap();
        let names = ["one", "two", "three", "none"].map(|name| CString::new(name).unwrap());
        assert_eq!(taken_below(&scratch_itself, &names, ANY), found);
        assert!(found.bytes >= (1 << 30) + 100_000 && found.bytes < (1 << 30) + 200_000, "{found:?}");
        // No further than it must.
        assert_eq!(taken(&folders, Room { files: 2, ..ANY }).files, 3);
        assert!(taken(&folders, Room { bytes: 4096, ..ANY }).is_beyond(Room { bytes: 4096, ..ANY }));
    }

    #[test]
    fn folders_within_each_other_end_somewhere() {
        let scratch = Scratch::new();
        let mut path = scratch.join("deep");
        for _ in 0..MAX_DEPTH + 20 {
            path.push("d");
        }
        std::fs::create_dir_all(&path).unwrap();
        assert_eq!(taken(&[scratch.join("deep")], ANY).files, MAX_DEPTH as u64);
    }
}
