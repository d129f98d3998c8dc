//! `@`: the latest work that was submitted from this directory, and the other ways to name a work.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use agentd_schemas::id::WorkId;
use agentd_schemas::view::WorkView;

use crate::ambient;
use crate::context::{Context, read};
use crate::error::Failure;

/// Directories that are remembered, at most; the one submitted from the longest ago is forgotten first.
const MAX_DIRECTORIES: usize = 500;

/// One remembered directory.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Remembered {
    work: WorkId,
    /// The host that has it; unknown of what an older agentctl wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    at_ms: i64,
}

type Directories = BTreeMap<String, Remembered>;

fn file() -> Result<PathBuf, Failure> {
    Ok(ambient::state_dir()?.join("latest"))
}

fn here() -> Result<String, Failure> {
    let here = std::env::current_dir().map_err(|error| Failure::file(".", "find the directory", &error))?;
    Ok(here.to_string_lossy().into_owned())
}

/// What is remembered; a file that is missing or damaged remembers nothing.
fn load(file: &Path) -> Directories {
    std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Remembers `work` as the latest of this directory.
pub(crate) async fn remember(context: &Context, work: WorkId) -> Result<(), Failure> {
    let host = Some(context.host().await?.trust_domain().await?);
    let file = file()?;
    let mut directories = load(&file);
    note(&mut directories, here()?, Remembered { work, host, at_ms: ambient::now().as_ms() });
    let parent = file.parent().unwrap_or(Path::new("."));
    // Perhaps the daemon's own state directory, which nobody else may look into.
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent);
    made.map_err(|error| Failure::file(parent, "create", &error))?;
    let text = crate::context::document(&directories)?;
    // Written beside and renamed, so that two submits at a time leave one of the two whole.
    let beside = file.with_extension(std::process::id().to_string());
    let write = || -> std::io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?.write_all(text.as_bytes())?;
        std::fs::rename(&beside, &file)
    };
    write().map_err(|error| Failure::file(&file, "write", &error))
}

fn note(directories: &mut Directories, here: String, latest: Remembered) {
    directories.insert(here, latest);
    while directories.len() > MAX_DIRECTORIES {
        let oldest = directories.iter().min_by_key(|(_, remembered)| remembered.at_ms).map(|(path, _)| path.clone());
        let Some(oldest) = oldest else { break };
        directories.remove(&oldest);
    }
}

/// The text of a work id with `@` replaced by the latest work of this directory, which this daemon must have.
pub(crate) async fn named(context: &Context, text: &str) -> Result<String, Failure> {
    if text != "@" {
        return Ok(text.to_owned());
    }
    let here = here()?;
    let directories = load(&file()?);
    let Some(latest) = directories.get(&here) else {
        return Err(Failure::not_found(format!("no work was submitted from {here}"))
            .hint("agentctl work list shows the works; any unique prefix of an id will do"));
    };
    let host = context.host().await?.trust_domain().await?;
    latest.of(&host)
}

impl Remembered {
    /// Its id, unless another host has it.
    fn of(&self, host: &str) -> Result<String, Failure> {
        match self.host.as_deref().filter(|has| *has != host) {
            None => Ok(self.work.to_string()),
            Some(other) => Err(Failure::not_found(format!(
                "the last work submitted from here went to another daemon ({other}); name one"
            ))
            .hint("agentctl work list shows the works of this one; --address or AGENTD_ADDRESS names the other")
            .detail("host", other)
            .detail("work", self.work.to_string())),
        }
    }
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

    #[test]
    fn the_directory_submitted_from_the_longest_ago_is_forgotten_first() {
        let work = WorkId::from_bytes([1; 10]);
        let mut directories = Directories::new();
        for at_ms in 0..=i64::try_from(MAX_DIRECTORIES).unwrap() {
            note(&mut directories, format!("/{at_ms}"), Remembered { work, host: None, at_ms });
        }
        assert_eq!(directories.len(), MAX_DIRECTORIES);
        assert!(!directories.contains_key("/0") && directories.contains_key("/1"));
    }

    #[test]
    fn a_work_of_another_daemon_is_not_taken_for_one_of_this() {
        let work = WorkId::from_bytes([1; 10]);
        let latest = |host: Option<&str>| Remembered { work, host: host.map(str::to_owned), at_ms: 0 };
        assert_eq!(latest(Some("h-a")).of("h-a").unwrap(), work.to_string());
        assert_eq!(latest(None).of("h-a").unwrap(), work.to_string(), "an older agentctl did not say");
        let failure = latest(Some("h-b")).of("h-a").unwrap_err();
        assert!(failure.message().contains("went to another daemon (h-b); name one"), "{failure:?}");
        let older: Directories =
            serde_json::from_str(&format!("{{\"/x\":{{\"work\":\"{work}\",\"at_ms\":1}}}}")).unwrap();
        assert_eq!(older["/x"].host, None);
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
