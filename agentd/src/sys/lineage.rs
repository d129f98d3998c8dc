//! Whether a process is below another or below any shim, so that no reused id is taken for either.

use std::io;

use rustix::process::Pid;

use super::children::{Held, ancestor, parent};
use super::peer::Peer;

/// Generations that are walked up. A chain of processes is no longer than the tasks that a run may have.
const GENERATIONS: usize = 16_384;
/// How often the way up is walked anew because a parent ended on it.
const TRIES: usize = 16;

/// Whether the process at the other end of a socket is below `root`. Both live at the end of the look; who has ended is
/// below nobody.
///
/// A subreaper keeps all that is below it, so the answer stays true as long as `root` lives.
pub fn is_below(peer: &Peer, root: &Held) -> bool {
    let Some(pid) = peer.pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) else { return false };
    let held = match &peer.pidfd {
        Some(fd) => fd.try_clone().map(|fd| Held::with(pid, fd)),
        None if peer.gone => return false,
        // Before Linux 6.5: whoever has the id now.
        None => Held::open(pid),
    };
    let Ok(held) = held else { return false };
    for _ in 0..TRIES {
        let Some(way) = way_up(pid, root.pid()) else { return false };
        // A parent that is still the parent has not ended, so its id was nobody else's while it was asked for its own.
        if way_up(pid, root.pid()).as_ref() == Some(&way) {
            return held.lives() && root.lives();
        }
    }
    false
}

/// What each shim calls itself (proc_pid_comm(5)). Nobody else can give a process its name: a run that does so for one of
/// its own shuts that out, and no other.
const SHIM_NAME: &std::ffi::CStr = c"agentd-shim";

/// Gives this process the name that a shim has.
pub fn call_this_a_shim() -> io::Result<()> {
    Ok(rustix::thread::set_name(SHIM_NAME)?)
}

/// Where a process stands to the runs of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A shim is above it that is not above this process too: it is of a run.
    OfARun,
    /// No shim is above it.
    Outside,
    /// It has ended, or its parents end faster than they are looked at.
    Unknown,
}

/// Whether the process at the other end of a socket is of a run, whichever run and step that is: told from the names of
/// those above it, so that it is true from the first instruction of a program, and of what a run that is over left.
///
/// A process that ended could have been anybody: who has the connection of it now is not known.
pub fn standing(peer: &Peer) -> Standing {
    // Another pid namespace than ours or one below it: all that is below a shim is in ours.
    let Some(pid) = peer.pid else { return Standing::Outside };
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Standing::Unknown };
    let held = match &peer.pidfd {
        Some(fd) => fd.try_clone().map(|fd| Held::with(pid, fd)),
        None if peer.gone => return Standing::Unknown,
        None => Held::open(pid),
    };
    let Ok(held) = held else { return Standing::Unknown };
    for _ in 0..TRIES {
        // Two ways that are alike: see `is_below`.
        let (Some(way), Some(own)) = (shims_above(pid), shims_above(rustix::process::getpid())) else { continue };
        if shims_above(pid).as_ref() != Some(&way) {
            continue;
        }
        if !held.lives() {
            return Standing::Unknown;
        }
        let inside = way.iter().any(|(pid, shim)| *shim && !own.contains(&(*pid, true)));
        return if inside { Standing::OfARun } else { Standing::Outside };
    }
    Standing::Unknown
}

/// All processes above `pid`, and which of them are shims. `None` where one ended on the way.
fn shims_above(pid: Pid) -> Option<Vec<(Pid, bool)>> {
    let (mut way, mut at) = (Vec::new(), pid);
    for _ in 0..GENERATIONS {
        let Some(found) = ancestor(at) else {
            // A /proc that hides the processes of other users shows all of ours; and what a shim of ours is below of is no
            // matter.
            return Held::open(at).is_ok_and(|held| held.lives()).then_some(way);
        };
        if at != pid {
            way.push((at, found.name == SHIM_NAME.to_bytes()));
        }
        let Some(parent) = found.parent else { return Some(way) };
        at = parent;
    }
    None
}

