//! Descriptors that go from one program to the next.

use std::io;
use std::os::fd::{AsFd, FromRawFd as _, OwnedFd, RawFd};

use rustix::io::FdFlags;

/// Has the program that is started next, or that this one becomes, inherit a descriptor.
pub fn leave_open(descriptor: impl AsFd) -> io::Result<()> {
    Ok(rustix::io::fcntl_setfd(descriptor, FdFlags::empty())?)
}

/// Takes a descriptor that whoever started this process left open for it, once; no other program inherits it from here on.
/// Standard streams and what is not open are refused.
#[allow(unsafe_code)]
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the call takes three integers and sets a flag of a descriptor of this process, where it is one.
    if number <= 2 || unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::ErrorKind::NotFound.into());
    }
    // SAFETY: it is open, and a number that came from outside is nobody's in this process: the caller takes it first of
    // all, before anything is opened here.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_streams_and_what_is_not_open_are_refused() {
        for number in [-1, 0, 1, 2, 1_000_000] {
            assert!(inherited(number).is_err(), "{number}");
        }
    }
}
