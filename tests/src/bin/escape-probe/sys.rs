//! The few raw helpers that the attempts share.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// A system call by its name, with its error as an `io::Error`.
macro_rules! call {
    ($number:ident $(, $argument:expr)* $(,)?) => {
        // SAFETY: every pointer that is passed is null or outlives the call; the kernel checks the rest.
        $crate::sys::answer(unsafe { libc::syscall(libc::$number $(, $argument)*) })
    };
}
pub(crate) use call;

/// The answer of a call in the way of C.
pub(crate) fn answer(code: impl Into<libc::c_long>) -> io::Result<libc::c_long> {
    let code = code.into();
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(code) }
}

/// The descriptor that a call returned, closed in the end.
pub(crate) fn owned(number: libc::c_long) -> io::Result<OwnedFd> {
    let number = i32::try_from(number).map_err(io::Error::other)?;
    // SAFETY: the call that returned it just now opened it for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A path for C. An argument of a program has no zero byte in it.
pub(crate) fn c_path(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).unwrap_or_default()
}

/// Opens for writing, and does nothing that changes the file: no creation, no truncation.
pub(crate) fn open_for_writing(path: impl AsRef<Path>) -> io::Result<File> {
    OpenOptions::new().write(true).custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK).open(path)
}

/// Opens for reading, without becoming anybody's terminal and without waiting.
pub(crate) fn open_for_reading(path: impl AsRef<Path>) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK).open(path)
}

/// Our process id.
pub(crate) fn pid() -> u32 {
    std::process::id()
}
