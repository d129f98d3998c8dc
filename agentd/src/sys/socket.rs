//! Listening on a Unix socket with a path.
//!
//! Invariant: nobody connects before the socket has its owner and mode, a live socket is never taken away from the
//! process behind it, and nothing that is not a socket is ever removed.

use rustix::fs::{AtFlags, FileType, Gid, Mode};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Longest path of a socket in bytes: the kernel's `sun_path` less its closing NUL.
pub const PATH_LIMIT_BYTES: usize = 107;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// Who may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Mode 0600: our own user.
    Owner,
    /// Mode 0660: our own user, and a group: the given one, or that of this process.
    Group(Option<u32>),
    /// Mode 0666: every user of the host; the server asks the kernel who it is.
    Everyone,
}

impl Access {
    fn mode(self) -> Mode {
        Mode::from_raw_mode(match self {
            Self::Owner => 0o600,
            Self::Group(_) => 0o660,
            Self::Everyone => 0o666,
        })
    }
}

/// Why the socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The path does not fit into a socket address.
    #[error(
        "socket path {} has {length} bytes, and the kernel takes {PATH_LIMIT_BYTES}; \
         choose a shorter runtime directory, such as one directly below /run",
        path.display()
    )]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// The path is empty or holds a NUL byte.
    #[error("{path:?} is no path for a socket: it is empty or holds a NUL")]
    InvalidPath {
        /// The path.
        path: PathBuf,
    },
    /// A process listens there.
    #[error("another process listens on {}; stop it first", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// Something else has the name.
    #[error("{} exists and is not a socket; move it away", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The socket could not be opened.
    #[error("cannot {action} socket {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
}

/// Whether the path can be that of a socket at all; for configuration that is read long before the socket is bound.
pub fn check_path(path: &Path) -> Result<(), SocketError> {
    address(path).map(drop)
}

fn address(path: &Path) -> Result<SocketAddrUnix, SocketError> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() > PATH_LIMIT_BYTES {
        return Err(SocketError::PathTooLong { path: path.to_owned(), length: bytes.len() });
    }
    let invalid = || SocketError::InvalidPath { path: path.to_owned() };
    // An empty path would ask the kernel for an abstract name of its choice.
    if bytes.is_empty() {
        return Err(invalid());
    }
    SocketAddrUnix::new(path).map_err(|_| invalid())
}

/// Listens on `path`. A socket left there by a process that is gone is replaced.
///
/// The caller holds the lock of the directory that the path belongs to, so that no second daemon does the same at this
/// moment, and the directory is not writable by others. The listener does not block and is closed on exec.
pub fn listen(path: &Path, access: Access) -> Result<UnixListener, SocketError> {
    let address = address(path)?;
    remove_stale(path, &address)?;
    let failed = |action| io_error(action, path);
    let socket = stream().map_err(failed("create"))?;
    // The kernel makes the name with this mode less the umask: never wider than asked, at no moment.
    rustix::fs::fchmod(&socket, access.mode()).map_err(failed("set the mode of"))?;
    rustix::net::bind(&socket, &address).map_err(|errno| match errno {
        Errno::ADDRINUSE => SocketError::InUse { path: path.to_owned() },
        errno => io_error("bind", path)(errno),
    })?;
    if let Access::Group(Some(gid)) = access {
        rustix::fs::chown(path, None, Some(Gid::from_raw(gid))).map_err(failed("set the group of"))?;
    }
    rustix::fs::chmod(path, access.mode()).map_err(failed("set the mode of"))?;
    // Before this, every connection is refused.
    rustix::net::listen(&socket, BACKLOG).map_err(failed("listen on"))?;
    Ok(socket.into())
}

/// Removes a socket that nobody listens on.
fn remove_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), SocketError> {
    let found = rustix::fs::statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW);
    let stat = match found {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(io_error("inspect", path)(errno)),
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(SocketError::NotASocket { path: path.to_owned() });
    }
    let probe = stream().map_err(io_error("create a probe for", path))?;
    match rustix::net::connect(&probe, address) {
        Err(Errno::CONNREFUSED) => rustix::fs::unlink(path).map_err(io_error("remove stale", path)),
        // Accepted, a full queue, or a socket of another type: somebody is there.
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => Err(SocketError::InUse { path: path.to_owned() }),
        Err(errno) => Err(io_error("probe", path)(errno)),
    }
}

