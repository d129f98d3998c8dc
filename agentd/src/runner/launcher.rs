//! The launcher where it is a service of its own: what is asked of it over its socket.

use std::io::{self, Read as _};
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentd_schemas::launch::{Answer, MAX_REQUEST_BYTES, Request};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::sys::rights;

/// How long the service may take to answer. A start waits for systemd, a count for the disk; the daemon's watchdog waits longer.
const PATIENCE: Duration = Duration::from_secs(45);

/// The service, by its socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher(PathBuf);

impl Launcher {
    /// The service behind a socket.
    pub fn at(socket: PathBuf) -> Self {
        Self(socket)
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.0
    }

    /// Whether anybody listens there. One that has no room at the moment does.
    pub fn is_there(&self) -> io::Result<()> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        match rustix::net::connect(&socket, &SocketAddrUnix::new(&self.0)?) {
            Ok(()) | Err(rustix::io::Errno::AGAIN) => Ok(()),
            Err(errno) => {
                let error = io::Error::from(errno);
                Err(io::Error::new(
                    error.kind(),
                    format!("the launcher at {} is not reached: {error}", self.0.display()),
                ))
            }
        }
    }

    /// Asks for something, and waits for the answer. A descriptor may go along, and another one come back.
    pub fn ask(&self, request: &Request, along: Option<BorrowedFd<'_>>) -> io::Result<(Answer, Option<OwnedFd>)> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("the launcher at {} did not answer: {error}", self.0.display()))
        };
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.exchange(&line, along).map_err(named)
    }

    fn exchange(&self, line: &[u8], along: Option<BorrowedFd<'_>>) -> io::Result<(Answer, Option<OwnedFd>)> {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // Before it connects: a full queue would be a wait without end.
        set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(&self.0)?)?;
        let stream = UnixStream::from(socket);
        let mut written = 0;
        while let Some(rest) = line.get(written..).filter(|rest| !rest.is_empty()) {
            let along: Vec<_> = along.filter(|_| written == 0).into_iter().collect();
            written += rights::send(&stream, rest, &along)?;
        }
        stream.shutdown(Shutdown::Write)?;
        receive(stream)
    }

    /// An answer that was not asked for, as an error.
    pub fn unexpected(&self, answer: Answer) -> io::Error {
        match answer {
            Answer::Refused(reason) => io::Error::new(io::ErrorKind::PermissionDenied, reason),
            Answer::Failed(reason) => io::Error::other(reason),
            answer => io::Error::other(format!("the launcher at {} answered {answer:?}", self.0.display())),
        }
    }
}

fn receive(mut stream: UnixStream) -> io::Result<(Answer, Option<OwnedFd>)> {
    let mut line = vec![0; 16 << 10];
    let (length, came) = rights::receive(&stream, &mut line)?;
    line.truncate(length);
    (&mut stream).take(MAX_REQUEST_BYTES as u64).read_to_end(&mut line)?;
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it went away"));
    }
    Ok((serde_json::from_slice(&line)?, came.into_iter().next()))
}
