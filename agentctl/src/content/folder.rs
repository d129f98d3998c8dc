//! A folder that is no repository, as a tar archive: all that is not ignored, in a fixed order, and of nobody.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use super::base::names;
use super::ignored::{Fate, Ignored};
use super::secrets::{self, Allowed, Name};
use super::sink::{Sink, Written, unwritten};
use crate::error::Failure;
use crate::output::count;

/// Bytes of an archive, at most.
pub(crate) const MAX_BYTES: u64 = 10 << 30;
/// Entries of an archive, at most.
pub(crate) const MAX_ENTRIES: usize = 200_000;
/// Bytes of a name in an old archive's field.
const SHORT_NAME: usize = 100;

/// One thing in a folder.
struct Found {
    name: PathBuf,
    metadata: std::fs::Metadata,
}

/// Writes the folder `root` into `into`; gives what was written and what a person should know.
pub(crate) fn archive(root: &Path, into: &File, allowed: &Allowed) -> Result<(Written, Vec<String>), Failure> {
    let metadata = root.metadata().map_err(|error| Failure::file(root, "open", &error))?;
    if !metadata.is_dir() {
        return Err(Failure::usage(format!("{} is no folder", root.display())));
    }
    let (mut skipped, mut left_out) = (Vec::new(), Vec::new());
    let found = walk(root, &Ignored::of(root)?, &mut skipped, &mut left_out)?;
    allowed.refuse(&secrets_in(root, &found)?)?;
    let mut outside = Vec::new();
    let mut tar = tar::Builder::new(Sink::new(into, MAX_BYTES));
    for entry in &found {
        put(&mut tar, root, entry, &mut outside)?;
    }
    let written = tar.into_inner().map_err(|error| unwritten(&error))?.done()?;
    let mut notes = Vec::new();
    if !left_out.is_empty() {
        let are =
            if left_out.len() == 1 { "is ignored (.gitignore) and not" } else { "are ignored (.gitignore) and not" };
        notes.push(format!("{} {are} included; .worktreeinclude names what goes along all the same", names(&left_out)));
    }
    if !skipped.is_empty() {
        let are = if skipped.len() == 1 { "is not included: it is" } else { "are not included: they are" };
        notes.push(format!("{} {are} no file, folder or symlink", names(&skipped)));
    }
    if !outside.is_empty() {
        let point = if outside.len() == 1 { "points" } else { "point" };
        let symlinks = count(outside.len() as u64, "symlink");
        notes.push(format!("{symlinks} {point} out of the folder: {}", names(&outside)));
    }
    Ok((written, notes))
}

/// All that is in a folder and not ignored, in the order of names; symlinks are not followed.
fn walk(
    root: &Path,
    ignored: &Ignored,
    skipped: &mut Vec<String>,
    left_out: &mut Vec<String>,
) -> Result<Vec<Found>, Failure> {
    let (mut found, mut open) = (Vec::new(), vec![(PathBuf::new(), false)]);
    while let Some((folder, in_part)) = open.pop() {
        let place = root.join(&folder);
        let failed = |error: std::io::Error| Failure::file(&place, "read", &error);
        for entry in std::fs::read_dir(&place).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = folder.join(entry.file_name());
            let fate = ignored.fate(&name, in_part);
            if fate != Fate::Goes && !in_part {
                left_out.push(name.display().to_string());
            }
            if fate == Fate::Stays {
                continue;
            }
            let metadata = entry.metadata().map_err(|error| Failure::file(entry.path(), "look at", &error))?;
            let kind = metadata.file_type();
            if kind.is_dir() {
                open.push((name.clone(), fate == Fate::InPart));
            } else if !kind.is_file() && !kind.is_symlink() {
                skipped.push(name.display().to_string());
                continue;
            }
            found.push(Found { name, metadata });
            if found.len() > MAX_ENTRIES {
                return Err(Failure::local(format!("{} holds more than {MAX_ENTRIES} files", root.display()))
                    .hint("name a folder inside of it, or commit it and use --repo"));
            }
        }
    }
    found.sort_unstable_by(|a, b| a.name.as_os_str().as_bytes().cmp(b.name.as_os_str().as_bytes()));
    skipped.sort_unstable();
    left_out.sort_unstable();
    Ok(found)
}

