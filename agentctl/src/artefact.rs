//! What runs made, fetched: into a file of our own, and compared with the digest that the ledger has.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsFd;

use agentd_schemas::dbus::WorksProxy;
use agentd_schemas::event::ArtefactRef;
use agentd_schemas::view::{RunView, WorkView};
use sha2::{Digest, Sha256};
use zbus::Fd;

use crate::context::{Context, read};
use crate::error::Failure;
use crate::git::scratch;
use crate::latest;
use crate::output::{bytes, plain};

/// The diff of a run against what it began with.
pub(crate) const DIFF: &str = "agentd/changes.diff";
/// The commit of a run, as a bundle.
pub(crate) const BUNDLE: &str = "agentd/result.bundle";
/// Bytes of a diff that is read whole.
const MAX_DIFF: u64 = 64 << 20;

/// The work that a person names.
pub(crate) async fn work(context: &Context, name: &str) -> Result<WorkView, Failure> {
    let work = latest::named(context, name).await?;
    read(&context.works().await?.show(&work).await?)
}

/// The run of an attempt, or the newest that has an artefact of this name.
pub(crate) fn run<'a>(
    view: &'a WorkView,
    attempt: Option<u32>,
    name: &str,
) -> Result<(&'a RunView, &'a ArtefactRef), Failure> {
    let short = &view.row.short;
    let has = |run: &'a RunView| run.artefacts.iter().find(|artefact| artefact.name == name).map(|found| (run, found));
    match attempt {
        Some(attempt) => {
            let run = view.runs.iter().find(|run| run.id.attempt == attempt);
            let run = run.ok_or_else(|| Failure::not_found(format!("work {short} has no attempt {attempt}")))?;
            has(run).ok_or_else(|| none(view, &format!("attempt {attempt} of work {short}"), name))
        }
        None => view.runs.iter().rev().find_map(has).ok_or_else(|| none(view, &format!("work {short}"), name)),
    }
}

/// Protected paths that a run changed: they were put back before commands judged it, and its commit has the change. The
/// ledger names some of them where there are many.
pub(crate) fn protected(run: &RunView) -> Vec<String> {
    let evidence = run.verdicts.iter().filter_map(|verdict| verdict.evidence.as_ref());
    let changed: BTreeSet<&String> = evidence.flat_map(|evidence| &evidence.protected_changed).collect();
    changed.into_iter().map(|path| plain(path)).collect()
}

/// The same in words, where there are any.
pub(crate) fn protected_note(run: &RunView) -> Option<String> {
    let changed = protected(run);
    let words = |changed: &[String]| {
        format!(
            "attempt {} changed protected paths, which were put back to judge it, and its commit has them changed: {}",
            run.id.attempt,
            changed.join(", ")
        )
    };
    (!changed.is_empty()).then(|| words(&changed))
}

fn none(view: &WorkView, of: &str, name: &str) -> Failure {
    let failure = Failure::not_found(format!("{of} has no artefact {}", plain(name)));
    if view.workspace.is_none() && name.starts_with("agentd/") {
        return failure.hint("it has no workspace: only a work with --repo or --folder leaves changes");
    }
    if [DIFF, BUNDLE].contains(&name) && view.row.state == "completed" {
        return Failure::not_found(format!("{of} changed nothing"))
            .hint(format!("agentctl work show {}", view.row.short));
    }
    failure.hint(format!("agentctl work artifacts {}", view.row.short))
}

/// Fetches an artefact; the file stands at its beginning.
pub(crate) async fn fetch(context: &Context, run: &RunView, artefact: &ArtefactRef) -> Result<File, Failure> {
    // Artefacts may be large: this call has no bound.
    let reached = context.anew(None).await?;
    let works = WorksProxy::new(&reached.connection).await?;
    let mut file = scratch::nameless()?;
    let (work, into) = (run.id.work.to_string(), Fd::from(file.as_fd()));
    works.artefact(&work, run.id.attempt, &artefact.name, into).await?;
    let (sha256, length) = digest(&mut file).map_err(|error| Failure::file("artefact", "read", &error))?;
    if sha256 == artefact.sha256 && length == artefact.bytes {
        return Ok(file);
    }
    Err(Failure::local(format!(
        "artefact {} of {} is not what the ledger has: SHA-256 {sha256} and {length} bytes, not {} and {}",
        plain(&artefact.name),
        run.id,
        artefact.sha256,
        artefact.bytes
    ))
    .hint("agentctl ledger verify --deep; the artefact cannot be trusted"))
}

/// The diff of a run, whole.
pub(crate) async fn diff(context: &Context, run: &RunView, artefact: &ArtefactRef) -> Result<Vec<u8>, Failure> {
    if artefact.bytes > MAX_DIFF {
        let size = bytes(artefact.bytes);
        return Err(Failure::local(format!("the diff is too large to show: {size}")).hint(format!(
            "agentctl work artifacts {} --attempt {} --get {DIFF} --out changes.diff",
            run.id.work, run.id.attempt
        )));
    }
    let mut content = Vec::new();
    let mut file = fetch(context, run, artefact).await?;
    file.read_to_end(&mut content).map_err(|error| Failure::file("artefact", "read", &error))?;
    Ok(content)
}

/// Digest and length of a whole file, which stands at its beginning afterwards.
pub(crate) fn digest(file: &mut File) -> std::io::Result<(String, u64)> {
    file.rewind()?;
    let (mut digest, mut length, mut buffer) = (Sha256::new(), 0, vec![0; 256 << 10]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
        length += read as u64;
    }
    file.rewind()?;
    Ok((data_encoding::HEXLOWER.encode(&digest.finalize()), length))
}
