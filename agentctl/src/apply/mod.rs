//! Content out: a result is applied to the person's repository. All that can fail is tried beside it first, so that it is
//! touched only when nothing is in the way.

pub(crate) mod incoming;
pub(crate) mod paths;
mod perform;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use crate::error::{Failure, said};
use crate::git::repository::Repository;
use crate::git::{Git, complaint, diffstat, entries, path, shown};
use incoming::{Incoming, Named};

/// Where a result goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// Onto the branch that is checked out, as a commit.
    Commit,
    /// Into the index and the files, not committed.
    NoCommit,
    /// To a branch of its own; nothing else changes.
    Branch(String),
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Applied {
    /// Nothing: it was there.
    Already,
    /// The branch went forward to the agent's own commit.
    Forward,
    /// A commit with the same change was made on top.
    Picked(String),
    /// Index and files have it.
    Staged,
    /// The files have it, not the index.
    Files,
    /// A branch was made.
    Branch,
}

/// What the files are to become.
struct Plan {
    head: String,
    tree: String,
    /// The agent's commit, where it can be taken as it is.
    forward: bool,
    touched: Vec<Vec<u8>>,
}

/// Applies the result in a bundle. `reference` is the ref that keeps it: `refs/agentd/w-…/1`; links that lead out of the tree,
/// and names with control characters, are taken with `unsafe_paths` alone.
pub(crate) fn apply(
    repository: &Repository,
    bundle: &File,
    named: &Named<'_>,
    reference: &str,
    way: &Way,
    bases: Option<&Path>,
    unsafe_paths: bool,
) -> Result<Applied, Failure> {
    if repository.bare && !matches!(way, Way::Branch(_)) {
        return Err(Failure::usage(format!("{} has no working tree", repository.top.display()))
            .hint("--branch NAME makes a branch, which a bare repository can have"));
    }
    let incoming = Incoming::receive(repository, bundle, named, bases)?;
    if !unsafe_paths {
        let diff = perform::diff(&incoming, named)?;
        paths::refused(&diffstat::files(&String::from_utf8_lossy(&diff)), named.of)?;
    }
    if let Way::Branch(name) = way {
        return perform::branch(repository, &incoming, named, reference, name);
    }
    if is_applied(repository, named)? {
        return Ok(Applied::Already);
    }
    if incoming.own_base {
        // It began from files that are not committed: where these are still there, they are what it changes.
        let touched = changed(&incoming.git, named.base, named.commit)?;
        if !in_the_way(repository, &repository.commit("HEAD")?, &touched)?.is_empty() {
            return perform::files(repository, &incoming, named, reference);
        }
    }
    let Some(plan) = plan(repository, &incoming, named)? else { return Ok(Applied::Already) };
    let in_the_way = in_the_way(repository, &plan.head, &plan.touched)?;
    if !in_the_way.is_empty() {
        if is_there(repository, &incoming, &plan)? {
            return Ok(Applied::Already);
        }
        return Err(Failure::local(format!(
            "uncommitted changes are in the way of {}: {}",
            named.of,
            told(&in_the_way)
        ))
        .hint("commit or stash them, or take it to a branch of its own: --branch NAME"));
    }
    perform::here(repository, &incoming, named, reference, &plan, way == &Way::Commit)
}

/// Whether the branch that is checked out has the commit, or one that was picked from it.
fn is_applied(repository: &Repository, named: &Named<'_>) -> Result<bool, Failure> {
    if incoming::has(&repository.git, named.commit)? {
        let is = repository.git.ran(["merge-base", "--is-ancestor", named.commit, "HEAD"], b"")?;
        if is.code == Some(0) {
            return Ok(true);
        }
    }
    let picked = format!("--grep={}", perform::picked_from(named.commit));
    let found = repository.git.maybe(["rev-list", "--max-count=1", "--fixed-strings", &picked, "HEAD"])?;
    Ok(found.is_some_and(|found| !found.is_empty()))
}

