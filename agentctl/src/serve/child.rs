//! One process group: the command of one claim, what it writes, and its end.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agentd_schemas::http::{MAX_PROGRESS_BYTES, MAX_RESULT_BYTES};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child as Process, Command};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// Bytes of stderr that are kept for the message of a failure.
const TAIL_BYTES: usize = 4096;
/// Between being asked to end and being killed.
const GRACE: Duration = Duration::from_secs(5);
/// For the last bytes in the pipes, once the group is gone: somebody who left the group may hold them open.
const DRAIN: Duration = Duration::from_secs(2);
/// Variables that the command sees of our own environment.
const KEPT: [&str; 4] = ["PATH", "HOME", "LANG", "TERM"];

/// What the command wrote so far.
#[derive(Default)]
struct Written {
    output: Vec<u8>,
    is_too_long: bool,
    tail: VecDeque<u8>,
    line: Vec<u8>,
    last: Option<String>,
}

type Shared = Arc<Mutex<Written>>;

fn look(written: &Shared) -> MutexGuard<'_, Written> {
    // Nothing is done under the lock that could leave it half done.
    written.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running command.
pub(super) struct Child {
    process: Process,
    group: Pid,
    end: watch::Receiver<bool>,
    readers: [JoinHandle<()>; 2],
    written: Shared,
    overflow: Arc<Notify>,
}

/// How a command ended.
pub(super) struct Ended {
    /// Its exit status.
    pub(super) status: ExitStatus,
    /// What it wrote to stdout; `None` where that is more than a result may have.
    pub(super) output: Option<Vec<u8>>,
    /// The end of what it wrote to stderr.
    pub(super) errors: String,
}

impl Child {
    /// Starts the command in a group of its own with `input` on stdin and a cleared environment.
    pub(super) fn start(command: &[OsString], variables: &[(&str, String)], input: Vec<u8>) -> std::io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        let mut process = Command::new(program);
        process.args(arguments).process_group(0).env_clear().kill_on_drop(true);
        for name in KEPT {
            process.envs(crate::ambient::var(name).map(|value| (name, value)));
        }
        process.envs(variables.iter().map(|(name, value)| (name, value)));
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = process.spawn()?;
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let group = process.id().and_then(|id| Pid::from_raw(id.cast_signed())).ok_or_else(missing)?;
        let end = await_end(group);
        let mut stdin = process.stdin.take().ok_or_else(missing)?;
        tokio::spawn(async move {
            // A command that does not read its task is free not to.
            let _ = stdin.write_all(&input).await;
        });
        let (stdout, stderr) = (process.stdout.take().ok_or_else(missing)?, process.stderr.take().ok_or_else(missing)?);
        let (written, overflow) = (Shared::default(), Arc::new(Notify::new()));
        let output = tokio::spawn(gather(stdout, written.clone(), overflow.clone()));
        let errors = tokio::spawn(listen(stderr, written.clone()));
        Ok(Self { process, group, end, readers: [output, errors], written, overflow })
    }

    /// Resolves when the command has ended; it is not reaped yet, so its group is still its own.
    pub(super) async fn ended(&self) {
        // A watcher that is gone has seen the end, or cannot see one.
        let _ = self.end.clone().wait_for(|ended| *ended).await;
    }

    /// Resolves once it wrote more than a result may have; it is blocked then and does not end by itself.
    pub(super) async fn overflowed(&self) {
        self.overflow.notified().await;
    }

    /// Sends a signal to the whole group.
    pub(super) fn signal(&self, signal: Signal) {
        // A group that is gone needs no signal.
        let _ = rustix::process::kill_process_group(self.group, signal);
    }

    /// The last line that it wrote to stderr.
    pub(super) fn progress(&self) -> Option<String> {
        look(&self.written).last.clone()
    }

    /// Asks the group to end, kills it after a while, and waits for it.
    pub(super) async fn stop(self) -> std::io::Result<Ended> {
        self.signal(Signal::TERM);
        // A group that stands still would never hear it.
        self.signal(Signal::CONT);
        if tokio::time::timeout(GRACE, self.ended()).await.is_err() {
            self.signal(Signal::KILL);
        }
        self.finish().await
    }

    /// What came of a command that has ended. Whatever it left running in its group is killed.
    pub(super) async fn finish(mut self) -> std::io::Result<Ended> {
        self.ended().await;
        self.signal(Signal::KILL);
        let status = self.process.wait().await?;
        for reader in &mut self.readers {
            if tokio::time::timeout(DRAIN, &mut *reader).await.is_err() {
                reader.abort();
            }
        }
        let mut written = look(&self.written);
        let errors = String::from_utf8_lossy(written.tail.make_contiguous()).trim().to_owned();
        let output = std::mem::take(&mut written.output);
        let output = (!written.is_too_long).then_some(output);
        drop(written);
        Ok(Ended { status, output, errors })
    }
}

