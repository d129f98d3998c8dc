//! Signals as a descriptor that can be polled, for processes that are one loop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::Signal;

/// Holds back no signal any longer. It may be called between fork and exec.
#[allow(unsafe_code)]
pub fn unblock() {
    // SAFETY: the set is a plain value that `sigemptyset` initialises before it is read; the pointers live through the calls.
    unsafe {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// Blocked signals of this process, readable one by one.
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Blocks `signals` in this thread, which must be the only one, and reads them from a descriptor from now on.
    /// Programs that are started with it begin with nothing blocked where [`unblock`] was called in between.
    #[allow(unsafe_code)]
    pub fn new(signals: &[Signal]) -> io::Result<Self> {
        // SAFETY: the set is a plain value that `sigemptyset` initialises before it is read; all pointers are to it and
        // live through the calls; the descriptor that `signalfd` gives is new and owned by nobody else.
        unsafe {
            let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
            libc::sigemptyset(set.as_mut_ptr());
            for signal in signals {
                libc::sigaddset(set.as_mut_ptr(), signal.as_raw());
            }
            if libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let fd = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(OwnedFd::from_raw_fd(fd))) }
        }
    }

    /// The next signal that came, if one did. Several of one kind may be told as one.
    pub fn next(&self) -> io::Result<Option<Signal>> {
        /// `signalfd_siginfo` is 128 bytes and begins with the signal's number (signalfd(2)).
        const RECORD: usize = 128;
        let mut record = [0; RECORD];
        match rustix::io::read(&self.0, &mut record) {
            Ok(RECORD) => {
                let number = i32::from_ne_bytes([record[0], record[1], record[2], record[3]]);
                Ok(Signal::from_named_raw(number))
            }
            Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(rustix::io::Errno::AGAIN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
