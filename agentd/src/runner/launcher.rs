//! The launcher where it is a service of its own: what is asked of it over its socket.

use std::io::{self, Read as _};
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentd_schemas::launch::{Answer, MAX_REQUEST_BYTES, Request};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::sys::rights;

/// How long the service may take to answer. A start waits for systemd, a count for the disk; the daemon's watchdog waits longer.
const PATIENCE: Duration = Duration::from_secs(45);

/// How often one that went away is asked, where nothing comes of it twice.
const TRIES: u32 = 100;
/// Between two of these.
const PAUSE: Duration = Duration::from_millis(100);

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

    /// Whether its socket is there. Nobody hears of this: a connection would start a launcher that sleeps.
    pub fn has_socket(&self) -> io::Result<()> {
        match std::fs::metadata(&self.0) {
            Ok(found) if found.file_type().is_socket() => Ok(()),
            Ok(_) => Err(self.not_reached(&io::Error::other("it is no socket"))),
            Err(error) => Err(self.not_reached(&error)),
        }
    }

    /// Whether anybody listens there, for who has work for it: a launcher that sleeps is started. One that has no room at
    /// the moment does.
    pub fn is_there(&self) -> io::Result<()> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        match rustix::net::connect(&socket, &SocketAddrUnix::new(&self.0)?) {
            Ok(()) | Err(rustix::io::Errno::AGAIN) => Ok(()),
            Err(errno) => Err(self.not_reached(&errno.into())),
        }
    }

    fn not_reached(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("the launcher at {} is not reached: {error}", self.0.display()))
    }

    /// Asks for something, and waits for the answer. A descriptor may go along, and another one come back.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] where the request was handed over and may be done yet; [`io::ErrorKind::InvalidData`]
    /// where there is an answer that nobody understands. All others mean that nobody has the request any more.
    pub fn ask(&self, request: &Request, along: Option<BorrowedFd<'_>>) -> io::Result<(Answer, Option<OwnedFd>)> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("the launcher at {} did not answer: {error}", self.0.display()))
        };
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.exchange(&line, along).map_err(named)
    }

    /// The same for what changes nothing: one that goes away, or is not there for a moment, is asked again. That takes a while
    /// where it stays away: only for threads that may wait.
    pub fn ask_until_answered(&self, request: &Request) -> io::Result<(Answer, Option<OwnedFd>)> {
        for _ in 1..TRIES {
            match self.ask(request, None) {
                Err(error) if is_gone(&error) => std::thread::sleep(PAUSE),
                answered => return answered,
            }
        }
        self.ask(request, None)
    }

    fn exchange(&self, line: &[u8], along: Option<BorrowedFd<'_>>) -> io::Result<(Answer, Option<OwnedFd>)> {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // Before it connects: a full queue would be a wait without end.
        set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(&self.0)?)?;
        talk(UnixStream::from(socket), line, along).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                io::Error::new(io::ErrorKind::TimedOut, format!("nothing came within {} s", PATIENCE.as_secs()))
            }
            _ => error,
        })
    }

    /// An answer that was not asked for, as an error.
    pub fn unexpected(&self, answer: Answer) -> io::Error {
        match answer {
            Answer::Refused(reason) => io::Error::new(io::ErrorKind::PermissionDenied, reason),
            Answer::Failed(reason) | Answer::Unavailable(reason) => io::Error::other(reason),
            answer => io::Error::other(format!("the launcher at {} answered {answer:?}", self.0.display())),
        }
    }
}

/// Whether nobody has the request any more.
fn is_gone(error: &io::Error) -> bool {
    !matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::InvalidData)
}

fn talk(stream: UnixStream, line: &[u8], along: Option<BorrowedFd<'_>>) -> io::Result<(Answer, Option<OwnedFd>)> {
    let mut written = 0;
    while let Some(rest) = line.get(written..).filter(|rest| !rest.is_empty()) {
        let along: Vec<_> = along.filter(|_| written == 0).into_iter().collect();
        written += rights::send(&stream, rest, &along)?;
    }
    stream.shutdown(Shutdown::Write)?;
    receive(stream)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::io::Write as _;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_launcher_that_goes_away_is_told_from_one_that_hangs_and_from_one_that_nobody_understands() {
        let scratch = Scratch::new();
        let launcher = Launcher::at(scratch.join("launch.sock"));
        let asked = || launcher.ask(&Request::Probe, None).map(drop).unwrap_err().kind();
        assert_eq!(asked(), io::ErrorKind::NotFound, "there is no socket");
        let listener = UnixListener::bind(scratch.join("launch.sock")).unwrap();
        let table: [(&[u8], io::ErrorKind); 3] = [
            (b"", io::ErrorKind::UnexpectedEof),
            (b"{\"started\":", io::ErrorKind::UnexpectedEof),
            (b"{\"begun\":1}\n", io::ErrorKind::InvalidData),
        ];
        for (answer, expected) in table {
            let told = std::thread::scope(|scope| {
                scope.spawn(|| {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut request = String::new();
                    stream.read_to_string(&mut request).unwrap();
                    stream.write_all(answer).unwrap();
                });
                asked()
            });
            assert_eq!(told, expected, "{}", String::from_utf8_lossy(answer));
        }
        drop(listener);
        assert_eq!(asked(), io::ErrorKind::ConnectionRefused, "nobody listens");
    }

    #[test]
    fn what_changes_nothing_is_asked_again_of_a_launcher_that_went_away() {
        let scratch = Scratch::new();
        let launcher = Launcher::at(scratch.join("launch.sock"));
        let listener = UnixListener::bind(scratch.join("launch.sock")).unwrap();
        let answer = std::thread::scope(|scope| {
            scope.spawn(|| {
                drop(listener.accept().unwrap());
                let (mut stream, _) = listener.accept().unwrap();
                stream.read_to_string(&mut String::new()).unwrap();
                stream.write_all(b"\"absent\"\n").unwrap();
            });
            launcher.ask_until_answered(&Request::Probe)
        });
        assert!(matches!(answer, Ok((Answer::Absent, None))), "{answer:?}");
    }

    #[test]
    fn who_looks_for_the_socket_wakes_nobody() {
        let scratch = Scratch::new();
        let launcher = Launcher::at(scratch.join("launch.sock"));
        let missing = launcher.has_socket().unwrap_err().to_string();
        assert!(missing.contains("launch.sock is not reached: No such file"), "{missing}");
        let listener = UnixListener::bind(scratch.join("launch.sock")).unwrap();
        listener.set_nonblocking(true).unwrap();
        launcher.has_socket().unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "nobody came");
        launcher.is_there().unwrap();
        listener.accept().unwrap();
        std::fs::write(scratch.join("file"), "").unwrap();
        assert!(Launcher::at(scratch.join("file")).has_socket().is_err());
    }
}
