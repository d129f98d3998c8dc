//! Who is at the other end of a Unix socket, as the kernel recorded it when the connection was made.
//!
//! Nothing here comes from a message. The process may have changed or ended since; the pidfd, where the kernel gives
//! one, still names that process and no other.

use rustix::io::Errno;
use rustix::process::Pid;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::children::Held;

/// Supplementary groups asked for at first; few users have more.
const GROUPS_GUESS: usize = 32;
/// The kernel's own limit (`NGROUPS_MAX`).
const GROUPS_LIMIT: usize = 65_536;
/// Linux answers this for a uid or gid that has no mapping or no process.
const NOBODY_AT_ALL: u32 = u32::MAX;

/// Why the peer is unknown.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The descriptor is a Unix socket without a peer, or another kind of socket.
    #[error("the socket has no peer on this machine; only a connected unix socket tells who is there")]
    NotConnected,
    /// The kernel reports more groups than it allows a process.
    #[error("the peer is in more than {GROUPS_LIMIT} groups")]
    TooManyGroups,
    /// The kernel did not answer.
    #[error("cannot read the peer's {fact}")]
    Io {
        /// What was asked.
        fact: &'static str,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
}

/// The process that connected.
#[derive(Debug)]
pub struct Peer {
    /// Effective user id, in our user namespace.
    pub uid: u32,
    /// Effective group id, in our user namespace.
    pub gid: u32,
    /// Process id; `None` when the process is outside our pid namespace.
    pub pid: Option<u32>,
    /// Supplementary groups, ascending, without repeats; `gid` is not always among them.
    pub groups: Vec<u32>,
    /// A descriptor of that very process; `None` before Linux 6.5 or when it has ended.
    pub pidfd: Option<OwnedFd>,
    /// It has ended and was waited for: its id may be another's.
    pub gone: bool,
}

impl Peer {
    /// Asks the kernel about the peer of a connected Unix stream.
    pub fn of(socket: impl AsFd) -> Result<Self, PeerError> {
        let socket = socket.as_fd();
        let (pid, uid, gid) = credentials(socket)?;
        let (pidfd, gone) = pidfd(socket)?;
        Ok(Self { uid, gid, pid, groups: groups(socket)?, pidfd, gone })
    }

    /// Holds the process that connected, where the kernel gave a descriptor of it.
    pub fn held(&self) -> Option<Held> {
        let pid = self.pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw)?;
        Some(Held::with(pid, self.pidfd.as_ref()?.try_clone().ok()?))
    }

    /// Whether the peer is in a group, by its effective or a supplementary group.
    pub fn is_in_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.binary_search(&gid).is_ok()
    }
}

/// `SO_PEERCRED`: a struct of pid, uid and gid.
fn credentials(socket: BorrowedFd<'_>) -> Result<(Option<u32>, u32, u32), PeerError> {
    let mut words = [0; 3];
    let (result, _) = get_option(socket, libc::SO_PEERCRED, &mut words);
    result.map_err(|source| PeerError::Io { fact: "credentials", source })?;
    let [pid, uid, gid] = words;
    if uid == NOBODY_AT_ALL {
        return Err(PeerError::NotConnected);
    }
    Ok(((pid != 0).then_some(pid), uid, gid))
}

/// `SO_PEERGROUPS`: an array of gids; when it does not fit, `ERANGE` and the length that would.
fn groups(socket: BorrowedFd<'_>) -> Result<Vec<u32>, PeerError> {
    let mut words = vec![0; GROUPS_GUESS];
    let (mut result, mut length) = get_option(socket, libc::SO_PEERGROUPS, &mut words);
    if is(&result, Errno::RANGE) {
        if length > GROUPS_LIMIT {
            return Err(PeerError::TooManyGroups);
        }
        words.resize(length, 0);
        (result, length) = get_option(socket, libc::SO_PEERGROUPS, &mut words);
    }
    if is(&result, Errno::NODATA) {
        return Err(PeerError::NotConnected);
    }
    result.map_err(|source| PeerError::Io { fact: "groups", source })?;
    words.truncate(length);
    words.sort_unstable();
    words.dedup();
    Ok(words)
}

/// `SO_PEERPIDFD`: a new descriptor, close-on-exec. Not there on old kernels, nor once the process has been reaped, which
/// is told too.
#[allow(unsafe_code)]
fn pidfd(socket: BorrowedFd<'_>) -> Result<(Option<OwnedFd>, bool), PeerError> {
    let mut words = [0];
    let (result, _) = get_option(socket, libc::SO_PEERPIDFD, &mut words);
    if is(&result, Errno::NOPROTOOPT) {
        return Ok((None, false));
    }
    if [Errno::NODATA, Errno::SRCH, Errno::INVAL].into_iter().any(|errno| is(&result, errno)) {
        return Ok((None, true));
    }
    result.map_err(|source| PeerError::Io { fact: "pidfd", source })?;
    let fd = RawFd::try_from(words[0]).map_err(|_| PeerError::Io {
        fact: "pidfd",
        source: io::Error::other("the kernel answered with a negative descriptor"),
    })?;
    // SAFETY: the call succeeded, so the kernel has just opened this descriptor for us and nobody else owns it.
    Ok((Some(unsafe { OwnedFd::from_raw_fd(fd) }), false))
}

