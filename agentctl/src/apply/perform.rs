//! The part that touches the person's repository: objects first, then a ref that keeps the result, then files, then the
//! branch. What is cut off in between leaves a repository that is whole.

use crate::content::sink;
use crate::error::Failure;
use crate::git::repository::Repository;
use crate::git::{Git, scratch};

use super::incoming::{Incoming, Named};
use super::{Applied, Plan};

/// The line that a picked commit carries, as `git cherry-pick -x` writes it.
pub(super) fn picked_from(commit: &str) -> String {
    format!("(cherry picked from commit {commit})")
}

/// Onto what is checked out.
pub(super) fn here(
    repository: &Repository,
    incoming: &Incoming,
    named: &Named<'_>,
    reference: &str,
    plan: &Plan,
    commit: bool,
) -> Result<Applied, Failure> {
    let target = match (commit, plan.forward) {
        (false, _) => None,
        (true, true) => Some(named.commit.to_owned()),
        (true, false) => Some(pick(repository, incoming, named, plan)?),
    };
    let mut wanted = vec![named.commit, plan.tree.as_str()];
    wanted.extend(target.as_deref());
    bring(repository, incoming, named, reference, &wanted)?;
    let git = &repository.git;
    // What only looks changed is no change; its answer says no more than that.
    git.ran(["update-index", "-q", "--refresh"], b"")?;
    let to = target.as_deref().unwrap_or(&plan.tree);
    git.bytes(["read-tree", "-m", "-u", &plan.head, to])?;
    let Some(target) = target else { return Ok(Applied::Staged) };
    let note = format!("agentctl: apply {}", named.of);
    if let Err(failure) = git.bytes(["update-ref", "-m", &note, "HEAD", &target, &plan.head]) {
        // Somebody else moved the branch meanwhile: the files go back to where they were.
        git.bytes(["read-tree", "-m", "-u", &target, &plan.head])?;
        return Err(failure);
    }
    Ok(if plan.forward { Applied::Forward } else { Applied::Picked(target) })
}

/// What a result changes, as a diff.
pub(super) fn diff(incoming: &Incoming, named: &Named<'_>) -> Result<Vec<u8>, Failure> {
    let arguments = ["diff-tree", "-p", "--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv"];
    incoming.git.bytes(arguments.into_iter().chain([named.base, named.commit]))
}

/// Into the files alone: the work began from files that are not committed, and these are still there.
pub(super) fn files(
    repository: &Repository,
    incoming: &Incoming,
    named: &Named<'_>,
    reference: &str,
) -> Result<Applied, Failure> {
    let diff = diff(incoming, named)?;
    let applied = super::patch(&repository.git, &diff, named.of)?;
    bring(repository, incoming, named, reference, &[named.commit])?;
    Ok(applied)
}

/// To a branch of its own.
pub(super) fn branch(
    repository: &Repository,
    incoming: &Incoming,
    named: &Named<'_>,
    reference: &str,
    name: &str,
) -> Result<Applied, Failure> {
    let git = &repository.git;
    if git.ran(["check-ref-format", "--branch", name], b"")?.code != Some(0) {
        return Err(Failure::usage(format!("{name} is no name for a branch")));
    }
    let full = format!("refs/heads/{name}");
    match git.maybe(["rev-parse", "--verify", "--quiet", &full])? {
        Some(found) if found == named.commit => return Ok(Applied::Already),
        Some(_) => {
            return Err(Failure::local(format!("the branch {name} exists already")).hint("choose another name"));
        }
        None => {}
    }
    bring(repository, incoming, named, reference, &[named.commit])?;
    let note = format!("agentctl: branch of {}", named.of);
    git.bytes(["update-ref", "-m", &note, &full, named.commit, ""])?;
    Ok(Applied::Branch)
}

/// Makes a commit of ours with the agent's change, by the agent and committed by the person.
fn pick(repository: &Repository, incoming: &Incoming, named: &Named<'_>, plan: &Plan) -> Result<String, Failure> {
    let person = repository.git.line(["var", "GIT_COMMITTER_IDENT"]).map_err(|failure| {
        failure.hint("git config --global user.name and user.email say who you are; or use --no-commit")
    })?;
    let unread = || Failure::local(format!("the author of {} cannot be read", named.of));
    let (author_name, author_mail, author_date) = identity(&incoming.commit.author).ok_or_else(unread)?;
    let (name, mail, date) = identity(&person).ok_or_else(unread)?;
    let mut git: Git = incoming.git.clone();
    for (variable, value) in [
        ("GIT_AUTHOR_NAME", author_name),
        ("GIT_AUTHOR_EMAIL", author_mail),
        ("GIT_AUTHOR_DATE", author_date),
        ("GIT_COMMITTER_NAME", name),
        ("GIT_COMMITTER_EMAIL", mail),
        ("GIT_COMMITTER_DATE", date),
    ] {
        git = git.with(variable, value);
    }
    let message = format!("{}\n\n{}\n", incoming.commit.message.trim_end(), picked_from(named.commit));
    let made = git.fed(["commit-tree", "--no-gpg-sign", &plan.tree, "-p", &plan.head], message.as_bytes())?;
    Ok(String::from_utf8_lossy(&made).trim().to_owned())
}

/// Name, mail and date of `NAME <MAIL> TIME ZONE`.
fn identity(text: &str) -> Option<(String, String, String)> {
    let (name, rest) = text.split_once(" <")?;
    let (mail, date) = rest.split_once("> ")?;
    Some((name.to_owned(), mail.to_owned(), format!("@{date}")))
}

/// Brings what the repository lacks of these objects into it, and the ref that keeps the result.
fn bring(
    repository: &Repository,
    incoming: &Incoming,
    named: &Named<'_>,
    reference: &str,
    wanted: &[&str],
) -> Result<(), Failure> {
    let mut revisions = wanted.join("\n");
    // A base of ours stands on what is checked out, or did: it comes along itself.
    if !incoming.own_base {
        revisions.push_str(&format!("\n^{}", named.base));
    }
    revisions.extend(repository.head()?.map(|head| format!("\n^{head}")));
    revisions.push('\n');
    let file = scratch::nameless()?;
    let arguments = ["pack-objects", "--revs", "--stdout", "--quiet"];
    sink::git(&incoming.git, &arguments, revisions.as_bytes(), &file, false)?;
    super::incoming::unpack(&repository.git, file, &[])?;
    let note = format!("agentctl: result of {}", named.of);
    repository.git.bytes(["update-ref", "-m", &note, reference, named.commit])?;
    Ok(())
}
