//! Sockets that the service manager opened for this process and passed to it by name: `sd_listen_fds(3)`.
//!
//! Invariant: what comes out of here listens, is a Unix stream socket with a path, has one of the names that were asked
//! for, and no program that this process starts inherits it. It is the manager's: nobody here removes its path.

use super::descriptor;
use super::env::{self, NotUtf8};
use rustix::net::{AddressFamily, SocketType, sockopt};
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

const PROCESS: &str = "LISTEN_PID";
const COUNT: &str = "LISTEN_FDS";
const NAMES: &str = "LISTEN_FDNAMES";
/// The first descriptor that a manager passes.
const FIRST: RawFd = 3;
/// Descriptors that a manager passes, at most.
const MAX_PASSED: RawFd = 64;

/// Why the sockets that were passed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PassedError {
    /// A variable is not text.
    #[error(transparent)]
    NotUtf8(#[from] NotUtf8),
    /// A variable holds no number that makes sense.
    #[error("{variable} is {value:?}: it has to be a number from 0 to {MAX_PASSED}")]
    Number {
        /// Which.
        variable: &'static str,
        /// What it holds.
        value: String,
    },
    /// Nobody here knows what to do with it.
    #[error(
        "the service manager passes a socket with the name {name:?}, and agentd knows {known}; \
         give it one of them with FileDescriptorName= in its socket unit"
    )]
    Unknown {
        /// Its name.
        name: String,
        /// Those there are.
        known: String,
    },
    /// Two have the same name.
    #[error("the service manager passes two sockets with the name {name:?}; let one ListenStream= have it")]
    Twice {
        /// The name.
        name: String,
    },
    /// It is not what it has to be.
    #[error("the socket {name:?} that the service manager passes {lacks}; use ListenStream=/PATH and Accept=no")]
    Unfit {
        /// Its name.
        name: String,
        /// What it lacks.
        lacks: &'static str,
    },
    /// The system refused something.
    #[error("the socket {name:?} that the service manager passes cannot be used")]
    Io {
        /// Its name.
        name: String,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
}

/// A socket that was passed.
#[derive(Debug)]
pub struct Passed {
    /// Its name.
    pub name: &'static str,
    /// Where it listens.
    pub path: PathBuf,
    /// It does not block, and is closed on exec.
    pub listener: UnixListener,
}

/// Takes what was passed to this process, first of all: before anything else is opened here.
pub fn take(known: &'static [&'static str]) -> Result<Vec<Passed>, PassedError> {
    let number = |variable, most: u32| {
        let Some(value) = env::var(variable)? else { return Ok(None) };
        match value.parse::<u32>() {
            Ok(number) if number <= most => Ok(Some(number)),
            _ => Err(PassedError::Number { variable, value }),
        }
    };
    // They may be meant for who started us.
    if number(PROCESS, u32::MAX)? != Some(std::process::id()) {
        return Ok(Vec::new());
    }
    let count = number(COUNT, MAX_PASSED.unsigned_abs())?.unwrap_or(0);
    let names = env::var(NAMES)?.unwrap_or_default();
    let mut names = names.split(':').filter(|name| !name.is_empty());
    let mut found: Vec<Passed> = Vec::new();
    for descriptor in (FIRST..).take(usize::try_from(count).unwrap_or(0)) {
        let name = names.next().unwrap_or("unknown");
        let unknown = || PassedError::Unknown { name: name.to_owned(), known: known.join(", ") };
        let name = *known.iter().find(|known| **known == name).ok_or_else(unknown)?;
        if found.iter().any(|passed| passed.name == name) {
            return Err(PassedError::Twice { name: name.to_owned() });
        }
        let failed = |source| PassedError::Io { name: name.to_owned(), source };
        found.push(checked(name, descriptor::inherited(descriptor).map_err(failed)?)?);
    }
    Ok(found)
}

fn checked(name: &'static str, socket: OwnedFd) -> Result<Passed, PassedError> {
    let failed = |source| PassedError::Io { name: name.to_owned(), source };
    let unfit = |lacks| PassedError::Unfit { name: name.to_owned(), lacks };
    let is = |found: rustix::io::Result<bool>| found.map_err(|errno| failed(errno.into()));
    if !is(sockopt::socket_domain(&socket).map(|domain| domain == AddressFamily::UNIX))? {
        return Err(unfit("is no Unix socket"));
    }
    if !is(sockopt::socket_type(&socket).map(|kind| kind == SocketType::STREAM))?
        || !is(sockopt::socket_acceptconn(&socket))?
    {
        return Err(unfit("does not listen for streams"));
    }
    let listener = UnixListener::from(socket);
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let path = address.as_pathname().ok_or_else(|| unfit("has no path"))?.to_owned();
    Ok(Passed { name, path, listener })
}

