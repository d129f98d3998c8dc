//! What the record of a step says. It is the run's user's file, and is read as such.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentd_schemas::launch::{
    CONTROL_SOCKET, LAUNCH_VERSION, LOCK_FILE, OUTCOME_FILE, Outcome, STARTED_FILE, STDERR_FILE, STDOUT_FILE, Started,
};
use rustix::fs::{CWD, FlockOperation, Mode, RenameFlags};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde::de::DeserializeOwned;

use super::files::create;
use super::folder::{Folder, Step};

/// Bytes of what a shim writes down, at most: reasons quote paths and words of the command.
const MAX_DOCUMENT_BYTES: usize = 4 << 20;
/// How long a shim may take for each part of an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the record of one step is put aside, at most.
const MAX_ASIDE: u32 = 64;
/// A launcher that is at a record for so long is none any more: who asked it has ended it before.
const MAKING_S: u64 = 60;
/// Written to the error stream of a `check` or `base` step right before its command begins.
const BEGAN: u8 = 0x1e;
/// Bytes that such a step writes before that, at most.
const BEFORE_COMMAND: usize = 64 << 10;
/// Bytes of an answer, at most.
const MAX_ANSWER_BYTES: u64 = 4096;

/// What became of a step so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Nothing was started.
    Absent,
    /// Its spec is written, and its program did not begin yet. Whether anybody is about to start it, the record does not
    /// tell: the launcher's process does, or time.
    Starting,
    /// Its shim lives and its program began.
    Running(Started),
    /// It is over.
    Ended(Outcome),
    /// It began, its shim is gone, and nobody saw the end.
    Lost,
}

/// One output stream of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Output {
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Stdout => STDOUT_FILE,
            Self::Stderr => STDERR_FILE,
        }
    }
}

/// The path of a file of a step's record, below the folder of the run.
pub(super) fn in_record(step: Step, name: &str) -> PathBuf {
    PathBuf::from(step.name()).join(name)
}

/// Looks what became of a step.
pub fn look(folder: &Folder, step: Step) -> io::Result<Look> {
    if let Some(outcome) = outcome(folder, step)? {
        return Ok(Look::Ended(outcome));
    }
    // The shim makes this file under its lock. Before it is there the lock is not touched, or it could fail the shim that
    // is about to take it.
    if folder.open(&in_record(step, STDOUT_FILE))?.is_none() {
        return Ok(if folder.spec(step).exists() { Look::Starting } else { Look::Absent });
    }
    if is_locked(folder, step)? {
        let started = document(folder, step, STARTED_FILE)?;
        return Ok(started
            .filter(|started: &Started| started.run == folder.run())
            .map_or(Look::Starting, Look::Running));
    }
    // It may have ended in between.
    Ok(outcome(folder, step)?.map_or(Look::Lost, Look::Ended))
}

/// Sees to it that a step never begins of which nobody knows whether somebody is about to start it. `false` where it has
/// begun after all, or is about to: then it is looked at again. A launcher makes its record once, and a shim its files: whoever
/// comes later finds them made and gives up. `now_s` is seconds since 1970.
pub fn forestall(folder: &Folder, step: Step, now_s: u64) -> io::Result<bool> {
    forestall_by(folder, step, now_s, |path| create(path, 0o600).map(drop))
}

