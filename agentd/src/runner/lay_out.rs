//! The daemon's own part of a run's folder: the agent's files and the task.

use std::io;
use std::path::Path;

use super::files;
use super::folder::Folder;
use super::host::{Host, Job};

/// The task, as one JSON document.
pub(super) const TASK: &str = "task.json";
/// The instructions as text.
pub(super) const INSTRUCTIONS: &str = "instructions.txt";
/// What became of the attempt before, as one JSON document: `null` for a first attempt.
pub(super) const PREVIOUS: &str = "previous.json";

/// Lays out what goes into the files of a program's home, in their order, named by their numbers. The folder that they are
/// in, below that of the task.
pub(super) fn lay_out_filled(job: &Job, folder: &Folder, start: u32, contents: &[String]) -> io::Result<String> {
    let (inner, plain) = if job.run_as.is_some() { (0o755, 0o644) } else { (0o700, 0o600) };
    let name = format!("home-{start}");
    let there = folder.task().join(&name);
    files::folder(&there, inner)?;
    for (place, content) in contents.iter().enumerate() {
        files::write(&there.join(place.to_string()), content.as_bytes(), plain, false)?;
    }
    Ok(name)
}

/// Whether a folder could be made among those of the runs: one is, and is removed.
pub fn try_out(host: &Host) -> io::Result<()> {
    let tried = files::unfinished(&host.runs.join("try"))?;
    std::fs::create_dir(&tried)?;
    std::fs::remove_dir(&tried)
}

/// Makes the folder of a run, with the agent's files and the task in it. Again does no harm.
pub fn lay_out(host: &Host, job: &Job) -> io::Result<Folder> {
    let folder = Folder::of(host, job.run);
    // A run with a user of its own goes through the folder to what is its own, and lists nothing on the way.
    let (outer, inner, plain, program) =
        if job.run_as.is_some() { (0o711, 0o755, 0o644, 0o755) } else { (0o700, 0o700, 0o600, 0o700) };
    files::folder(folder.folder(), outer)?;
    for path in [folder.program(), folder.task(), folder.door()] {
        files::folder(&path, inner)?;
    }
    for (file, content) in job.runtime.files.iter().zip(&job.files) {
        let mut above: Vec<&Path> = Path::new(&file.name).ancestors().skip(1).collect();
        above.pop();
        for path in above.into_iter().rev() {
            files::folder(&folder.program().join(path), inner)?;
        }
        let mode = if file.executable { program } else { plain };
        files::lay(&folder.program().join(&file.name), content, mode)?;
    }
    let task = folder.task();
    files::lay(&task.join(TASK), &serde_json::to_vec(&job.claim)?, plain)?;
    files::lay(&task.join(INSTRUCTIONS), job.claim.instructions.as_bytes(), plain)?;
    files::lay(&task.join(PREVIOUS), &serde_json::to_vec(&job.claim.previous)?, plain)?;
    Ok(folder)
}
