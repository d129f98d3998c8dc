//! What the steps that use git said: fields that end with a NUL byte, on standard output.

use std::path::Path;

use agentd_schemas::launch::STDOUT_FILE;

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
    /// `fifo`, `socket`, `device`, `repository` (the `.git` of one in the workspace), `submodule`.
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
    let read = folder.read(Path::new(&path), MAX_SAID_BYTES);
    let text = read.map_err(|error| unusable(step)(error.to_string()))?;
    text.ok_or_else(|| unusable(step)("it did not run".to_owned()))
}

fn unusable(step: Step) -> impl FnOnce(String) -> Unusable {
    move |reason| Unusable { step: step.name(), reason }
}

/// The fields between head and end.
fn fields(text: &[u8]) -> Result<impl Iterator<Item = &[u8]>, String> {
    let cut = || "it is cut short".to_owned();
    let body = text.strip_prefix(format!("{HEAD}\0").as_bytes()).ok_or("it does not begin as it should")?;
    let body = body.strip_suffix(format!("{END}\0").as_bytes()).ok_or_else(cut)?;
    let body = if body.is_empty() { None } else { Some(body.strip_suffix(b"\0").ok_or_else(cut)?) };
    Ok(body.into_iter().flat_map(|body| body.split(|byte| *byte == 0)))
}

/// A path, which is bytes, as text for people and patterns: bytes that are no UTF-8 as `\xNN`. Two paths never become the
/// same text: one that has `\x` in its name has its backslashes doubled too.
fn shown(path: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(path)
        && !text.contains("\\x")
    {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(path.len() * 2);
    for chunk in path.utf8_chunks() {
        shown.push_str(&chunk.valid().replace('\\', "\\\\"));
        chunk.invalid().iter().for_each(|byte| shown.push_str(&format!("\\x{byte:02x}")));
    }
    shown
}

fn one_field(text: &[u8], name: &str) -> Result<String, String> {
    let mut found = fields(text)?.map(std::str::from_utf8);
    match (found.next(), found.next()) {
        (Some(Ok(field)), None) => field.strip_prefix(name).filter(|id| ObjectFormat::of(id).is_some()),
        _ => None,
    }
    .map(str::to_owned)
    .ok_or_else(|| format!("it does not name one {}", name.trim()))
}

/// What is read so far.
#[derive(Default)]
struct Reading<'a> {
    base: String,
    tree: String,
    workspace: (u64, u64),
    files: Vec<String>,
    left_out: Vec<LeftOut>,
    changes: Vec<Change>,
    /// The paths of the changes as git has them, and how many of them have their lines, or will have none.
    paths: Vec<&'a [u8]>,
    counted: usize,
    overlays: Vec<Overlay>,
    /// How many names were compared.
    #[cfg(test)]
    compared: usize,
}

fn read_collected(text: &[u8]) -> Result<Collected, String> {
    let Reading { base, tree, workspace, mut files, left_out, changes, overlays, .. } = read(text)?;
    let format = ObjectFormat::of(&base).filter(|format| ObjectFormat::of(&tree) == Some(*format));
    let format = format.ok_or("it names no base and tree of one kind")?;
    files.sort_unstable();
    let (workspace_files, workspace_bytes) = workspace;
    Ok(Collected { format, base, tree, changes, files, left_out, overlays, workspace_files, workspace_bytes })
}

fn read(text: &[u8]) -> Result<Reading<'_>, String> {
    let mut reading = Reading::default();
    let mut fields = fields(text)?;
    while let Some(field) = fields.next() {
        reading.take(field, &mut fields).ok_or_else(|| {
            let shown: String = shown(field).chars().take(80).flat_map(char::escape_debug).collect();
            format!("nobody understands {shown:?}")
        })?;
    }
    Ok(reading)
}

