//! What a diff changes, counted: files with added and removed lines.

use crate::error::Failure;
use crate::output::{Colour, Output, count, plain};

/// Characters of a name that the other lines are padded to, at most.
const ALIGNED: usize = 80;

/// What a diff does to one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct FileStat {
    /// Its path, afterwards where it was renamed.
    pub(crate) path: String,
    /// Lines added.
    pub(crate) added: u64,
    /// Lines removed.
    pub(crate) removed: u64,
    /// Whether it is no text.
    pub(crate) binary: bool,
    /// Where it leads, of a symbolic link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) link: Option<String>,
    /// Whether it is not there afterwards.
    #[serde(skip)]
    pub(crate) gone: bool,
    /// Its mode afterwards, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<String>,
}

/// Counts a diff as git writes it.
pub(crate) fn files(diff: &str) -> Vec<FileStat> {
    let mut files: Vec<FileStat> = Vec::new();
    // Lines of the hunk that are still to come, old and new.
    let (mut old, mut new) = (0_u64, 0_u64);
    for line in diff.split('\n') {
        let Some(file) = files.last_mut().filter(|_| !line.starts_with("diff --git ") || old + new > 0) else {
            if let Some(names) = line.strip_prefix("diff --git ") {
                files.push(FileStat { path: second(names), ..FileStat::default() });
            }
            continue;
        };
        if old + new > 0 {
            match line.as_bytes().first() {
                Some(b'+') => {
                    (file.added, new) = (file.added + 1, new.saturating_sub(1));
                    if let Some(link) = &mut file.link {
                        let between = if link.is_empty() { "" } else { "\n" };
                        link.push_str(&format!("{between}{}", line.get(1..).unwrap_or_default()));
                    }
                }
                Some(b'-') => (file.removed, old) = (file.removed + 1, old.saturating_sub(1)),
                Some(b'\\') => {}
                _ => (old, new) = (old.saturating_sub(1), new.saturating_sub(1)),
            }
        } else if let Some(hunk) = line.strip_prefix("@@ -") {
            (old, new) = lengths(hunk);
        } else if let Some(name) = line.strip_prefix("+++ ").or_else(|| line.strip_prefix("--- ")) {
            // Of a file that is gone, the name before; git ends a name that holds blanks with a tab.
            if name != "/dev/null" {
                file.path = unprefixed(&unquoted(name.trim_end_matches('\t')));
            }
        } else if let Some(name) = line.strip_prefix("rename to ").or_else(|| line.strip_prefix("copy to ")) {
            file.path = unquoted(name);
        } else if line.starts_with("deleted file mode ") {
            file.gone = true;
        } else if let Some(mode) = line.strip_prefix("new mode ").filter(|mode| *mode != "120000") {
            file.mode = Some(mode.to_owned());
        } else if ["new file mode 120000", "new mode 120000"].contains(&line)
            || line.starts_with("index ") && line.ends_with(" 120000")
        {
            file.link.get_or_insert_default();
        } else if line.starts_with("GIT binary patch") || line.starts_with("Binary files ") {
            file.binary = true;
        }
    }
    files
}

/// Lengths in a hunk's head: `1,3 +1,4 @@`.
fn lengths(hunk: &str) -> (u64, u64) {
    let length = |range: &str| range.split_once(',').map_or(Some(1), |(_, length)| length.parse().ok()).unwrap_or(0);
    let mut ranges = hunk.split(' ');
    let old = ranges.next().map_or(0, length);
    (old, ranges.next().map_or(0, length))
}

/// The second of the two names of a head: both are the same, unless other lines name the file again.
fn second(names: &str) -> String {
    let half = names.rfind(" \"b/").or_else(|| names.rfind(" b/")).map_or(names, |at| &names[at + 1..]);
    unprefixed(&unquoted(half))
}

fn unprefixed(name: &str) -> String {
    name.strip_prefix("a/").or_else(|| name.strip_prefix("b/")).unwrap_or(name).to_owned()
}

