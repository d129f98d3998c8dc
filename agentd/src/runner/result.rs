//! The result of a program: where its document says that it is, bounded, and never through a link.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use agentd_schemas::document::program::{ExitMeaning, ResultFrom};
use agentd_schemas::http::MAX_RESULT_BYTES;
use agentd_schemas::launch::{Ending, Outcome, STDOUT_FILE, StopCause};

use super::folder::{Folder, Step};
use super::host::Job;
use super::look::{Output, in_record, output_end, output_size};

/// Name of `{{ result_file }}` in the program's home.
pub(super) const RESULT_FILE: &str = "result";
/// Bytes of one line of JSON that is looked into: a result, escaped, and what is around it.
const MAX_LINE_BYTES: u64 = 16 << 20;
/// Bytes that are told of standard output which is too long for a result, or no text, where something else is judged.
const MAX_END_BYTES: usize = 64 << 10;
/// Bytes of the id of a session, at most.
const MAX_SESSION_BYTES: usize = 1024;

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoResult {
    /// It did not begin.
    #[error("the program was not started: {0}")]
    NotStarted(String),
    /// Nobody knows how it ended.
    #[error("nobody saw how the program ended: {0}")]
    Unknown(String),
    /// It was made to end.
    #[error("the program was stopped: {}", .0.as_str())]
    Stopped(StopCause),
    /// A signal ended it.
    #[error("signal {0} ended the program")]
    Signalled(i32),
    /// Its exit code says that it failed.
    #[error("the program failed: exit code {0}")]
    Failed(i32),
    /// It hands its result in by the run's socket, and nothing else counts.
    #[error("the program ended without `agentctl run finish`")]
    BySocket,
    /// There is none.
    #[error("the program left no result: {0}")]
    Missing(String),
    /// It cannot be one.
    #[error("the result cannot be used: {0}")]
    Unusable(String),
}

/// The result that a program left, by its outcome and its document. `start` is which start of the program it was.
pub fn result(job: &Job, folder: &Folder, start: u32, outcome: &Outcome) -> Result<String, NoResult> {
    ended(job, outcome)?;
    let step = Step::Program(start);
    let text = match &job.runtime.program.result {
        ResultFrom::Socket => return Err(NoResult::BySocket),
        ResultFrom::Stdout => match said(folder, step, outcome) {
            // What it made is judged, and what it said on the way does not fit: the end of it is told.
            Err(NoResult::Unusable(_)) if job.has_repository() || looks(job) => Some(end_of_it(folder, step, outcome)?),
            said => said?,
        },
        ResultFrom::Json(pointer) => last_value(folder, step, outcome, pointer)?,
        ResultFrom::File(path) if path.starts_with("{{") => {
            whole(folder, &Path::new("home").join(RESULT_FILE), "{{ result_file }}")?
        }
        ResultFrom::File(path) => whole(folder, &Path::new("workspace").join(path), path)?,
    };
    match text {
        Some(text) if !text.is_empty() => Ok(text),
        // What it made in its workspace is looked at as well.
        _ if job.has_repository() || looks(job) => Ok(String::new()),
        Some(_) => Err(NoResult::Missing("it is empty".to_owned())),
        None => Err(NoResult::Missing(format!("nothing is at {}", place(&job.runtime.program.result)))),
    }
}

/// Standard output, where all of it is a result.
fn said(folder: &Folder, step: Step, outcome: &Outcome) -> Result<Option<String>, NoResult> {
    not_cut(outcome)?;
    whole(folder, &in_record(step, STDOUT_FILE), "standard output")
}

/// Refuses standard output of which the end is not kept: what counts may have been said there.
fn not_cut(outcome: &Outcome) -> Result<(), NoResult> {
    let (kept, bytes) = (outcome.stdout.kept, outcome.stdout.bytes);
    if kept < bytes {
        let text = format!("standard output has {bytes} bytes, and {kept} are kept (resources.output_max)");
        return Err(NoResult::Unusable(text));
    }
    Ok(())
}

/// The end of standard output as text, and that it is no more than that where it is not all of it.
fn end_of_it(folder: &Folder, step: Step, outcome: &Outcome) -> Result<String, NoResult> {
    let failed = |error| unusable("standard output", &error);
    let kept = output_size(folder, step, Output::Stdout).map_err(failed)?.unwrap_or(0);
    // Of a flood no more than its end is kept.
    let size = kept.max(outcome.stdout.bytes);
    let bytes = output_end(folder, step, Output::Stdout, MAX_END_BYTES).map_err(failed)?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end();
    Ok(if size > bytes.len() as u64 { format!("[the end of {size} bytes]\n{text}") } else { text.to_owned() })
}

