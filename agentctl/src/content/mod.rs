//! Content in: what a workspace is made from is read here, with the rights of who submits, and handed to the daemon by
//! descriptor. The daemon opens no path of a client.

pub(crate) mod base;
mod folder;
mod ignored;
pub(crate) mod keep;
pub(crate) mod secrets;
pub(crate) mod sink;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentd_schemas::dbus::WorksProxy;
use agentd_schemas::document::workspace::{ContentKind, WorkspaceContent, WorkspaceDocument};
use agentd_schemas::problem::Code;
use agentd_schemas::view::UploadedView;
use zbus::Fd;

use crate::context::{Context, read};
use crate::error::Failure;
use crate::git::repository::Repository;
use crate::git::scratch;
use crate::output::bytes;
use base::{Base, Wanted};
pub(crate) use secrets::Allowed;

/// How long an upload waits for a place, at most, where others are under way.
const MAX_WAIT_FOR_A_PLACE: Duration = Duration::from_secs(60);
/// Between two looks whether there is one: at first, and later.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONG_PAUSE: Duration = Duration::from_millis(1000);

/// How content is to be taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taking {
    /// With files that are not committed.
    pub(crate) include_dirty: bool,
    /// Secrets that may go along.
    pub(crate) allowed: Allowed,
    /// Whether git may show its progress on stderr.
    pub(crate) progress: bool,
    /// Where bases of our own are kept for `work apply`.
    pub(crate) keep: Option<PathBuf>,
}

/// Content that is ready to be handed in.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What it is, for the document.
    pub(crate) content: WorkspaceContent,
    /// The top of the repository, or the folder.
    pub(crate) place: PathBuf,
    /// What a person should know.
    pub(crate) notes: Vec<String>,
    /// Its bytes.
    file: File,
}

#[cfg(test)]
impl Prepared {
    /// Its bytes.
    pub(crate) fn into_file(self) -> File {
        self.file
    }
}

/// Hands in what the workspaces of these documents name, each once; paths are relative to `beside`. That is no submit:
/// what no work names in the end is forgotten.
pub(crate) async fn hand_in<'a>(
    context: &Context,
    workspaces: impl Iterator<Item = &'a mut WorkspaceDocument>,
    beside: &Path,
    taking: &Taking,
) -> Result<(), Failure> {
    let terminal = std::io::stderr().is_terminal() && !context.out.is_quiet() && !context.out.is_json();
    let taking = Taking { progress: terminal, keep: keep::folder().ok(), ..taking.clone() };
    let mut ready: BTreeMap<(bool, String, Option<String>), (WorkspaceContent, PathBuf)> = BTreeMap::new();
    for workspace in workspaces.filter(|workspace| workspace.content.is_none()) {
        let (is_folder, place) = match (&workspace.repository, &workspace.folder) {
            (Some(_), Some(_)) => {
                return Err(Failure::usage("a workspace is made from a repository or from a folder, not from both"));
            }
            (Some(place), None) => (false, place.clone()),
            (None, Some(_)) if workspace.reference.is_some() => {
                return Err(Failure::usage("a folder has no ref").hint("--repo takes a repository"));
            }
            (None, Some(place)) => (true, place.clone()),
            (None, None) => continue,
        };
        let key = (is_folder, place, workspace.reference.clone());
        if !ready.contains_key(&key) {
            let prepared = prepare(beside, is_folder, &key.1, key.2.as_deref(), &taking)?;
            for note in &prepared.notes {
                context.out.note(note);
            }
            upload(context, &prepared).await?;
            ready.insert(key.clone(), (prepared.content, prepared.place));
        }
        let Some((content, place)) = ready.get(&key) else { continue };
        workspace.content = Some(content.clone());
        let place = Some(place.display().to_string());
        *(if is_folder { &mut workspace.folder } else { &mut workspace.repository }) = place;
    }
    Ok(())
}

