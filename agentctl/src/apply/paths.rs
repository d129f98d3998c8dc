//! What a change could do beyond the files that it names: links that lead out of the tree, and names that a terminal or a
//! script would not take for names. The word for both is that of `git apply --unsafe-paths`.

use crate::error::Failure;
use crate::git::diffstat::FileStat;
use crate::output::plain;

/// Such paths, in words.
pub(crate) fn unsafe_ones(files: &[FileStat]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !file.gone) {
        let name = plain(&file.path);
        if file.path.chars().any(char::is_control) {
            found.push(format!("{name} has control characters in its name"));
        }
        if let Some(target) = file.link.as_deref().filter(|target| leads_out(&file.path, target)) {
            found.push(format!("{name} is a link that leads out of the tree: {}", plain(target)));
        }
    }
    found
}

/// The same as a refusal, where there are any.
pub(crate) fn refused(files: &[FileStat], of: &str) -> Result<(), Failure> {
    let found = unsafe_ones(files);
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::local(format!("{of} is not taken: {}", super::told(&found)))
        .hint("nothing was touched; agentctl work diff prints the changes, --unsafe-paths takes them all the same")
        .detail("unsafe_paths", found))
}

/// Whether a link is absolute, goes up from its folder farther than to the top, or goes up behind a name: that may be a link
/// itself, and up from there is anywhere.
fn leads_out(path: &str, target: &str) -> bool {
    let parts = || target.split('/').filter(|part| !matches!(*part, "" | "."));
    let up = parts().take_while(|part| *part == "..").count();
    target.starts_with('/') || up > path.matches('/').count() || parts().skip(up).any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_out_where_it_is_absolute_or_goes_up_too_far() {
        for (path, target, out) in [
            ("a", "b", false),
            ("a", "/etc/passwd", true),
            ("a", "..", true),
            ("sub/a", "../b", false),
            ("sub/a", "../../b", true),
            ("sub/a", "x/../../../b", true),
            ("b", "a/../secret", true),
            ("sub/a", "..", false),
            ("sub/deep/a", "./.././../b", false),
        ] {
            assert_eq!(leads_out(path, target), out, "{path} -> {target}");
        }
    }
}
