//! What the steps that use git said: fields that end with a NUL byte, on standard output.

use std::path::Path;

use agentd_schemas::launch::STDOUT_FILE;

use super::files::read_below;
use super::folder::{Folder, Step};
use super::look::in_record;

/// Bytes of what a step says, at most.
pub(super) const MAX_SAID_BYTES: usize = 64 << 20;
/// The first field, with the version.
const HEAD: &str = "agentd-step 1";
/// The last one: without it something is missing.
const END: &str = "end";

/// How a repository names its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectFormat {
    /// By SHA-1.
    Sha1,
    /// By SHA-256.
    Sha256,
}

impl ObjectFormat {
    /// That of an id (hex), by its length.
    pub fn of(id: &str) -> Option<Self> {
        let hex = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match id.len() {
            40 if hex => Some(Self::Sha1),
            64 if hex => Some(Self::Sha256),
            _ => None,
        }
    }
}

/// What `prepare` made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The commit (hex) that the workspace begins with.
    pub base: String,
}

/// What `collect` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// How the repository names its objects.
    pub format: ObjectFormat,
    /// The commit that the run began with.
    pub base: String,
    /// The tree of what it left.
    pub tree: String,
    /// What was changed, by path.
    pub changes: Vec<Change>,
    /// Paths of all files of the tree.
    pub files: Vec<String>,
    /// What was in the workspace and is not in the tree, ignored files aside.
    pub left_out: Vec<LeftOut>,
    /// The tree as each command judges it that has protected paths.
    pub overlays: Vec<Overlay>,
    /// Files and folders of the workspace.
    pub workspace_files: u64,
    /// Bytes of the workspace.
    pub workspace_bytes: u64,
}

/// One changed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its path.
    pub path: String,
    /// `A`dded, `D`eleted, `M`odified, or its `T`ype changed.
    pub status: char,
    /// Lines added; 0 for a binary file.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
    /// Whether it is no text.
    pub binary: bool,
}

/// Something that no tree can have, or should not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// `fifo`, `socket`, `device`, `unreadable`, `repository` (the `.git` of one in the workspace), `submodule`.
    pub kind: &'static str,
    /// Its path.
    pub path: String,
}

/// A result with protected paths put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// Place of the criterion.
    pub criterion: u32,
    /// The tree that is judged.
    pub tree: String,
    /// Protected paths that the run had changed.
    pub changed: Vec<String>,
}

/// Why what a step said is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what {step} said cannot be used: {reason}")]
pub struct Unusable {
    step: String,
    reason: String,
}

impl Collected {
    /// The tree that the command in this place judges.
    pub fn tree_for(&self, criterion: u32) -> &str {
        self.overlays.iter().find(|overlay| overlay.criterion == criterion).map_or(&self.tree, |overlay| &overlay.tree)
    }

    /// Protected paths that the run had changed, for the command in this place.
    pub fn protected_changed(&self, criterion: u32) -> &[String] {
        let overlay = self.overlays.iter().find(|overlay| overlay.criterion == criterion);
        overlay.map_or(&[], |overlay| overlay.changed.as_slice())
    }
}

/// What `prepare` said.
pub fn prepared(folder: &Folder) -> Result<Prepared, Unusable> {
    let text = said(folder, Step::Prepare)?;
    one_field(&text, "base ").map(|base| Prepared { base }).map_err(unusable(Step::Prepare))
}

/// The id (hex) of the commit that `seal` stored.
pub fn sealed(folder: &Folder) -> Result<String, Unusable> {
    let text = said(folder, Step::Seal)?;
    one_field(&text, "commit ").map_err(unusable(Step::Seal))
}

/// What `collect` said.
pub fn collected(folder: &Folder) -> Result<Collected, Unusable> {
    let text = said(folder, Step::Collect)?;
    read_collected(&text).map_err(unusable(Step::Collect))
}