/// What the files are to become; `None` where they are that already.
fn plan(repository: &Repository, incoming: &Incoming, named: &Named<'_>) -> Result<Option<Plan>, Failure> {
    for (busy, what) in [("MERGE_HEAD", "merge"), ("CHERRY_PICK_HEAD", "cherry-pick"), ("REBASE_HEAD", "rebase")] {
        if repository.git.maybe(["rev-parse", "--verify", "--quiet", busy])?.is_some() {
            return Err(Failure::local(format!("a {what} is under way in {}", repository.top.display()))
                .hint(format!("end it first: git {what} --continue, or git {what} --abort")));
        }
    }
    let head = repository.commit("HEAD")?;
    let forward = head == named.base;
    let tree = if forward {
        incoming.git.line(["rev-parse", &format!("{}^{{tree}}", named.commit)])?
    } else {
        merged(incoming, named, &head)?
    };
    let head_tree = format!("{head}^{{tree}}");
    if incoming.git.line(["rev-parse", &head_tree])? == tree {
        return Ok(None);
    }
    let touched = changed(&incoming.git, &head_tree, &tree)?;
    Ok(Some(Plan { head, tree, forward, touched }))
}

/// Paths in which two trees differ.
fn changed(git: &Git, from: &str, to: &str) -> Result<Vec<Vec<u8>>, Failure> {
    let paths = git.bytes(["diff-tree", "-r", "-z", "--name-only", "--no-renames", from, to])?;
    Ok(entries(&paths).map(<[u8]>::to_vec).collect())
}

/// The tree of a merge that is tried beside the repository.
fn merged(incoming: &Incoming, named: &Named<'_>, head: &str) -> Result<String, Failure> {
    // What to merge from can be said from git 2.40 on. Two commits that have it as their parent say it to older ones.
    let base = alone(&incoming.git, named.base, None)?;
    let (ours, theirs) = (alone(&incoming.git, head, Some(&base))?, alone(&incoming.git, named.commit, Some(&base))?);
    let arguments = ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", &ours, &theirs];
    let ran = incoming.git.ran(arguments, b"")?;
    let mut parts = entries(&ran.stdout);
    let tree = parts.next().map(shown).unwrap_or_default();
    match ran.code {
        Some(0) => Ok(tree),
        Some(1) => {
            let mut files: Vec<String> = parts.map(|path| real_path(&shown(path), [&ours, &theirs])).collect();
            files.sort();
            files.dedup();
            Err(Failure::local(format!("{} conflicts with what is committed here: {}", named.of, told(&files)))
                .hint("take it to a branch of its own and merge it there: --branch NAME")
                .detail("conflicts", files))
        }
        Some(129) => {
            let version = incoming.git.line(["--version"]).unwrap_or_default();
            Err(Failure::local(format!("this is {version}, and 2.38 or newer is needed to merge"))
                .hint("--branch NAME works with older ones"))
        }
        _ => Err(complaint(&arguments, &ran.stderr)),
    }
}

/// A path that is there: where a file meets a folder, git calls the file after the side that it is from, as in `a~1f2e3d4c`.
fn real_path(path: &str, sides: [&str; 2]) -> String {
    let real = path.rsplit_once('~').filter(|(_, side)| {
        let side = side.split('_').next().unwrap_or_default();
        side.len() >= 7 && sides.iter().any(|whole| whole.starts_with(side))
    });
    real.map_or(path, |(real, _)| real).to_owned()
}

/// A commit of nobody with the files of another one. It is beside the repository, and gone with what is tried there.
fn alone(git: &Git, like: &str, parent: Option<&str>) -> Result<String, Failure> {
    let mut git = git.clone();
    for (name, email) in [("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL"), ("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")] {
        git = git.with(name, "agentctl").with(email, "agentctl@invalid");
    }
    let tree = format!("{like}^{{tree}}");
    let mut arguments = vec!["commit-tree", "-m", "merged", &tree];
    arguments.extend(parent.iter().flat_map(|parent| ["-p", parent]));
    git.line(arguments)
}

