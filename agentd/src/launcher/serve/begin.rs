//! Whether the launcher in a unit became the shim: by its word, or by the end of its unit without one.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixStream;

use super::super::start::BEGAN;
use super::systemd::{Systemd, SystemdError};
use crate::sys::exit::Exit;
use crate::sys::rights;

/// Between two looks whether there is a unit that systemd may not have heard of, and how often there is none.
const ABSENT_LOOK: Duration = Duration::from_millis(200);
/// See above.
const MISSED: u32 = 3;
/// Bytes of why it gave up, at most.
const MAX_COMPLAINT: usize = 4096;

/// A shim that began.
#[derive(Debug)]
pub(super) struct Shim {
    /// Its process id.
    pub(super) pid: u32,
    /// The process itself, as it said: its number may be another's by now.
    pub(super) process: OwnedFd,
}

/// The line that a launcher in a unit says. The end of the stream tells nothing: systemd has the other side as long as the
/// unit is there.
pub(super) struct Word {
    stream: UnixStream,
    text: Vec<u8>,
    process: Option<OwnedFd>,
}

impl Word {
    /// The side that hears, and the one that is the standard error of the unit.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (hears, says) = StdUnixStream::pair()?;
        hears.set_nonblocking(true)?;
        let stream = UnixStream::from_std(hears)?;
        Ok((Self { stream, text: Vec::new(), process: None }, says.into()))
    }

    /// The shim, or why there is none. What came so far stays where it is broken off.
    async fn read(&mut self) -> Result<Shim, String> {
        let mut chunk = [0; 512];
        while !self.text.ends_with(b"\n") && self.text.len() < MAX_COMPLAINT {
            let stream = &self.stream;
            let came = stream.async_io(Interest::READABLE, || rights::receive(stream, &mut chunk)).await;
            let (length, descriptors) = came.map_err(|error| error.to_string())?;
            self.text.extend_from_slice(chunk.get(..length).unwrap_or_default());
            self.process = self.process.take().or(descriptors.into_iter().next());
            if length == 0 {
                break;
            }
        }
        self.told()
    }

    fn told(&mut self) -> Result<Shim, String> {
        let text = String::from_utf8_lossy(&self.text);
        let text = text.trim();
        let pid = text.strip_prefix(BEGAN).and_then(|pid| pid.trim().parse().ok());
        match pid.zip(self.process.take()) {
            Some((pid, process)) => Ok(Shim { pid, process }),
            None => Err(text.trim_start_matches("agentd-launch: error: ").replace('\n', "; ")),
        }
    }
}

/// What systemd told of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// The unit started: without a process it is one that ended.
    Started,
    /// It went away while it was asked, and what it did not take before it never takes.
    Dropped,
    /// Nothing: it may do it yet.
    Nothing,
}

/// Why there is no shim.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoShim {
    /// The launcher, or systemd, gave this reason.
    Because(String),
    /// There is no unit, and none comes: the same may be asked for again.
    Never,
}

/// Waits until the launcher in a unit is the shim.
pub(super) async fn begun(systemd: &Systemd, unit: &str, word: &mut Word, known: Known) -> Result<Shim, NoShim> {
    let why = tokio::select! {
        biased;
        said = word.read() => return said.map_err(NoShim::Because),
        reason = ended(systemd, unit), if known == Known::Started => NoShim::Because(reason),
        () = absent(systemd, unit), if known == Known::Dropped => NoShim::Never,
    };
    // It may have spoken right before.
    match tokio::time::timeout(Duration::ZERO, word.read()).await {
        Ok(said) => said.map_err(NoShim::Because),
        Err(_) if word.text.is_empty() => Err(why),
        Err(_) => word.told().map_err(NoShim::Because),
    }
}

/// Waits until systemd, which is there again, has no unit of that name, time after time.
async fn absent(systemd: &Systemd, unit: &str) {
    let mut missed = 0;
    while missed < MISSED {
        tokio::time::sleep(ABSENT_LOOK).await;
        match systemd.state(unit).await {
            Ok(None) => missed += 1,
            Ok(Some(_)) => missed = 0,
            Err(_) => {}
        }
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

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[tokio::test]
    async fn the_word_of_a_launcher_is_its_process_or_its_reason() {
        // The other side stays open, as systemd has it.
        let process = std::fs::File::open("/dev/null").unwrap();
        for (said, along, heard) in [
            ("shim 4711\n", true, Ok(4711)),
            ("shim 4711\n", false, Err("shim 4711".to_owned())),
            ("agentd-launch: error: no room\n", false, Err("no room".to_owned())),
            ("shim x\n", true, Err("shim x".to_owned())),
        ] {
            let (mut word, says) = Word::pair().unwrap();
            let along: Vec<_> = along.then(|| process.as_fd()).into_iter().collect();
            rights::send(&says, said.as_bytes(), &along).unwrap();
            let told = begun(&Systemd::default(), "x.service", &mut word, Known::Nothing).await;
            assert_eq!(told.map(|shim| shim.pid), heard.map_err(NoShim::Because));
        }
    }

    #[tokio::test]
    async fn a_word_that_comes_in_two_parts_is_one() {
        let (mut word, says) = Word::pair().unwrap();
        rights::send(&says, b"agentd-launch: error: no ", &[]).unwrap();
        assert!(tokio::time::timeout(Duration::ZERO, word.read()).await.is_err(), "it is not over");
        rights::send(&says, b"room\n", &[]).unwrap();
        assert_eq!(word.read().await.unwrap_err(), "no room");
    }
}