/// A field in two, at its first `at`.
fn split_once(field: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = field.iter().position(|byte| *byte == at)?;
    Some((&field[..place], &field[place + 1..]))
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl<'a> Reading<'a> {
    fn take(&mut self, field: &'a [u8], more: &mut impl Iterator<Item = &'a [u8]>) -> Option<()> {
        match field.first()? {
            b':' => return self.raw(field, more.next()?),
            b'-' | b'0'..=b'9' => return self.lines(field),
            _ => {}
        }
        let (name, value) = split_once(field, b' ')?;
        match name {
            b"base" => std::str::from_utf8(value).ok()?.clone_into(&mut self.base),
            b"tree" => std::str::from_utf8(value).ok()?.clone_into(&mut self.tree),
            b"workspace" => {
                let (files, bytes) = split_once(value, b' ')?;
                self.workspace = (number(files)?, number(bytes)?);
            }
            b"left" => {
                let (kind, path) = split_once(value, b' ')?;
                let kind = match kind {
                    b"p" => "fifo",
                    b"s" => "socket",
                    b"b" | b"c" => "device",
                    b"repository" => "repository",
                    b"submodule" => "submodule",
                    _ => return None,
                };
                self.left_out.push(LeftOut { kind, path: shown(path) });
            }
            b"files" => {
                let count: usize = number(value)?;
                self.files.extend(more.take(count).map(shown));
                if self.files.len() != count {
                    return None;
                }
            }
            b"overlay" => {
                let (criterion, tree) = split_once(value, b' ')?;
                let tree = std::str::from_utf8(tree).ok().filter(|tree| ObjectFormat::of(tree).is_some())?;
                let criterion = number(criterion)?;
                self.overlays.push(Overlay { criterion, tree: tree.to_owned(), changed: Vec::new() });
            }
            _ => return None,
        }
        Some(())
    }

    /// `:mode mode id id STATUS`, and the path: what was changed, or below an overlay what was put back.
    fn raw(&mut self, field: &[u8], path: &'a [u8]) -> Option<()> {
        let status = char::from(*field.rsplit(|byte| *byte == b' ').next()?.first()?);
        let shown = shown(path);
        match self.overlays.last_mut() {
            Some(overlay) => overlay.changed.push(shown),
            None => {
                self.paths.push(path);
                self.changes.push(Change { path: shown, status, added: 0, removed: 0, binary: false });
            }
        }
        Some(())
    }

    /// `added TAB removed TAB path`, in the order of what was changed, so that each name is looked at once. git leaves out
    /// what it finds no line in; what is out of order nobody meant.
    fn lines(&mut self, field: &[u8]) -> Option<()> {
        let (added, rest) = split_once(field, b'\t')?;
        let (removed, path) = split_once(rest, b'\t')?;
        let skipped = self.paths.get(self.counted..)?.iter().position(|changed| *changed == path)?;
        #[cfg(test)]
        (self.compared += skipped + 1);
        let change = self.changes.get_mut(self.counted + skipped)?;
        self.counted += skipped + 1;
        if added == b"-" {
            change.binary = true;
        } else {
            (change.added, change.removed) = (number(added)?, number(removed)?);
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

    fn changed(paths: &[&[u8]], lines: &[&[u8]]) -> Vec<u8> {
        let mut text = said(&[&format!("base {}", "a".repeat(40)), &format!("tree {}", "b".repeat(40))]);
        text.truncate(text.len() - END.len() - 1);
        for path in paths {
            text.extend([b":000000 100644 0 2 A\0", *path, b"\0"].concat());
        }
        for line in lines {
            text.extend([line, b"\0".as_slice()].concat());
        }
        text.extend(format!("{END}\0").bytes());
        text
    }

    #[test]
    fn paths_that_are_no_utf8_are_told_apart_and_have_their_own_lines() {
        let paths: [&[u8]; 5] = [b"\\x80a", b"\\\\x80a", b"a\\b", b"\x80a", b"\x81a"];
        let lines: [&[u8]; 5] = [b"1\t0\t\\x80a", b"2\t0\t\\\\x80a", b"3\t0\ta\\b", b"5000\t0\t\x80a", b"1\t0\t\x81a"];
        let collected = read_collected(&changed(&paths, &lines)).unwrap();
        let found: Vec<(&str, u64)> =
            collected.changes.iter().map(|change| (change.path.as_str(), change.added)).collect();
        let expected = [("\\\\x80a", 1), ("\\\\\\\\x80a", 2), ("a\\b", 3), ("\\x80a", 5000), ("\\x81a", 1)];
        assert_eq!(found, expected);
    }

    #[test]
    fn lines_are_read_in_one_go_however_many_names_there_are() {
        let names: Vec<Vec<u8>> = (0..20_000_u32)
            .map(|at| if at % 2 == 0 { format!("{at:05}").into_bytes() } else { format!("\u{80}{at:05}").into_bytes() })
            .map(|name| if name[0] == 0xc2 { name[1..].to_vec() } else { name })
            .collect();
        let mut names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        names.sort_unstable();
        let lines: Vec<Vec<u8>> = names.iter().map(|name| [b"1\t0\t", *name].concat()).collect();
        let mut lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let text = changed(&names, &lines);
        let reading = read(&text).unwrap();
        assert!(reading.changes.iter().all(|change| change.added == 1));
        assert_eq!(reading.compared, 20_000);
        lines.reverse();
        assert!(read(&changed(&names, &lines)).is_err());
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
