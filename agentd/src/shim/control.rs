//! The control socket: one line in, one line out, one caller at a time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use agentd_schemas::launch::{MAX_CONTROL_BYTES, StopCause};

use super::deadline::Deadline;
use super::{ShimError, system};
use crate::sys::lineage::{Standing, standing};
use crate::sys::peer::Peer;
use crate::sys::process::effective_uid;
use crate::sys::socket::{self, Access};

/// How long a caller may take for its line, however many pieces it comes in. Output waits as long.
const PATIENCE_MS: u64 = 500;

/// What the shim is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// End the program.
    Stop(StopCause),
    /// Make it stand still.
    Freeze,
    /// Let it go on.
    Thaw,
    /// Let its time stand still, while it goes on.
    Pause,
    /// Let its time go on.
    Resume,
}

/// The socket that the shim listens on.
pub(super) struct Control {
    listener: UnixListener,
    /// Whose the folder of the run is: the daemon's user.
    daemon: u32,
}

impl Control {
    /// Listens in a record, which is in the folder of its run.
    pub(super) fn listen(path: &Path) -> Result<Self, ShimError> {
        let above = path.ancestors().nth(2).unwrap_or(path);
        let daemon = std::fs::metadata(above).map_err(system("look at the run's folder"))?.uid();
        let listener = socket::listen(path, Access::Group(None));
        let listener = listener.map_err(|error| ShimError::NotStarted(error.to_string()))?;
        Ok(Self { listener, daemon })
    }

    /// Takes what a caller asks for and gives the answer of `act` back.
    pub(super) fn serve(&self, act: impl FnOnce(Request) -> Result<String, String>) -> io::Result<()> {
        let (caller, _) = self.listener.accept()?;
        caller.set_nonblocking(true)?;
        let answer = match request(&caller, self.daemon) {
            Ok(request) => {
                act(request).map_or_else(|reason| format!("error {reason}\n"), |done| format!("ok {done}\n"))
            }
            Err(reason) => format!("error {reason}\n"),
        };
        Deadline::after(PATIENCE_MS).write(&caller, answer.as_bytes())
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

fn request(caller: &UnixStream, daemon: u32) -> Result<Request, String> {
    let peer = Peer::of(caller).map_err(|error| error.to_string())?;
    let is_master = peer.uid == 0 || (peer.uid == daemon && daemon != effective_uid());
    if peer.uid != effective_uid() && !is_master {
        return Err(format!("uid {} may not control this run", peer.uid));
    }
    // Where nothing hides the socket, a program of the same user finds it: its own, and that of other runs.
    if !is_master && standing(&peer) != Standing::Outside {
        return Err("a run may control no run, and who has ended is taken for one".to_owned());
    }
    let deadline = Deadline::after(PATIENCE_MS);
    let text = deadline.read(caller, MAX_CONTROL_BYTES + 1, |text| text.contains(&b'\n'));
    let text = text.map_err(|error| format!("no whole line came: {error}"))?;
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    parse(line).ok_or_else(|| "not a request: stop CAUSE, freeze, thaw, pause or resume".to_owned())
}

fn parse(line: &[u8]) -> Option<Request> {
    match std::str::from_utf8(line).ok()?.split(' ').collect::<Vec<_>>().as_slice() {
        ["stop", cause] => StopCause::parse(cause).map(Request::Stop),
        ["freeze"] => Some(Request::Freeze),
        ["thaw"] => Some(Request::Thaw),
        ["pause"] => Some(Request::Pause),
        ["resume"] => Some(Request::Resume),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_request_or_nothing() {
        let table = [
            ("stop cancelled", Some(Request::Stop(StopCause::Cancelled))),
            ("stop lease_lost", Some(Request::Stop(StopCause::LeaseLost))),
            ("freeze", Some(Request::Freeze)),
            ("thaw", Some(Request::Thaw)),
            ("pause", Some(Request::Pause)),
            ("resume", Some(Request::Resume)),
            ("stop", None),
            ("stop now", None),
            ("freeze ", None),
            ("Freeze", None),
            ("", None),
        ];
        for (line, expected) in table {
            assert_eq!(parse(line.as_bytes()), expected, "{line:?}");
        }
    }
}