fn said(folder: &Folder, step: Step) -> Result<Vec<u8>, Unusable> {
    let path = in_record(step, STDOUT_FILE);
    let read = read_below(folder.folder(), Path::new(&path), MAX_SAID_BYTES);
    let text = read.map_err(|error| unusable(step)(error.to_string()))?;
    text.ok_or_else(|| unusable(step)("it did not run".to_owned()))
}

fn unusable(step: Step) -> impl FnOnce(String) -> Unusable {
    move |reason| Unusable { step: step.name(), reason }
}

/// The fields between head and end.
fn fields(text: &[u8]) -> Result<impl Iterator<Item = String> + '_, String> {
    let cut = || "it is cut short".to_owned();
    let body = text.strip_prefix(format!("{HEAD}\0").as_bytes()).ok_or("it does not begin as it should")?;
    let body = body.strip_suffix(format!("{END}\0").as_bytes()).ok_or_else(cut)?;
    if !body.is_empty() && !body.ends_with(b"\0") {
        return Err(cut());
    }
    // Paths are bytes; for people and patterns what is no UTF-8 in them is replaced.
    let fields = body.split(|byte| *byte == 0).map(|field| String::from_utf8_lossy(field).into_owned());
    Ok(fields.take(body.iter().filter(|byte| **byte == 0).count()))
}

fn one_field(text: &[u8], name: &str) -> Result<String, String> {
    let mut found = fields(text)?;
    match (found.next().and_then(|field| field.strip_prefix(name).map(str::to_owned)), found.next()) {
        (Some(id), None) if ObjectFormat::of(&id).is_some() => Ok(id),
        _ => Err(format!("it does not name one {}", name.trim())),
    }
}

/// What is read so far.
#[derive(Default)]
struct Reading {
    base: String,
    tree: String,
    workspace: (u64, u64),
    files: Vec<String>,
    left_out: Vec<LeftOut>,
    changes: Vec<Change>,
    overlays: Vec<Overlay>,
}

fn read_collected(text: &[u8]) -> Result<Collected, String> {
    let mut reading = Reading::default();
    let mut fields = fields(text)?;
    while let Some(field) = fields.next() {
        reading.take(&field, &mut fields).ok_or_else(|| {
            let shown: String = field.chars().take(80).flat_map(char::escape_debug).collect();
            format!("nobody understands {shown:?}")
        })?;
    }
    let Reading { base, tree, workspace, mut files, left_out, changes, overlays } = reading;
    let format = ObjectFormat::of(&base).filter(|format| ObjectFormat::of(&tree) == Some(*format));
    let format = format.ok_or("it names no base and tree of one kind")?;
    files.sort_unstable();
    let (workspace_files, workspace_bytes) = workspace;
    Ok(Collected { format, base, tree, changes, files, left_out, overlays, workspace_files, workspace_bytes })
}