#[cfg(test)]
mod tests {
    use super::super::scratch::{self, Scratch};
    use super::*;
    use std::process::Command;

    /// Starts `child` with descriptors 3 and 4 as a manager passes them, made by `python` code that knows `path`.
    fn passed(child: &str, path: &std::path::Path, make: &str, names: &str, count: &str) -> bool {
        let script = format!(
            "import os, socket, sys\n\
             def put(s, n): os.dup2(s.detach(), n); os.set_inheritable(n, True)\n\
             def at(name, kind=socket.SOCK_STREAM):\n s = socket.socket(socket.AF_UNIX, kind)\n s.bind(sys.argv[1] + name)\n return s\n\
             {make}\n\
             os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='{count}', LISTEN_FDNAMES='{names}')\n\
             os.execvp(sys.argv[2], sys.argv[2:])"
        );
        let own = scratch::child(child);
        let mut command = Command::new("python3");
        command.args(["-c", &script]).arg(path.join("s")).arg(own.get_program()).args(own.get_args());
        scratch::passes(command.env("AGENTD_TEST_PATH", path))
    }

    const TWO: &str =
        "a = at('a'); a.listen(); b = at('b'); b.listen(); put(b, 40); put(a, 3); os.dup2(40, 4); os.close(40)";

    #[test]
    fn what_was_passed_is_taken_by_its_name_and_serves() {
        let scratch = Scratch::new();
        assert!(passed("sys::passed::tests::child_takes_two", scratch.path(), TWO, "control:agents", "2"));
        assert!(scratch.join("sa").exists(), "the manager's socket stays");
    }

    #[test]
    #[ignore = "the second process of `what_was_passed_is_taken_by_its_name_and_serves`"]
    fn child_takes_two() {
        let folder = PathBuf::from(env::var("AGENTD_TEST_PATH").unwrap().unwrap());
        let found = take(&["agents", "control"]).unwrap();
        let names: Vec<_> = found.iter().map(|passed| (passed.name, passed.path.clone())).collect();
        assert_eq!(names, [("control", folder.join("sa")), ("agents", folder.join("sb"))]);
        for passed in &found {
            assert_eq!(passed.listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
            let _client = std::os::unix::net::UnixStream::connect(&passed.path).unwrap();
            passed.listener.accept().unwrap();
            let flags = rustix::io::fcntl_getfd(&passed.listener).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let child = "sys::passed::tests::child_is_refused";
        for (make, names, count) in [
            (TWO, "control:other", "2"),
            (TWO, "control:control", "2"),
            (TWO, "control", "2"),
            (TWO, "control:agents", "65"),
            (TWO, "control:agents", "-1"),
            ("put(at('a'), 3)", "control", "1"),
            ("put(at('a', socket.SOCK_DGRAM), 3)", "control", "1"),
            ("put(socket.socket(), 3)", "control", "1"),
            (
                "s = socket.socket(socket.AF_UNIX); s.bind('\\0agentd-%d' % os.getpid()); s.listen(); put(s, 3)",
                "control",
                "1",
            ),
            ("pass", "control", "1"),
        ] {
            let scratch = Scratch::new();
            assert!(passed(child, scratch.path(), make, names, count), "{make} {names} {count}");
        }
    }

    #[test]
    #[ignore = "the second process of `what_cannot_be_used_is_named`"]
    fn child_is_refused() {
        let error = take(&["agents", "control"]).unwrap_err();
        assert!(!matches!(error, PassedError::NotUtf8(_)), "{error}");
    }

    #[test]
    fn what_was_passed_to_another_process_is_left_alone() {
        let child = "sys::passed::tests::child_has_nothing";
        assert!(scratch::passes(scratch::child(child).env(PROCESS, "1").env(COUNT, "2").env(NAMES, "x:y")));
        assert!(scratch::passes(scratch::child(child).env_remove(PROCESS).env_remove(COUNT)));
    }

    #[test]
    #[ignore = "the second process of `what_was_passed_to_another_process_is_left_alone`"]
    fn child_has_nothing() {
        assert!(take(&["control"]).unwrap().is_empty());
    }
}
