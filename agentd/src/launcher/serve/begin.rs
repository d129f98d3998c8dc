//! Whether the launcher in a unit became the shim: by its word, or by the end of its unit without one.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::unix::pipe;

use super::super::start::BEGAN;
use super::systemd::{Systemd, SystemdError};
use crate::sys::exit::Exit;

/// Bytes of why it gave up, at most.
const MAX_COMPLAINT: u64 = 4096;

/// The line that a launcher in a unit says. The end of the pipe tells nothing: systemd has the other side as long as the unit
/// is there.
pub(super) struct Word(BufReader<tokio::io::Take<pipe::Receiver>>);

impl Word {
    pub(super) fn from(pipe: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Ok(Self(BufReader::new(pipe::Receiver::from_owned_fd(pipe)?.take(MAX_COMPLAINT))))
    }

    /// The shim's process id, or why there is none. `text` has what came so far.
    async fn read(&mut self, text: &mut Vec<u8>) -> Result<u32, String> {
        self.0.read_until(b'\n', text).await.map_err(|error| error.to_string())?;
        parse(text)
    }
}

fn parse(text: &[u8]) -> Result<u32, String> {
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    match text.strip_prefix(BEGAN).and_then(|pid| pid.trim().parse().ok()) {
        Some(pid) => Ok(pid),
        None => Err(text.trim_start_matches("agentd-launch: error: ").replace('\n', "; ")),
    }
}

/// Waits until the launcher in a unit is the shim, and gives its process id. `is_known` says whether systemd told that the
/// unit started: only then is a unit without a process one that ended.
pub(super) async fn begun(systemd: &Systemd, unit: &str, word: &mut Word, is_known: bool) -> Result<u32, String> {
    let mut text = Vec::new();
    let reason = tokio::select! {
        biased;
        said = word.read(&mut text) => return said,
        reason = ended(systemd, unit), if is_known => reason,
    };
    // It may have spoken right before.
    match tokio::time::timeout(std::time::Duration::ZERO, word.read(&mut text)).await {
        Ok(said) => said,
        Err(_) if text.is_empty() => Err(reason),
        Err(_) => parse(&text),
    }
}

/// Waits for the end of the unit's process, and says what systemd knows of it.
async fn ended(systemd: &Systemd, unit: &str) -> String {
    if let Ok(pid) = systemd.main_pid(unit).await
        && let Some(exit) = Exit::of(pid)
    {
        exit.gone().await;
    }
    match systemd.ended(unit).await {
        Ok(how) => format!("its unit ended before the shim began: {how}; see journalctl -u {unit}"),
        // The unit may live: its own word, or the end of the patience with it, tells.
        Err(SystemdError::Bus(_)) => std::future::pending().await,
        Err(error) => error.to_string(),
    }
}

/// A descriptor of a process; `None` where it is gone.
pub(super) fn hold(pid: u32) -> Option<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    pidfd_open(pid, PidfdFlags::NONBLOCK).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn the_word_of_a_launcher_is_its_process_or_its_reason() {
        for (said, heard) in [
            ("shim 4711\n", Ok(4711)),
            ("agentd-launch: error: no room\n", Err("no room".to_owned())),
            ("shim x\n", Err("shim x".to_owned())),
        ] {
            let (reader, writer) = rustix::pipe::pipe().unwrap();
            let mut word = Word::from(reader).unwrap();
            // The other side stays open, as systemd has it.
            let mut writer = std::fs::File::from(writer);
            writer.write_all(said.as_bytes()).unwrap();
            assert_eq!(begun(&Systemd::default(), "x.service", &mut word, false).await, heard);
        }
    }
}