impl Reading {
    fn take(&mut self, field: &str, more: &mut impl Iterator<Item = String>) -> Option<()> {
        if field.starts_with(':') {
            return self.raw(field, more.next()?);
        }
        if field.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
            return self.lines(field);
        }
        let (name, value) = field.split_once(' ')?;
        match name {
            "base" => value.clone_into(&mut self.base),
            "tree" => value.clone_into(&mut self.tree),
            "workspace" => {
                let (files, bytes) = value.split_once(' ')?;
                self.workspace = (files.parse().ok()?, bytes.parse().ok()?);
            }
            "left" => {
                let (kind, path) = value.split_once(' ')?;
                let kind = match kind {
                    "p" => "fifo",
                    "s" => "socket",
                    "b" | "c" => "device",
                    "unreadable" => "unreadable",
                    "repository" => "repository",
                    "submodule" => "submodule",
                    _ => return None,
                };
                self.left_out.push(LeftOut { kind, path: path.to_owned() });
            }
            "files" => {
                let count: usize = value.parse().ok()?;
                self.files.extend(more.take(count));
                if self.files.len() != count {
                    return None;
                }
            }
            "overlay" => {
                let (criterion, tree) = value.split_once(' ')?;
                ObjectFormat::of(tree)?;
                let criterion = criterion.parse().ok()?;
                self.overlays.push(Overlay { criterion, tree: tree.to_owned(), changed: Vec::new() });
            }
            _ => return None,
        }
        Some(())
    }

    /// `:mode mode id id STATUS`, and the path: what was changed, or below an overlay what was put back.
    fn raw(&mut self, field: &str, path: String) -> Option<()> {
        let status = field.rsplit(' ').next()?.chars().next()?;
        match self.overlays.last_mut() {
            Some(overlay) => overlay.changed.push(path),
            None => self.changes.push(Change { path, status, added: 0, removed: 0, binary: false }),
        }
        Some(())
    }

    /// `added TAB removed TAB path`, in the order of what was changed.
    fn lines(&mut self, field: &str) -> Option<()> {
        let mut parts = field.splitn(3, '\t');
        let (added, removed, path) = (parts.next()?, parts.next()?, parts.next()?);
        let place = self.changes.binary_search_by(|change| change.path.as_bytes().cmp(path.as_bytes())).ok();
        // Paths that are no UTF-8 may not be in order.
        let place = place.or_else(|| self.changes.iter().position(|change| change.path == path))?;
        let change = &mut self.changes[place];
        if added == "-" {
            change.binary = true;
        } else {
            (change.added, change.removed) = (added.parse().ok()?, removed.parse().ok()?);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(fields: &[&str]) -> Vec<u8> {
        let mut all = vec![HEAD];
        all.extend(fields);
        all.push(END);
        all.iter().flat_map(|field| field.bytes().chain([0])).collect()
    }

    #[test]
    fn what_collect_says_is_read_field_by_field() {
        let (base, tree, other) = ("a".repeat(40), "b".repeat(40), "c".repeat(40));
        let text = said(&[
            &format!("base {base}"),
            &format!("tree {tree}"),
            "workspace 3 4096",
            "left p pipe in here",
            "files 2",
            ":odd",
            "src/a b",
            ":100644 100644 1 2 M",
            "src/a b",
            ":000000 100644 0 2 A",
            "x.bin",
            "3\t1\tsrc/a b",
            "-\t-\tx.bin",
            &format!("overlay 1 {other}"),
            ":100644 100644 1 2 M",
            "tests/a",
        ]);
        let collected = read_collected(&text).unwrap();
        assert_eq!(collected.files, [":odd", "src/a b"]);
        assert_eq!(collected.left_out, [LeftOut { kind: "fifo", path: "pipe in here".to_owned() }]);
        let modified = &collected.changes[0];
        assert_eq!((modified.status, modified.added, modified.removed, modified.binary), ('M', 3, 1, false));
        assert!(collected.changes[1].binary);
        assert_eq!((collected.tree_for(1), collected.tree_for(0)), (other.as_str(), tree.as_str()));
        assert_eq!(collected.protected_changed(1), ["tests/a"]);
    }

    #[test]
    fn what_is_cut_short_or_strange_is_not_used() {
        let whole = said(&[&format!("base {}", "a".repeat(40)), &format!("tree {}", "b".repeat(40)), "files 1", "a"]);
        read_collected(&whole).unwrap();
        for length in 0..whole.len() {
            read_collected(&whole[..length]).unwrap_err();
        }
        for fields in [vec!["files 2", "a"], vec!["wat 1"], vec!["9\t9\tunknown"], vec![":100644"], vec![""]] {
            read_collected(&said(&fields)).unwrap_err();
        }
        assert!(one_field(&said(&["base x"]), "base ").is_err());
        assert!(one_field(&said(&[&format!("base {}", "a".repeat(64))]), "base ").is_ok());
    }
}