fn place(from: &ResultFrom) -> &str {
    match from {
        ResultFrom::Stdout | ResultFrom::Socket => "standard output",
        ResultFrom::File(place) | ResultFrom::Json(place) => place,
    }
}

/// Whether a criterion looks at what was made.
fn looks(job: &Job) -> bool {
    job.checks.iter().any(Option::is_some)
}

fn ended(job: &Job, outcome: &Outcome) -> Result<(), NoResult> {
    if let Some(cause) = outcome.stopped {
        return Err(NoResult::Stopped(cause));
    }
    let code = match &outcome.ending {
        Ending::Exited(code) => *code,
        Ending::Signalled(signal) => return Err(NoResult::Signalled(*signal)),
        Ending::NotStarted(reason) => return Err(NoResult::NotStarted(reason.clone())),
        Ending::Lost(reason) => return Err(NoResult::Unknown(reason.clone())),
    };
    let meaning = job.runtime.program.exit_codes.get(&code.to_string()).copied();
    let unsaid = || if code == 0 || looks(job) { ExitMeaning::Done } else { ExitMeaning::Failed };
    match meaning.unwrap_or_else(unsaid) {
        ExitMeaning::Done => Ok(()),
        ExitMeaning::Failed => Err(NoResult::Failed(code)),
    }
}

fn unusable(place: &str, error: &std::io::Error) -> NoResult {
    NoResult::Unusable(format!("{place}: {error}"))
}

fn whole(folder: &Folder, name: &Path, place: &str) -> Result<Option<String>, NoResult> {
    let Some(bytes) = folder.read(name, MAX_RESULT_BYTES).map_err(|error| unusable(place, &error))? else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes).map_err(|_| NoResult::Unusable(format!("{place} is not UTF-8")))?;
    Ok(Some(text.trim_end().to_owned()))
}

/// The session of a start of the program, where its document says how to find it and it said so.
pub fn session(job: &Job, folder: &Folder, start: u32, outcome: &Outcome) -> Result<Option<String>, NoResult> {
    let Some(pointer) = job.runtime.program.session.as_deref() else { return Ok(None) };
    let found = last_value(folder, Step::Program(start), outcome, pointer)?;
    let fits =
        |found: &String| !found.is_empty() && found.len() <= MAX_SESSION_BYTES && !found.contains(char::is_control);
    Ok(found.filter(fits))
}

/// The last JSON line of all of standard output that has something at `pointer`: text as it is, all else as JSON.
fn last_value(folder: &Folder, step: Step, outcome: &Outcome, pointer: &str) -> Result<Option<String>, NoResult> {
    // A line before the end that has it too would be taken for the last one.
    not_cut(outcome)?;
    last_kept(folder, step, pointer).map_err(|error| unusable("standard output", &error))
}

fn last_kept(folder: &Folder, step: Step, pointer: &str) -> std::io::Result<Option<String>> {
    let Some(file) = folder.open(&in_record(step, STDOUT_FILE))? else {
        return Ok(None);
    };
    let mut reader = BufReader::new(file);
    let (mut found, mut line) = (None, Vec::new());
    loop {
        line.clear();
        if (&mut reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(found);
        }
        if !line.ends_with(b"\n") && line.len() as u64 == MAX_LINE_BYTES {
            // A line that no result fits: the rest of it is no line of its own.
            reader.skip_until(b'\n')?;
            continue;
        }
        if !line.trim_ascii_start().starts_with(b"{") && !line.trim_ascii_start().starts_with(b"[") {
            continue;
        }
        let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(&line) else { continue };
        match value.pointer_mut(pointer).map(serde_json::Value::take) {
            None | Some(serde_json::Value::Null) => {}
            Some(serde_json::Value::String(text)) => found = Some(text),
            Some(value) => found = Some(value.to_string()),
        }
        if found.as_ref().is_some_and(|text| text.len() > MAX_RESULT_BYTES) {
            let text = format!("more than {MAX_RESULT_BYTES} bytes at {pointer}");
            return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, text));
        }
    }
}
