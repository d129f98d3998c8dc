//! `@`: the latest work that was submitted from this directory or repository, and the other ways to name a work.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use agentd_schemas::id::WorkId;
use agentd_schemas::view::WorkView;

use crate::ambient;
use crate::context::{Context, read};
use crate::error::Failure;

/// Latest works that are remembered, at most; the one submitted the longest ago is forgotten first.
const MAX_REMEMBERED: usize = 500;

/// The latest work that a host has of a directory.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Remembered {
    directory: PathBuf,
    host: String,
    work: WorkId,
    at_ms: i64,
}

fn file() -> Result<PathBuf, Failure> {
    Ok(ambient::state_dir()?.join("latest"))
}

fn here() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|error| Failure::file(".", "find the directory", &error))
}

/// What is remembered; a file that is missing or damaged remembers nothing.
fn load(file: &Path) -> Vec<Remembered> {
    std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Remembers `work` as the latest of this directory.
pub(crate) async fn remember(context: &Context, work: WorkId) -> Result<(), Failure> {
    let host = context.host().await?.trust_domain().await?;
    let file = file()?;
    let mut known = load(&file);
    note(&mut known, Remembered { directory: here()?, host, work, at_ms: ambient::now().as_ms() });
    let parent = file.parent().unwrap_or(Path::new("."));
    // Perhaps the daemon's own state directory, which nobody else may look into.
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent);
    made.map_err(|error| Failure::file(parent, "create", &error))?;
    let text = crate::context::document(&known)?;
    // Written beside and renamed, so that two submits at a time leave one of the two whole.
    let beside = file.with_extension(std::process::id().to_string());
    let write = || -> std::io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?.write_all(text.as_bytes())?;
        std::fs::rename(&beside, &file)
    };
    write().map_err(|error| Failure::file(&file, "write", &error))
}

fn note(known: &mut Vec<Remembered>, latest: Remembered) {
    known.retain(|one| (&one.directory, &one.host) != (&latest.directory, &latest.host));
    known.push(latest);
    while known.len() > MAX_REMEMBERED {
        let Some((oldest, _)) = known.iter().enumerate().min_by_key(|(_, one)| one.at_ms) else { break };
        known.remove(oldest);
    }
}

/// The text of a work id with `@` replaced by the latest work that this daemon has of this directory; inside a repository
/// also of the nearest directory above.
pub(crate) async fn named(context: &Context, text: &str) -> Result<String, Failure> {
    if text != "@" {
        return Ok(text.to_owned());
    }
    let known = load(&file()?);
    let host = context.host().await?.trust_domain().await?;
    find(&known, &places(&here()?), &host)
}

/// The directory and, where it is inside a repository, those above it up to where that begins; the nearest first.
fn places(here: &Path) -> Vec<PathBuf> {
    let above: Vec<PathBuf> = here.ancestors().map(Path::to_path_buf).collect();
    let begins = above.iter().position(|place| place.join(".git").exists()).unwrap_or(0);
    above[..=begins].to_vec()
}

fn find(known: &[Remembered], places: &[PathBuf], host: &str) -> Result<String, Failure> {
    let all = || places.iter().flat_map(|place| known.iter().filter(move |one| one.directory == *place));
    if let Some(latest) = all().find(|one| one.host == host) {
        return Ok(latest.work.to_string());
    }
    let here = places.first().map_or(Path::new("."), PathBuf::as_path).display();
    Err(match all().max_by_key(|one| one.at_ms) {
        Some(other) => Failure::not_found(format!(
            "the last work submitted from here went to another daemon ({}); name one",
            other.host
        ))
        .hint("agentctl work list shows the works of this one; --address or AGENTD_ADDRESS names the other")
        .detail("host", other.host.clone())
        .detail("work", other.work.to_string()),
        None => Failure::not_found(format!("no work was submitted from {here}"))
            .hint("agentctl work list shows the works; any unique prefix of an id will do"),
    })
}