/// Puts together what a workspace names.
fn prepare(
    beside: &Path,
    is_folder: bool,
    place: &str,
    reference: Option<&str>,
    taking: &Taking,
) -> Result<Prepared, Failure> {
    let path = beside.join(place);
    if is_folder { of_folder(&path, taking) } else { of_repository(&path, reference, taking) }
}

/// A folder, but for what its ignore files name.
pub(crate) fn of_folder(path: &Path, taking: &Taking) -> Result<Prepared, Failure> {
    if taking.include_dirty {
        return Err(Failure::usage("--include-dirty is for repositories: a folder is taken whole"));
    }
    let place = path.canonicalize().map_err(|error| Failure::file(path, "open", &error))?;
    let file = scratch::nameless()?;
    let (written, mut notes) = folder::archive(&place, &file, &taking.allowed)?;
    notes.push(format!("workspace from folder {}, {}", place.display(), bytes(written.bytes)));
    let (sha256, bytes) = (written.sha256, written.bytes);
    let content = WorkspaceContent { kind: ContentKind::Tar, sha256, bytes, base: None, branch: None };
    Ok(Prepared { content, place, notes, file })
}

/// A commit of a repository.
pub(crate) fn of_repository(path: &Path, reference: Option<&str>, taking: &Taking) -> Result<Prepared, Failure> {
    let repository = Repository::open(path)?;
    let wanted = Wanted { reference, include_dirty: taking.include_dirty, allowed: taking.allowed.clone() };
    let base = Base::take(&repository, &wanted)?;
    let file = scratch::nameless()?;
    let written = base.bundle(&file, taking.progress)?;
    if let Some(folder) = &taking.keep {
        keep::keep(&base, folder)?;
    }
    let mut notes = base.notes.clone();
    let below = path.canonicalize().is_ok_and(|path| path != repository.top) && !repository.bare;
    if below {
        notes.push(format!("the whole repository is taken, {}", repository.top.display()));
    }
    let on = base.branch.as_ref().map_or_else(|| "no branch".to_owned(), |branch| format!("branch {branch}"));
    let short = base.commit.get(..12).unwrap_or(&base.commit);
    notes.push(format!("workspace from commit {short} of {on}, {}", bytes(written.bytes)));
    let content = WorkspaceContent {
        kind: ContentKind::Git,
        sha256: written.sha256,
        bytes: written.bytes,
        base: Some(base.commit.clone()),
        branch: base.branch.clone(),
    };
    Ok(Prepared { content, place: repository.top, notes, file })
}

async fn upload(context: &Context, prepared: &Prepared) -> Result<(), Failure> {
    // Content may be large: this call has no bound.
    let reached = context.anew(None).await?;
    let works = WorksProxy::new(&reached.connection).await?;
    let kind = prepared.content.kind.as_str();
    let begun = tokio::time::Instant::now();
    // Who begins together with others does not ask again together with them.
    let mut pause = FIRST_PAUSE + Duration::from_millis(u64::from(std::process::id() % 100));
    let mut is_told = false;
    let answer = loop {
        let failure = match works.upload(Fd::from(prepared.file.as_fd()), kind).await.map_err(Failure::from) {
            Ok(answer) => break answer,
            Err(failure) => failure,
        };
        if failure.code() != Code::Busy.as_str() || begun.elapsed() >= MAX_WAIT_FOR_A_PLACE {
            return Err(failure);
        }
        if !std::mem::replace(&mut is_told, true) {
            context.out.note(format!("{}; waiting for one to end", failure.message()));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(LONG_PAUSE);
    };
    let uploaded: UploadedView = read(&answer)?;
    if uploaded.sha256 != prepared.content.sha256 || uploaded.bytes != prepared.content.bytes {
        return Err(Failure::local("agentd has something else than what was handed in: the digests differ")
            .hint("submit again; agentctl doctor looks for what is wrong"));
    }
    Ok(())
}