/// Files that are not committed and that the change would touch, or that lie where it puts something new.
fn in_the_way(repository: &Repository, head: &str, touched: &[Vec<u8>]) -> Result<Vec<String>, Failure> {
    let within = |inner: &[u8], outer: &[u8]| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with(b"/"));
    let meet = |a: &[u8], b: &[u8]| a == b || within(a, b) || within(b, a);
    let dirty = repository.dirty()?;
    let mut found: Vec<String> = dirty
        .iter()
        .map(|file| file.path.strip_suffix(b"/").unwrap_or(&file.path))
        .filter(|file| touched.iter().any(|touched| meet(file, touched)))
        .map(shown)
        .collect();
    // An ignored file is as much a person's as another one.
    let known = repository.git.bytes(["ls-tree", "-r", "-z", "--name-only", "--full-tree", head])?;
    let known: std::collections::BTreeSet<&[u8]> = entries(&known).collect();
    for new in touched.iter().filter(|touched| !known.contains(touched.as_slice())) {
        let is_file = repository.top.join(path(new)).symlink_metadata().is_ok_and(|metadata| !metadata.is_dir());
        if is_file && !found.contains(&shown(new)) {
            found.push(shown(new));
        }
    }
    Ok(found)
}

/// Whether the files are what the change makes of them, so that it was applied and not committed.
fn is_there(repository: &Repository, incoming: &Incoming, plan: &Plan) -> Result<bool, Failure> {
    let git = repository.git.clone().reading(&[&incoming.objects]);
    let mut arguments: Vec<std::ffi::OsString> =
        ["diff-index", "--quiet", "--no-ext-diff", &plan.tree, "--"].map(Into::into).to_vec();
    arguments.extend(plan.touched.iter().map(|touched| path(touched).into_os_string()));
    Ok(git.with("GIT_LITERAL_PATHSPECS", "1").ran(arguments, b"")?.code == Some(0))
}

/// Applies a diff to a folder that is no repository; nothing is touched where it does not fit.
pub(crate) fn to_folder(folder: &Path, mut diff: File, of: &str, unsafe_paths: bool) -> Result<Applied, Failure> {
    let folder = folder.canonicalize().map_err(|error| Failure::file(folder, "open", &error))?;
    let mut content = Vec::new();
    let read = diff.rewind().and_then(|()| diff.read_to_end(&mut content));
    read.map_err(|error| Failure::local(format!("cannot read the diff: {}", said(&error))))?;
    if !unsafe_paths {
        paths::refused(&diffstat::files(&String::from_utf8_lossy(&content)), of)?;
    }
    // A repository around the folder, or the folder's own, is none of its business; the drivers of the person's own settings
    // are not for attributes that lie here.
    patch(&Git::at(&folder).with("GIT_DIR", "/dev/null/none").disarmed()?, &content, of)
}

/// Applies a diff to files, all of it or nothing.
fn patch(git: &Git, diff: &[u8], of: &str) -> Result<Applied, Failure> {
    if diff.is_empty() {
        return Ok(Applied::Already);
    }
    let check = git.ran(["apply", "--check", "--whitespace=nowarn", "-"], diff)?;
    if check.code != Some(0) {
        let back = git.ran(["apply", "--check", "--reverse", "--whitespace=nowarn", "-"], diff)?;
        if back.code == Some(0) {
            return Ok(Applied::Already);
        }
        let why = complaint(&["apply"], &check.stderr);
        return Err(Failure::local(format!("{of} does not fit the files here: {}", why.message()))
            .hint("the files are untouched; agentctl work diff prints the changes"));
    }
    git.fed(["apply", "--whitespace=nowarn", "-"], diff)?;
    Ok(Applied::Files)
}

fn told(names: &[String]) -> String {
    crate::content::base::names(names)
}