fn stream() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(Errno) -> SocketError {
    let path = path.to_owned();
    move |errno| SocketError::Io { action, path, source: errno.into() }
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;
    use std::ffi::OsStr;
    use std::fs;
    use std::io::{Read, Write};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::net::{UnixDatagram, UnixStream};
    use std::process::Command;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_client_is_heard_and_the_mode_is_the_one_asked_for() {
        let scratch = Scratch::new();
        let gid = super::super::process::effective_gid();
        let table = [
            (Access::Owner, 0o600),
            (Access::Group(None), 0o660),
            (Access::Group(Some(gid)), 0o660),
            (Access::Everyone, 0o666),
        ];
        for (access, expected) in table {
            let path = scratch.join(&format!("{expected:o}"));
            let listener = listen(&path, access).unwrap();
            assert_eq!(mode(&path), expected, "{access:?}");
            assert_eq!(fs::metadata(&path).unwrap().gid(), gid);
            let mut client = UnixStream::connect(&path).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            client.write_all(b"hello").unwrap();
            drop(client);
            let mut heard = String::new();
            server.read_to_string(&mut heard).unwrap();
            assert_eq!(heard, "hello");
            drop(listener);
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn the_listener_does_not_block() {
        let scratch = Scratch::new();
        let listener = listen(&scratch.join("s"), Access::Owner).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_socket_of_a_process_that_is_gone_is_replaced() {
        let scratch = Scratch::new();
        let path = scratch.join("s");
        let script = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()";
        assert!(Command::new("python3").args(["-c", script]).arg(&path).status().unwrap().success());
        let listener = listen(&path, Access::Owner).unwrap();
        UnixStream::connect(&path).unwrap();
        listener.accept().unwrap();
    }

    #[test]
    fn a_live_socket_is_left_alone_even_when_its_queue_is_full() {
        let scratch = Scratch::new();
        let path = scratch.join("s");
        let live = stream().unwrap();
        rustix::net::bind(&live, &address(&path).unwrap()).unwrap();
        rustix::net::listen(&live, 0).unwrap();
        let mut waiting = Vec::new();
        for round in 0..3 {
            let error = listen(&path, Access::Owner).unwrap_err();
            assert!(matches!(error, SocketError::InUse { .. }), "round {round}: {error:?}");
            let client = stream().unwrap();
            let _ = rustix::net::connect(&client, &address(&path).unwrap());
            waiting.push(client);
        }
        assert!(path.exists());

        let datagram = scratch.join("d");
        let _live = UnixDatagram::bind(&datagram).unwrap();
        let error = listen(&datagram, Access::Owner).unwrap_err();
        assert!(matches!(error, SocketError::InUse { .. }), "{error:?}");
    }

    #[test]
    fn what_is_not_a_socket_is_never_removed() {
        let scratch = Scratch::new();
        let (file, link, stale) = (scratch.join("file"), scratch.join("link"), scratch.join("stale"));
        fs::write(&file, "precious").unwrap();
        drop(listen(&stale, Access::Owner).unwrap());
        std::os::unix::fs::symlink(&stale, &link).unwrap();
        for path in [&file, &link] {
            let error = listen(path, Access::Owner).unwrap_err();
            assert!(matches!(&error, SocketError::NotASocket { path: named } if named == path), "{error:?}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
        assert!(link.is_symlink() && stale.exists());
    }

    #[test]
    fn the_longest_path_works_and_one_byte_more_is_explained() {
        let scratch = Scratch::new();
        let room = PATH_LIMIT_BYTES - scratch.path().as_os_str().len() - 1;
        let longest = scratch.join(&"x".repeat(room));
        check_path(&longest).unwrap();
        let listener = listen(&longest, Access::Owner).unwrap();
        UnixStream::connect(&longest).unwrap();
        listener.accept().unwrap();

        let longer = scratch.join(&"x".repeat(room + 1));
        let text = listen(&longer, Access::Owner).unwrap_err().to_string();
        for part in [longer.to_str().unwrap(), "108 bytes", "107", "below /run"] {
            assert!(text.contains(part), "{part:?} not in {text:?}");
        }
        assert!(!longer.exists());
    }

    #[test]
    fn an_empty_path_and_a_nul_are_refused() {
        for bytes in [b"".as_slice(), b"/run/a\0b", b"\0abstract"] {
            let path = Path::new(OsStr::from_bytes(bytes));
            assert!(matches!(check_path(path), Err(SocketError::InvalidPath { .. })), "{path:?}");
        }
    }

    #[test]
    fn a_missing_directory_is_an_error_that_names_the_path() {
        let scratch = Scratch::new();
        let error = listen(&scratch.join("no/s"), Access::Owner).unwrap_err();
        assert!(matches!(error, SocketError::Io { action: "bind", .. }), "{error:?}");
        assert!(error.to_string().contains("no/s"), "{error}");
    }
}