fn secrets_in(root: &Path, found: &[Found]) -> Result<BTreeMap<String, &'static str>, Failure> {
    let mut secrets = BTreeMap::new();
    for entry in found.iter().filter(|entry| entry.metadata.is_file() && entry.metadata.len() > 0) {
        let path = entry.name.to_string_lossy().into_owned();
        let kind = secrets::name(&path);
        if let Name::Secret(why) = kind {
            secrets.insert(path, why);
            continue;
        }
        let mut begin = Vec::new();
        let file = open(root, &entry.name)?;
        let most = if matches!(kind, Name::Plain) { 64 } else { secrets::LOOKED_INTO_BYTES };
        file.take(most)
            .read_to_end(&mut begin)
            .map_err(|error| Failure::file(root.join(&entry.name), "read", &error))?;
        if secrets::begins_as_key(&begin) {
            secrets.insert(path, "private key");
        } else if let Name::Perhaps(why, words) = kind {
            let text = String::from_utf8_lossy(&begin);
            if words.iter().any(|word| text.contains(word)) {
                secrets.insert(path, why);
            }
        }
    }
    Ok(secrets)
}

/// Opens a file of the folder; one that became a symlink or a FIFO meanwhile is refused and waited for by nobody.
fn open(root: &Path, name: &Path) -> Result<File, Failure> {
    let path = root.join(name);
    let mut options = std::fs::OpenOptions::new();
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    options.read(true).custom_flags(flags).open(&path).map_err(|error| Failure::file(&path, "read", &error))
}

fn put(tar: &mut tar::Builder<Sink<'_>>, root: &Path, entry: &Found, outside: &mut Vec<String>) -> Result<(), Failure> {
    let path = root.join(&entry.name);
    let failed = |error: std::io::Error| Failure::file(&path, "take", &error);
    let kind = entry.metadata.file_type();
    let mut header = tar::Header::new_ustar();
    let executable = entry.metadata.permissions().mode() & 0o100 != 0;
    header.set_mode(if executable || kind.is_dir() { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    if kind.is_dir() {
        header.set_entry_type(tar::EntryType::Directory);
        named(tar, &mut header, &entry.name, None).map_err(failed)?;
        return append(tar, &header, std::io::empty()).map_err(failed);
    }
    if kind.is_symlink() {
        let target = std::fs::read_link(&path).map_err(failed)?;
        if leaves(&entry.name, &target) {
            outside.push(entry.name.display().to_string());
        }
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        named(tar, &mut header, &entry.name, Some(&target)).map_err(failed)?;
        return append(tar, &header, std::io::empty()).map_err(failed);
    }
    let file = open(root, &entry.name)?;
    let now = file.metadata().map_err(failed)?;
    if !now.is_file() || now.ino() != entry.metadata.ino() || now.len() != entry.metadata.len() {
        return Err(Failure::local(format!("{} changed while it was read", path.display())).hint("submit again"));
    }
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(now.len());
    named(tar, &mut header, &entry.name, None).map_err(failed)?;
    // A file that grew goes as long as it was; one that shrank would spoil what comes after.
    let mut content = file.take(now.len());
    append(tar, &header, &mut content).map_err(failed)?;
    if content.limit() > 0 {
        return Err(Failure::local(format!("{} changed while it was read", path.display())).hint("submit again"));
    }
    Ok(())
}

fn append(tar: &mut tar::Builder<Sink<'_>>, header: &tar::Header, content: impl Read) -> std::io::Result<()> {
    let mut header = header.clone();
    header.set_cksum();
    tar.append(&header, content)
}

/// Writes a name and a link target into a header; what does not fit goes before it as POSIX has it.
fn named(
    tar: &mut tar::Builder<Sink<'_>>,
    header: &mut tar::Header,
    name: &Path,
    link: Option<&Path>,
) -> std::io::Result<()> {
    let short = |path: &Path| path.as_os_str().len() <= SHORT_NAME;
    let mut extended: Vec<(&str, &[u8])> = Vec::new();
    if short(name) {
        header.set_path(name)?;
    } else {
        extended.push(("path", name.as_os_str().as_bytes()));
        header.set_path("long-name")?;
    }
    match link {
        Some(target) if short(target) => header.set_link_name_literal(target.as_os_str().as_bytes())?,
        Some(target) => extended.push(("linkpath", target.as_os_str().as_bytes())),
        None => {}
    }
    if extended.is_empty() { Ok(()) } else { tar.append_pax_extensions(extended) }
}

/// Whether a symlink points out of the folder.
fn leaves(name: &Path, target: &Path) -> bool {
    let mut depth = i64::try_from(name.components().count()).unwrap_or(i64::MAX) - 1;
    for component in target.components() {
        match component {
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return true,
        }
        if depth < 0 {
            return true;
        }
    }
    false
}