/// Watches for the end of a process without reaping it: until then its number, and that of its group, is nobody else's.
fn await_end(process: Pid) -> watch::Receiver<bool> {
    let (ended, end) = watch::channel(false);
    tokio::task::spawn_blocking(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(WaitId::Pid(process), options) {}
        ended.send_replace(true);
    });
    end
}

/// Keeps stdout up to its bound. Beyond it nothing is read any more.
async fn gather(mut stdout: impl AsyncRead + Unpin, written: Shared, overflow: Arc<Notify>) {
    let mut chunk = vec![0; 64 << 10];
    while let Ok(count) = stdout.read(&mut chunk).await {
        if count == 0 {
            return;
        }
        let mut written = look(&written);
        if written.output.len() + count > MAX_RESULT_BYTES {
            written.is_too_long = true;
            overflow.notify_one();
            return;
        }
        written.output.extend_from_slice(&chunk[..count]);
    }
}

/// Keeps the end of stderr and its last line.
async fn listen(mut stderr: impl AsyncRead + Unpin, written: Shared) {
    let mut chunk = vec![0; 8 << 10];
    while let Ok(count) = stderr.read(&mut chunk).await {
        if count == 0 {
            return;
        }
        look(&written).hear(&chunk[..count]);
    }
}

impl Written {
    fn hear(&mut self, chunk: &[u8]) {
        self.tail.extend(chunk);
        let excess = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..excess);
        for byte in chunk {
            match byte {
                b'\n' | b'\r' => {
                    let line = String::from_utf8_lossy(&self.line).trim().to_owned();
                    self.line.clear();
                    if !line.is_empty() {
                        self.last = Some(bounded(line));
                    }
                }
                // What is longer than a progress line is not told.
                _ if self.line.len() < MAX_PROGRESS_BYTES => self.line.push(*byte),
                _ => {}
            }
        }
    }
}

/// Replacement characters may have made a line longer than it was.
fn bounded(mut line: String) -> String {
    let end = (0..=MAX_PROGRESS_BYTES.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    line.truncate(end);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, input: &str) -> Child {
        let command = ["sh", "-c", script].map(OsString::from);
        Child::start(&command, &[("AGENTD_WORK", "w-a".to_owned())], input.as_bytes().to_vec()).unwrap()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_command_gets_its_task_and_its_output_is_exact() {
        let ended =
            shell("printf '%s:' \"$AGENTD_WORK\"; cat; echo one >&2; printf two >&2", "in\n").finish().await.unwrap();
        assert!(ended.status.success());
        assert_eq!(ended.output.unwrap(), b"w-a:in\n");
        assert_eq!(ended.errors, "one\ntwo");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_environment_is_cleared_but_for_a_few_names() {
        let ended = shell("env", "").finish().await.unwrap();
        let output = String::from_utf8(ended.output.unwrap()).unwrap();
        let names: Vec<&str> = output.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        assert!(names.contains(&"PATH") && names.contains(&"AGENTD_WORK"), "{output}");
        // The shell itself sets PWD, SHLVL and _.
        let known = ["PATH", "HOME", "LANG", "TERM", "AGENTD_WORK", "PWD", "SHLVL", "_", "OLDPWD"];
        assert!(names.iter().all(|name| known.contains(name)), "{output}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_a_command_leaves_running_ends_with_it() {
        let ended = shell("sleep 600 & echo $!", "").finish().await.unwrap();
        let left = String::from_utf8(ended.output.unwrap()).unwrap();
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", left.trim())).unwrap_or_default();
        // Gone, or dead and not yet reaped by init; the kernel takes a moment after the signal.
        let is_dead = async {
            while !(stat().is_empty() || stat().contains(") Z ")) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), is_dead).await.unwrap();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_group_that_stands_still_can_be_ended() {
        let child = shell("sleep 600", "");
        child.signal(Signal::STOP);
        let ended = child.stop().await.unwrap();
        assert!(!ended.status.success());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn more_output_than_a_result_may_have_is_noticed() {
        let child = shell("exec cat /dev/zero", "");
        child.overflowed().await;
        assert!(child.stop().await.unwrap().output.is_none());
    }

    #[test]
    fn progress_is_the_last_whole_line_and_bounded() {
        let mut written = Written::default();
        written.hear(b"first\nsecond\r\n\n");
        assert_eq!(written.last.as_deref(), Some("second"));
        written.hear(b"half");
        assert_eq!(written.last.as_deref(), Some("second"));
        written.hear(&vec![0xff; 3 * MAX_PROGRESS_BYTES]);
        written.hear(b"\n");
        assert!(written.last.as_ref().unwrap().len() <= MAX_PROGRESS_BYTES);
        assert!(written.tail.len() <= TAIL_BYTES);
    }
}