fn forestall_by(folder: &Folder, step: Step, now_s: u64, create: impl Fn(&Path) -> io::Result<()>) -> io::Result<bool> {
    let record = folder.record(step);
    // A second time where what was left of a record was put aside.
    for _ in 0..2 {
        match rustix::fs::mkdir(&record, Mode::RWXU) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        match create(&record.join(STDOUT_FILE)) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            // A launcher that is root is making it, and gives it to the run's user in a moment; or it died before it did.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                if !is_left(&record, now_s)? {
                    return Ok(false);
                }
                put_record_aside(folder, step)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Whether nobody is at a record any more that was not given away.
fn is_left(record: &Path, now_s: u64) -> io::Result<bool> {
    match record.symlink_metadata() {
        Ok(found) => Ok(now_s.saturating_sub(u64::try_from(found.ctime()).unwrap_or(0)) > MAKING_S),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes room for another start of a step that never began and that nobody is about to begin: what its launcher left of a
/// record is put aside, in the run's folder.
pub fn put_record_aside(folder: &Folder, step: Step) -> io::Result<()> {
    let record = folder.record(step);
    for number in 1..MAX_ASIDE {
        let aside = folder.folder().join(format!(".{step}.{number}"));
        match rustix::fs::renameat_with(CWD, &record, CWD, &aside, RenameFlags::NOREPLACE) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(io::Error::other(format!("step {step} was given up {MAX_ASIDE} times while it was being started")))
}

fn outcome(folder: &Folder, step: Step) -> io::Result<Option<Outcome>> {
    let outcome: Option<Outcome> = document(folder, step, OUTCOME_FILE)?;
    match outcome {
        Some(outcome) if outcome.run != folder.run() || outcome.version != LAUNCH_VERSION => {
            Err(invalid(&folder.record(step).join(OUTCOME_FILE), "it is of another run or another version"))
        }
        outcome => Ok(outcome),
    }
}

fn document<T: DeserializeOwned>(folder: &Folder, step: Step, name: &str) -> io::Result<Option<T>> {
    let Some(text) = folder.read(&in_record(step, name), MAX_DOCUMENT_BYTES)? else { return Ok(None) };
    let document = serde_json::from_slice(&text);
    document.map(Some).map_err(|error| invalid(&folder.record(step).join(name), &error.to_string()))
}

fn invalid(path: &Path, reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {reason}", path.display()))
}

fn is_locked(folder: &Folder, step: Step) -> io::Result<bool> {
    let Some(lock) = folder.open(&in_record(step, LOCK_FILE))? else { return Ok(false) };
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

/// What was written down when the program of a step began; none where it did not.
pub fn started(folder: &Folder, step: Step) -> Option<Started> {
    document(folder, step, STARTED_FILE).ok()?.filter(|started: &Started| started.run == folder.run())
}

/// Says a line to the shim of a step (`stop cancelled`, `freeze`, `thaw`, `pause`, `resume`) and gives its answer:
/// `ok …` or `error …`.
pub fn control(folder: &Folder, step: Step, request: &str) -> io::Result<String> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Before it connects: a full queue would be a wait without end.
    set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(folder.record(step).join(CONTROL_SOCKET))?)?;
    let mut stream = UnixStream::from(socket);
    stream.write_all(format!("{request}\n").as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}

/// Bytes of an output stream of a step that are there; none where it did not begin.
pub fn output_size(folder: &Folder, step: Step, stream: Output) -> io::Result<Option<u64>> {
    let file = folder.open(&in_record(step, stream.file()))?;
    file.map(|file| file.metadata().map(|meta| meta.len())).transpose()
}

/// Reads the end of an output stream of a step, at most `most` bytes.
pub fn output_end(folder: &Folder, step: Step, stream: Output, most: usize) -> io::Result<Vec<u8>> {
    let size = output_size(folder, step, stream)?.unwrap_or(0);
    output(folder, step, stream, size.saturating_sub(most as u64), most).map(|(bytes, _)| bytes)
}

/// Reads output of a step from `offset`, at most `most` bytes, and says where to go on.
pub fn output(folder: &Folder, step: Step, stream: Output, offset: u64, most: usize) -> io::Result<(Vec<u8>, u64)> {
    let mut bytes = Vec::new();
    if let Some(mut file) = folder.open(&in_record(step, stream.file()))? {
        file.seek(SeekFrom::Start(offset))?;
        file.take(most as u64).read_to_end(&mut bytes)?;
    }
    let next = offset.saturating_add(bytes.len() as u64);
    Ok((bytes, next))
}

/// Where the command of a `check` or `base` step began, in the error stream of the step; none where it did not: then the
/// step failed for reasons of the host, and its exit code (125) is no judgement. The mark stands in what was kept already,
/// so nothing that the command does takes it back.
pub fn began(folder: &Folder, step: Step) -> io::Result<Option<u64>> {
    let (bytes, _) = output(folder, step, Output::Stderr, 0, BEFORE_COMMAND)?;
    Ok(bytes.iter().position(|byte| *byte == BEGAN).map(|at| at as u64 + 1))
}

/// The end of what the command of a `check` or `base` step wrote, at most `most` bytes.
pub fn command_output_end(folder: &Folder, step: Step, stream: Output, most: usize) -> io::Result<Vec<u8>> {
    let from = match stream {
        Output::Stdout => 0,
        Output::Stderr => began(folder, step)?.unwrap_or(0),
    };
    let size = output_size(folder, step, stream)?.unwrap_or(0);
    output(folder, step, stream, from.max(size.saturating_sub(most as u64)), most).map(|(bytes, _)| bytes)
}

#[cfg(test)]
mod tests {
    use super::super::host::{Host, trial_host};
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn a_record_that_is_just_being_made_is_asked_for_again_and_one_that_was_left_is_put_aside() {
        let scratch = Scratch::new();
        let host = Host { runs: scratch.path().to_owned(), ..trial_host() };
        let folder = Folder::of(&host, "w-7kq3x2mbnd5fa6uz.1".parse().unwrap());
        let (step, record) = (Step::Collect, folder.record(Step::Collect));
        std::fs::create_dir_all(&record).unwrap();
        let made = u64::try_from(record.symlink_metadata().unwrap().ctime()).unwrap();
        let not_ours = |_: &Path| Err(io::ErrorKind::PermissionDenied.into());
        assert!(!forestall_by(&folder, step, made + 1, not_ours).unwrap());
        assert!(!forestall_by(&folder, step, made - 1, not_ours).unwrap(), "the clock was set back");
        std::fs::write(record.join("spec.json"), "").unwrap();
        assert!(forestall_by(&folder, step, made + MAKING_S + 5, not_ours).unwrap());
        assert!(folder.folder().join(".collect.1/spec.json").exists() && !record.join("spec.json").exists());
        // What is there now is ours: whoever comes finds it made.
        assert!(forestall(&folder, step, made).unwrap());
        assert!(!forestall(&folder, step, made).unwrap(), "whose shim began");
    }
}
