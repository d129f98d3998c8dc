//! One moment until which all of several waits must be over.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::sys::clock::Clock;

/// The moment, on the boot clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    clock: Clock,
    at: u64,
}

impl Deadline {
    /// This many milliseconds from now.
    pub(super) fn after(ms: u64) -> Self {
        let clock = Clock::system();
        Self { clock, at: clock.boot_ms().saturating_add(ms) }
    }

    fn wait(self, fd: impl AsFd, what: PollFlags) -> io::Result<()> {
        let left = self.at.saturating_sub(self.clock.boot_ms());
        let mut polled = [PollFd::from_borrowed_fd(fd.as_fd(), what)];
        match rustix::event::poll(&mut polled, Some(&millis(left))) {
            Ok(0) => Err(io::ErrorKind::TimedOut.into()),
            // Whoever was interrupted finds nothing yet, and waits again.
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reads what comes until `enough` of it or its end. The descriptor must not block.
    pub(super) fn read(self, fd: impl AsFd, most: usize, enough: impl Fn(&[u8]) -> bool) -> io::Result<Vec<u8>> {
        let (mut text, mut chunk) = (Vec::new(), [0; 4096]);
        while text.len() < most && !enough(&text) {
            self.wait(fd.as_fd(), PollFlags::IN)?;
            let room = chunk.len().min(most - text.len());
            match rustix::io::read(fd.as_fd(), &mut chunk[..room]) {
                Ok(0) => break,
                Ok(length) => text.extend_from_slice(&chunk[..length]),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(text)
    }

    /// Writes everything. The descriptor must not block.
    pub(super) fn write(self, fd: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.wait(fd.as_fd(), PollFlags::OUT)?;
            match rustix::io::write(fd.as_fd(), bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

/// A number of milliseconds, as the kernel takes it.
pub(super) fn millis(ms: u64) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(ms / 1000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(ms % 1000 * 1_000_000).unwrap_or(0),
    }
}
