//! What may go: folders of runs that are over, content that nobody needs, artefacts beyond their time.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use agentd_schemas::id::RunId;
use agentd_schemas::launch::{Answer, Request};

use super::content::{self, Kept, entries, is_digest};
use super::folder::{Folder, Step};
use super::host::Host;

/// What is needed, and how long the rest stays.
#[derive(Debug, Clone, Default)]
pub struct Keep {
    /// Runs that are not over.
    pub runs: BTreeSet<RunId>,
    /// Content that works which may still run begin with: user and digest.
    pub content: BTreeSet<(u32, String)>,
    /// Artefacts that are never cleared up, by digest.
    pub artefacts: BTreeSet<String>,
    /// Seconds that the folder of a run stays after it was last touched.
    pub runs_s: u64,
    /// Seconds that content stays after it was handed in.
    pub content_s: u64,
    /// Seconds that an artefact stays.
    pub artefacts_s: u64,
}

/// What may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Runs whose folders may go, by [`remove_run`].
    pub runs: Vec<RunId>,
    /// Files of ours that may go, by [`super::keep::remove`].
    pub files: Vec<Kept>,
}

impl Garbage {
    /// Bytes of the files; those of runs nobody counted.
    pub fn file_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Says what may go at `now_s`, seconds since 1970.
pub fn find(host: &Host, keep: &Keep, now_s: u64) -> io::Result<Garbage> {
    let mut garbage = Garbage::default();
    for (name, path) in entries(&host.runs)? {
        let Ok(run) = name.parse::<RunId>() else { continue };
        let Ok(found) = path.symlink_metadata() else { continue };
        let touched = u64::try_from(found.mtime()).unwrap_or(0);
        if run.to_string() == name && !keep.runs.contains(&run) && is_old(touched, keep.runs_s, now_s) {
            garbage.runs.push(run);
        }
    }
    let needed = |kept: &Kept| keep.content.contains(&(kept.uid, kept.sha256.clone()));
    let content = content::list(host)?.into_iter().map(|kept| (needed(&kept), keep.content_s, kept));
    let needed = |kept: &Kept| keep.artefacts.contains(&kept.sha256);
    let artefacts = content::list_artefacts(host)?.into_iter().map(|kept| (needed(&kept), keep.artefacts_s, kept));
    for (needed, stays_s, kept) in content.chain(artefacts) {
        // What is unfinished may be under way for an hour.
        let stays_s = if is_digest(&kept.sha256) { stays_s } else { 3600 };
        if !needed && is_old(kept.modified_s, stays_s, now_s) {
            garbage.files.push(kept);
        }
    }
    garbage.runs.sort_unstable();
    Ok(garbage)
}

fn is_old(touched_s: u64, stays_s: u64, now_s: u64) -> bool {
    now_s >= touched_s.saturating_add(stays_s)
}

/// Removes a run's folder, most of which is another user's, and its control groups. One that is gone already is no error.
pub fn remove_run(host: &Host, run: RunId) -> io::Result<()> {
    removal(host, run, &[])
}

/// Removes the control groups of a run whose folder stays.
pub fn remove_groups(host: &Host, run: RunId) -> io::Result<()> {
    removal(host, run, &["--groups-only"])
}

fn removal(host: &Host, run: RunId, more: &[&str]) -> io::Result<()> {
    if let Some(launcher) = &host.launcher {
        return match launcher.ask(&Request::Remove { run, units_only: !more.is_empty() }, None)? {
            (Answer::Done, _) => Ok(()),
            (answer, _) => Err(launcher.unexpected(answer)),
        };
    }
    let mut command = Command::new(&host.launch);
    command.arg("remove").arg("--runs").arg(&host.runs).arg("--run").arg(run.to_string()).args(more);
    let done = command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
    if done.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&done.stderr).trim().to_owned()))
}

/// Bytes on disk below a run's folder, as far as they can be seen; links are not followed.
pub fn folder_bytes(folder: &Folder) -> u64 {
    let mut open = vec![folder.folder().to_owned()];
    let mut bytes: u64 = 0;
    while let Some(path) = open.pop() {
        for (_, path) in entries(&path).unwrap_or_default() {
            let Ok(found) = path.symlink_metadata() else { continue };
            bytes = bytes.saturating_add(found.blocks().saturating_mul(512));
            if found.is_dir() {
                open.push(path);
            }
        }
    }
    bytes
}

/// Runs that have a folder.
pub fn runs(host: &Host) -> io::Result<Vec<RunId>> {
    Ok(entries(&host.runs)?.into_iter().filter_map(|(name, _)| name.parse().ok()).collect())
}

/// Steps of a run that have a record, or that somebody is about to start: their spec is written.
pub fn steps(folder: &Folder) -> Vec<Step> {
    let there = entries(folder.folder()).unwrap_or_default();
    let step = |(name, path): &(String, PathBuf)| match name.strip_suffix(".json") {
        Some(name) => Step::parse(name),
        None => Step::parse(name).filter(|_| path.is_dir()),
    };
    there.iter().filter_map(step).collect::<BTreeSet<Step>>().into_iter().collect()
}