/// The whole id of the work that a prefix or `@` names; asks the daemon only for a prefix.
pub(crate) async fn work_id(context: &Context, text: &str) -> Result<WorkId, Failure> {
    let text = named(context, text).await?;
    match text.parse() {
        Ok(id) => Ok(id),
        Err(_) => Ok(read::<WorkView>(&context.works().await?.show(&text).await?)?.row.id),
    }
}

/// Whether the text has the form of a work id or of a prefix of one.
pub(crate) fn looks_like_work(text: &str) -> bool {
    text == "@" || text.strip_prefix("w-").is_some_and(|rest| agentd_schemas::id::prefix_range(rest).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latest(directory: &str, host: &str, n: u8) -> Remembered {
        let work = WorkId::from_bytes([n; 10]);
        Remembered { directory: directory.into(), host: host.to_owned(), work, at_ms: n.into() }
    }

    fn found(known: &[Remembered], places: &[&str], host: &str) -> Result<String, Failure> {
        find(known, &places.iter().map(PathBuf::from).collect::<Vec<_>>(), host)
    }

    #[test]
    fn what_was_submitted_the_longest_ago_is_forgotten_first() {
        let mut known = Vec::new();
        for at_ms in 0..=i64::try_from(MAX_REMEMBERED).unwrap() {
            note(&mut known, Remembered { at_ms, ..latest(&format!("/{at_ms}"), "h-a", 1) });
        }
        let places: Vec<&str> = known.iter().map(|one| one.directory.to_str().unwrap()).collect();
        assert_eq!((places.len(), places[0]), (MAX_REMEMBERED, "/1"));
    }

    #[test]
    fn each_daemon_has_a_latest_work_of_a_directory() {
        let mut known = Vec::new();
        for (host, n) in [("h-a", 1), ("h-b", 2), ("h-a", 3)] {
            note(&mut known, latest("/x", host, n));
        }
        assert_eq!(known.len(), 2);
        let work = |n| WorkId::from_bytes([n; 10]).to_string();
        assert_eq!(found(&known, &["/x"], "h-a").unwrap(), work(3));
        assert_eq!(found(&known, &["/x"], "h-b").unwrap(), work(2));
        let failure = found(&known, &["/x"], "h-c").unwrap_err();
        assert!(failure.message().contains("went to another daemon (h-a); name one"), "{failure:?}");
        let failure = found(&known, &["/y"], "h-a").unwrap_err();
        assert!(failure.message().contains("no work was submitted from /y"), "{failure:?}");
    }

    #[test]
    fn inside_a_repository_the_nearest_directory_above_counts() {
        let scratch = crate::git::scratch::Scratch::new().unwrap();
        let inner = scratch.path().join("repo/src/deep");
        std::fs::create_dir_all(&inner).unwrap();
        assert_eq!(places(&inner), std::slice::from_ref(&inner), "no repository");
        std::fs::create_dir(scratch.path().join("repo/.git")).unwrap();
        let of = |name: &str| scratch.path().join(name);
        assert_eq!(places(&inner), [inner, of("repo/src"), of("repo")]);
        let known = [latest("/r", "h-a", 1), latest("/r/src", "h-b", 2), latest("/r", "h-b", 3)];
        let work = |n| WorkId::from_bytes([n; 10]).to_string();
        assert_eq!(found(&known, &["/r/src", "/r"], "h-a").unwrap(), work(1), "past what another daemon has");
        assert_eq!(found(&known, &["/r/src", "/r"], "h-b").unwrap(), work(2));
    }

    #[test]
    fn prefixes_of_work_ids_are_told_from_names() {
        for (text, looks) in
            [("@", true), ("w-7kq", true), ("w-", true), ("w-0", false), ("fixer", false), ("w", false)]
        {
            assert_eq!(looks_like_work(text), looks, "{text}");
        }
    }
}
