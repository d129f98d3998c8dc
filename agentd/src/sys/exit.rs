//! The end of a process, waited for without a thread: of a child, and of a process that is somebody else's.

use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A process whose end is waited for.
#[derive(Debug)]
pub struct Exit(AsyncFd<OwnedFd>);

impl Exit {
    /// Of a process that is there; needs a runtime. A pidfd is readable once its process ended (pidfd_open(2)).
    #[allow(unsafe_code)]
    pub fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
        let fd = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK).ok()?;
        // SAFETY: the descriptor is owned by the value that it is registered with, and closed by nothing else.
        unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.ok().map(Self)
    }

    /// Waits for the end. It may be called again, and may come back when nothing ended: look then.
    pub async fn gone(&self) {
        if self.0.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_child_is_seen_and_seen_again() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let exit = Exit::of(child.id()).unwrap();
        exit.gone().await;
        exit.gone().await;
        assert!(child.wait().unwrap().success());
    }
}