/// A name as git quotes it where it holds more than plain characters.
fn unquoted(name: &str) -> String {
    let Some(inner) = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) else {
        return name.to_owned();
    };
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let digits = rest.get(..3).and_then(|digits| str::from_utf8(digits).ok());
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            rest = rest.get(3..).unwrap_or_default();
        } else if let Some((escaped, after)) = rest.split_first() {
            let known = b"abtnvfr".iter().position(|letter| letter == escaped);
            bytes.push(known.map_or(*escaped, |at| b"\x07\x08\t\n\x0b\x0c\r"[at]));
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The lines that people know from `git diff --stat`, without its bars; in the colours of `out`.
pub(crate) fn lines(out: Option<&Output>, files: &[FileStat]) -> Vec<String> {
    let paint = |colour, text: String| out.map_or(text.clone(), |out| out.paint(colour, &text));
    let lengths = files.iter().map(|file| plain(&file.path).chars().count());
    // One long name does not move all the others.
    let width = lengths.filter(|length| *length <= ALIGNED).max().unwrap_or(0);
    let line = |file: &FileStat| {
        let name = plain(&file.path);
        if file.binary {
            return format!(" {name:<width$}  binary");
        }
        let added = paint(Colour::Green, format!("+{}", file.added));
        let removed = paint(Colour::Red, format!("-{}", file.removed));
        let link = file.link.as_ref().map_or_else(String::new, |link| format!("  -> {}", plain(link)));
        match file.mode.as_deref().map(plain) {
            Some(mode) if file.added + file.removed == 0 => format!(" {name:<width$}  mode {mode}"),
            Some(mode) => format!(" {name:<width$}  {added} {removed}  mode {mode}{link}"),
            None => format!(" {name:<width$}  {added} {removed}{link}"),
        }
    };
    let mut lines: Vec<String> = files.iter().map(line).collect();
    lines.push(format!(" {}", sum(files)));
    lines
}

/// `3 files changed, +10 -2`.
pub(crate) fn sum(files: &[FileStat]) -> String {
    let added: u64 = files.iter().map(|file| file.added).sum();
    let removed: u64 = files.iter().map(|file| file.removed).sum();
    format!("{} changed, +{added} -{removed}", count(files.len() as u64, "file"))
}

/// Prints a diff: coloured on a terminal and safe there, as it is for a program.
pub(crate) fn print(out: &Output, diff: &[u8]) -> Result<(), Failure> {
    if out.width().is_none() {
        return out.raw(diff);
    }
    for line in String::from_utf8_lossy(diff).lines() {
        let safe = crate::output::plain_lines(line);
        let colour = match line.as_bytes().first() {
            _ if line.starts_with("+++ ") || line.starts_with("--- ") || line.starts_with("diff ") => {
                Some(Colour::Bold)
            }
            Some(b'+') => Some(Colour::Green),
            Some(b'-') => Some(Colour::Red),
            Some(b'@') => Some(Colour::Cyan),
            _ => None,
        };
        out.line(colour.map_or(safe.clone(), |colour| out.paint(colour, &safe)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_is_counted_by_its_hunks_and_not_by_how_its_lines_begin() {
        let diff = "diff --git a/a.sql b/a.sql\nindex 1..2 100644\n--- a/a.sql\n+++ b/a.sql\n@@ -1,3 +1,3 @@\n one\n--- x\n\
                    +++ y\n two\ndiff --git a/new b/new\nnew file mode 100644\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n\
                    +line\n\\ No newline at end of file\ndiff --git a/old b/old\ndeleted file mode 100644\n--- a/old\n\
                    +++ /dev/null\n@@ -1,2 +0,0 @@\n-a\n-b\ndiff --git a/x b/y\nsimilarity index 100%\nrename from x\n\
                    rename to y\ndiff --git a/p.png b/p.png\nBinary files a/p.png and b/p.png differ\n\
                    diff --git \"a/\\303\\266\" \"b/\\303\\266\"\n--- \"a/\\303\\266\"\n+++ \"b/\\303\\266\"\n@@ -1 +1 @@\n-a\n+b\n";
        let told: Vec<String> =
            files(diff).iter().map(|f| format!("{} +{} -{} {}", f.path, f.added, f.removed, f.binary)).collect();
        assert_eq!(
            told,
            [
                "a.sql +1 -1 false",
                "new +1 -0 false",
                "old +0 -2 false",
                "y +0 -0 false",
                "p.png +0 -0 true",
                "ö +1 -1 false"
            ]
        );
        assert_eq!(sum(&files(diff)), "6 files changed, +3 -4");
    }

    #[test]
    fn a_change_of_mode_is_told_and_a_long_name_moves_no_other() {
        let name = "n".repeat(250);
        let diff = format!(
            "diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 100755\ndiff --git a/{name} b/{name}\n\
             new file mode 100644\n--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+a\n"
        );
        let lines = lines(None, &files(&diff));
        assert_eq!(lines[..2], [" run.sh  mode 100755".to_owned(), format!(" {name}  +1 -0")]);
    }

    #[test]
    fn a_link_is_told_with_where_it_leads_unless_it_is_gone() {
        let diff = "diff --git a/new b/new\nnew file mode 120000\nindex 0..1\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n\
                    +../x\n\\ No newline at end of file\ndiff --git a/old b/old\ndeleted file mode 120000\n--- a/old\n\
                    +++ /dev/null\n@@ -1 +0,0 @@\n-/etc\n\\ No newline at end of file\ndiff --git a/on b/on\n\
                    index 1..2 120000\n--- a/on\n+++ b/on\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+/b\n\
                    \\ No newline at end of file\ndiff --git \"a/\\007\" \"b/\\007\"\nnew file mode 100644\n--- /dev/null\n\
                    +++ \"b/\\007\"\n@@ -0,0 +1 @@\n+text\n";
        let told: Vec<(String, Option<String>, bool)> =
            files(diff).into_iter().map(|file| (file.path, file.link, file.gone)).collect();
        let link = |text: &str| Some(text.to_owned());
        let expected =
            [("new", link("../x"), false), ("old", None, true), ("on", link("/b"), false), ("\u{7}", None, false)];
        assert_eq!(told, expected.map(|(path, link, gone)| (path.to_owned(), link, gone)));
        assert_eq!(lines(None, &files(diff))[0], " new    +1 -0  -> ../x");
    }
}
