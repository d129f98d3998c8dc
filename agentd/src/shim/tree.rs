//! All processes of a run: to ask them to end, to kill them, to make them stand still.

use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::sys::children::{self, Descendant};

/// How often a tree that grows while it is stopped is gone through.
const FREEZE_ROUNDS: usize = 200;
/// Between two rounds.
const FREEZE_PAUSE: Duration = Duration::from_millis(2);

/// The processes below the shim, and which of them are not the program's.
pub(super) struct Tree {
    shim: Pid,
    /// Bubblewrap outside and inside, which hold the sandbox.
    spared: Vec<Pid>,
}

impl Tree {
    /// The tree below this process.
    pub(super) fn new(spared: Vec<Pid>) -> Self {
        Self { shim: rustix::process::getpid(), spared }
    }

    fn program(&self) -> io::Result<Vec<Descendant>> {
        let mut found = children::below(self.shim)?;
        found.retain(|process| !self.spared.contains(&process.pid));
        Ok(found)
    }

    /// Sends a signal to each process of the program.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        for process in self.program()? {
            // Who ended in the meantime needs none.
            let _ = rustix::process::kill_process(process.pid, signal);
        }
        Ok(())
    }

    /// Kills everything, the holders of the sandbox too. Who forks faster than this looks is met by the next call.
    pub(super) fn kill(&self) -> io::Result<()> {
        for pid in &self.spared {
            let _ = rustix::process::kill_process(*pid, Signal::KILL);
        }
        self.signal(Signal::KILL)
    }

    /// Makes every process stand still and says how many do. It is an error when some do not.
    pub(super) fn freeze(&self) -> io::Result<usize> {
        for _ in 0..FREEZE_ROUNDS {
            let found = self.program()?;
            let moving: Vec<_> = found.iter().filter(|process| !process.stopped).collect();
            if moving.is_empty() {
                return Ok(found.len());
            }
            for process in moving {
                let _ = rustix::process::kill_process(process.pid, Signal::STOP);
            }
            // Who made a child by vfork waits in the kernel until that child became another program, and stops no sooner.
            // The child, that stops in between, has to go on for that.
            let waits = |pid| found.iter().any(|process| process.pid == pid && process.waits);
            for child in found.iter().filter(|process| waits(process.parent)) {
                let _ = rustix::process::kill_process(child.pid, Signal::CONT);
            }
            std::thread::sleep(FREEZE_PAUSE);
        }
        Err(io::Error::other("some processes do not stand still"))
    }

    /// Lets every process go on.
    pub(super) fn thaw(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }
}