/// The processes from `pid` to below `root`; `None` where the way leads elsewhere.
fn way_up(pid: Pid, root: Pid) -> Option<Vec<Pid>> {
    let mut way = vec![pid];
    let mut at = pid;
    for _ in 0..GENERATIONS {
        at = parent(at)?;
        if at == root {
            return Some(way);
        }
        way.push(at);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;
    use std::io::Read as _;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::process::{Child, Command, Stdio};

    fn pid(child: &Child) -> Pid {
        Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
    }

    fn peer(listener: &UnixListener) -> (Peer, UnixStream) {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0]).unwrap();
        (Peer::of(&stream).unwrap(), stream)
    }

    #[test]
    fn who_is_below_is_told_from_who_is_beside_and_from_who_ended() {
        let scratch = Scratch::new();
        let path = scratch.join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let speak = "import socket, sys\n\
            s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'x'); sys.stdin.read()";
        let script = "python3 -c \"$1\" \"$2\" <&0 & wait";
        let mut root =
            Command::new("sh").args(["-c", script, "sh", speak]).arg(&path).stdin(Stdio::piped()).spawn().unwrap();
        let held = Held::open(pid(&root)).unwrap();
        let (below, _stream) = peer(&listener);
        assert!(is_below(&below, &held));

        let mut beside = Command::new("python3").args(["-c", speak]).arg(&path).stdin(Stdio::piped()).spawn().unwrap();
        let (other, _other) = peer(&listener);
        assert!(!is_below(&other, &held));
        let unknown = Peer { pid: None, ..other };
        assert!(!is_below(&unknown, &held));
        drop(beside.stdin.take());
        beside.wait().unwrap();

        drop(root.stdin.take());
        root.wait().unwrap();
        assert!(!held.lives());
        assert!(!is_below(&below, &held));
    }

    #[test]
    fn who_is_below_a_shim_is_of_a_run_however_it_left_and_who_ended_is_unknown() {
        let scratch = Scratch::new();
        let path = scratch.join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let connect = "import os, socket, subprocess, sys\n\
            s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n";
        let stay = format!("{connect}s.sendall(b'x'); sys.stdin.read()");
        // Its child has the connection, and itself it is gone.
        let leave = format!("{connect}subprocess.Popen(['sh', '-c', 'cat; :'], stdout=s); s.sendall(b'x')");
        // The name is the shell's own, as that of a shim is.
        let called = |name: &str, what: &str| {
            let script = format!("printf {name} >/proc/$$/comm; python3 -c \"$1\" \"$2\" <&0 & wait; {what}");
            let mut command = Command::new("bash");
            command.args(["-c", &script, "sh"]).stdin(Stdio::piped());
            command
        };
        for (name, code, what, expected) in [
            ("agentd-shim", &stay, ":", Standing::OfARun),
            ("another-one", &stay, ":", Standing::Outside),
            ("another-one", &leave, "read line", Standing::Unknown),
        ] {
            let mut root = called(name, what).args([code.as_str()]).arg(&path).spawn().unwrap();
            let (found, _stream) = peer(&listener);
            if expected == Standing::Unknown {
                let gone = || Held::open(Pid::from_raw(i32::try_from(found.pid.unwrap()).unwrap()).unwrap()).is_err();
                while !gone() {
                    std::thread::yield_now();
                }
            }
            assert_eq!(standing(&found), expected, "{name}");
            drop(root.stdin.take());
            root.wait().unwrap();
            assert_eq!(standing(&found), Standing::Unknown, "{name}");
        }
        let (here, _there) = UnixStream::pair().unwrap();
        let own = Peer::of(&here).unwrap();
        assert_eq!(standing(&own), Standing::Outside, "what is above this process says nothing of a run");
        assert_eq!(standing(&Peer { pid: None, ..own }), Standing::Outside);
    }
}