fn is(result: &io::Result<()>, errno: Errno) -> bool {
    matches!(result, Err(error) if error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Reads a socket option made of 32-bit words into `words`. Also gives the length in words that the kernel reports,
/// which on `ERANGE` is the length it wants.
#[allow(unsafe_code)]
fn get_option(socket: BorrowedFd<'_>, option: libc::c_int, words: &mut [u32]) -> (io::Result<()>, usize) {
    let Ok(mut length) = libc::socklen_t::try_from(size_of_val(words)) else {
        return (Err(Errno::INVAL.into()), 0);
    };
    // SAFETY: `words` is writable for `length` bytes, any bit pattern is a valid u32, and `length` outlives the call.
    let code = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, words.as_mut_ptr().cast(), &raw mut length)
    };
    let result = if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    (result, usize::try_from(length).unwrap_or(usize::MAX) / size_of::<u32>())
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;
    use rustix::process::{Signal, pidfd_send_signal};
    use std::collections::BTreeSet;
    use std::fs::File;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::process::{Command, Stdio};

    fn own_groups() -> Vec<u32> {
        let groups: BTreeSet<u32> =
            rustix::process::getgroups().unwrap().into_iter().map(rustix::fs::Gid::as_raw).collect();
        groups.into_iter().collect()
    }

    #[test]
    fn the_peer_of_a_socket_pair_is_this_process() {
        let (here, _there) = UnixStream::pair().unwrap();
        let peer = Peer::of(&here).unwrap();
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        assert_eq!(peer.gid, rustix::process::getegid().as_raw());
        assert_eq!(peer.pid, Some(std::process::id()));
        assert_eq!(peer.groups, own_groups());
        assert!(peer.is_in_group(peer.gid));
    }

    #[test]
    fn group_membership_is_by_effective_and_by_supplementary_group() {
        let peer = Peer { uid: 1, gid: 100, pid: None, groups: vec![4, 27, 1000], pidfd: None, gone: false };
        let members: Vec<u32> = [0, 4, 27, 99, 100, 999, 1000].into_iter().filter(|g| peer.is_in_group(*g)).collect();
        assert_eq!(members, [4, 27, 100, 1000]);
    }

    #[test]
    fn another_process_is_named_and_its_pidfd_follows_its_end() {
        let scratch = Scratch::new();
        let path = scratch.join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let script = "import socket, sys\n\
            s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'x'); sys.stdin.read()";
        let mut child = Command::new("python3").args(["-c", script]).arg(&path).stdin(Stdio::piped()).spawn().unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0]).unwrap();
        let peer = Peer::of(&stream).unwrap();
        assert_eq!(peer.pid, Some(child.id()));
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        assert_eq!(peer.groups, own_groups());

        if let Some(pidfd) = peer.pidfd {
            // A process that is not stopped takes no notice of being continued.
            assert_eq!(pidfd_send_signal(&pidfd, Signal::CONT), Ok(()));
            drop(child.stdin.take());
            child.wait().unwrap();
            assert_eq!(pidfd_send_signal(&pidfd, Signal::CONT), Err(Errno::SRCH));
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        // A peer that is gone is still known by what the kernel recorded.
        assert_eq!(Peer::of(&stream).unwrap().pid, Some(child.id()));
    }

    #[test]
    fn a_peer_in_a_thousand_groups_is_read_whole() {
        let scratch = Scratch::new();
        let path = scratch.join("s");
        let listener = UnixListener::bind(&path).unwrap();
        // Who may not join groups says so, and is in ours.
        let script = "import os, socket, sys\n\
            joined = b'y'\n\
            try: os.setgroups(range(70999, 69999, -1))\n\
            except OSError: joined = b'n'\n\
            s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(joined); sys.stdin.read()";
        let mut child = Command::new("python3").args(["-c", script]).arg(&path).stdin(Stdio::piped()).spawn().unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let mut joined = [0];
        stream.read_exact(&mut joined).unwrap();
        let expected = if joined == *b"y" { (70_000..71_000).collect() } else { own_groups() };
        assert_eq!(Peer::of(&stream).unwrap().groups, expected);
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn what_has_no_peer_is_refused() {
        let scratch = Scratch::new();
        let unconnected = rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None);
        assert!(matches!(Peer::of(unconnected.unwrap()), Err(PeerError::NotConnected)));

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(matches!(Peer::of(&tcp), Err(PeerError::NotConnected)));

        let file = File::create(scratch.join("file")).unwrap();
        assert!(matches!(Peer::of(&file), Err(PeerError::Io { fact: "credentials", .. })));
    }
}
