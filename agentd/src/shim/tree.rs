//! All processes of a run: to ask them to end, to kill them, to make them stand still.

use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitStatus};

use super::say;
use crate::sys::cgroup::Groups;
use crate::sys::children::{self, Descendant, Held};

/// How often a tree that grows while it is stopped is gone through.
const FREEZE_ROUNDS: usize = 200;
/// Between two rounds.
const FREEZE_PAUSE: Duration = Duration::from_millis(2);
/// Children that are waited for before something else has its turn.
const REAPS: usize = 1024;
/// Between two kills of what does not end.
const KILL_PAUSE: Duration = Duration::from_millis(20);

/// The processes below the shim, and which of them are not the program's.
pub(super) struct Tree<'a> {
    shim: Pid,
    /// The control groups of all below the shim, where the host lets them have some.
    groups: &'a Groups,
    /// Bubblewrap outside and inside, which hold the sandbox.
    spared: Vec<Held>,
    /// Whether the one inside is the first of a process namespace: none of the others outlives it.
    namespace: bool,
}

/// What waiting for ended children brought.
pub(super) enum Reaped {
    /// No child is left.
    All,
    /// Some are, and none of them has ended.
    Waiting,
    /// Some are, and more may have ended.
    More,
}

impl<'a> Tree<'a> {
    /// The tree below this process; two that are spared are those that hold a sandbox.
    pub(super) fn new(spared: Vec<Held>, groups: &'a Groups) -> Self {
        let namespace = spared.len() > 1;
        Self { shim: rustix::process::getpid(), groups, spared, namespace }
    }

    fn program(&self) -> io::Result<Vec<Descendant>> {
        let mut found = children::below(self.shim)?;
        found.retain(|process| !process.ended && self.spared.iter().all(|held| held.pid() != process.pid));
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
        // Nobody outruns this one. The rest follows in any case: a host may have no groups.
        let at_once = self.groups.kill();
        for held in &self.spared {
            held.signal(Signal::KILL)?;
        }
        // The kernel ends a process namespace with its first process, and to look at all processes of a host takes long.
        if self.namespace { at_once } else { self.signal(Signal::KILL).and(at_once) }
    }

    /// Waits for those who ended, a bounded number of them, and tells each.
    pub(super) fn reap(&mut self, mut tell: impl FnMut(Pid, WaitStatus)) -> io::Result<Reaped> {
        for _ in 0..REAPS {
            match children::reap() {
                Ok(Some((pid, status))) => {
                    // From now on the id may be anybody's.
                    self.spared.retain(|held| held.pid() != pid);
                    tell(pid, status);
                }
                Ok(None) => return Ok(Reaped::Waiting),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Reaped::All),
                Err(error) => return Err(error),
            }
        }
        Ok(Reaped::More)
    }

    /// Kills and waits until nothing is left below the shim. It does not give up: what it cannot end it must not tell as
    /// ended.
    pub(super) fn end(&mut self) {
        loop {
            if let Err(error) = self.kill() {
                say(format_args!("warning: cannot kill the run, and try again: {error}"));
            }
            match self.reap(|_, _| {}) {
                Ok(Reaped::All) => return,
                Ok(Reaped::More) => {}
                Ok(Reaped::Waiting) => std::thread::sleep(KILL_PAUSE),
                Err(error) => {
                    say(format_args!("warning: cannot wait for the run, and try again: {error}"));
                    std::thread::sleep(KILL_PAUSE);
                }
            }
        }
    }

    /// Makes every process stand still and says how many do. It is an error when some do not.
    pub(super) fn freeze(&self) -> io::Result<usize> {
        if let Some(found) = self.groups.freeze()? {
            let holder = |pid: &Pid| self.spared.iter().any(|held| held.pid() == *pid);
            return Ok(found.iter().filter(|pid| !holder(pid)).count());
        }
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
        if self.groups.thaw()? { Ok(()) } else { self.signal(Signal::CONT) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch;
    use std::process::{Command, Stdio};

    #[test]
    #[ignore = "the second process of the test below: it waits for every child there is"]
    fn child_reaps_a_held_process() {
        // What is tried here waits for it.
        #[allow(clippy::zombie_processes)]
        let mut program = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(program.id()).unwrap()).unwrap();
        let groups = Groups::default();
        let mut tree = Tree::new(vec![Held::open(pid).unwrap()], &groups);
        assert!(matches!(tree.reap(|_, _| {}).unwrap(), Reaped::Waiting));
        assert_eq!(tree.spared.len(), 1);
        drop(program.stdin.take());
        let mut ended = Vec::new();
        while !matches!(tree.reap(|pid, _| ended.push(pid)).unwrap(), Reaped::All) {
            std::thread::yield_now();
        }
        assert_eq!(ended, [pid]);
        // Whoever has the id from now on is none of ours.
        assert!(tree.spared.is_empty());
        tree.kill().unwrap();
    }

    #[test]
    fn who_was_waited_for_is_not_signalled_again() {
        assert!(scratch::passes(&mut scratch::child("shim::tree::tests::child_reaps_a_held_process")));
    }
}
