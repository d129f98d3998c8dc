//! `agentd-launch serve`: the launcher as a service of systemd, for a daemon that is not root.
//!
//! The daemon names runs and steps, and nothing else: where runs have their folders, which users they get and which shim
//! holds them stands in the service's own command line. Each request is checked as one of a stranger. A step becomes a
//! transient unit, whose sandbox and limits are made of the spec that was checked (`unit`); in it `agentd-launch start`
//! checks the spec once more, by its digest the same, and becomes the shim.
//!
//! One request on each connection, a few connections at a time; with none for a while the service ends, and its socket
//! starts it anew.

mod answer;
mod connection;
mod systemd;
mod trial;
mod uids;
mod unit;

use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use self::systemd::Systemd;
use self::uids::Users;
use super::{LaunchError, Uids, refused, system};
use crate::sys::peer::Peer;
use crate::sys::{descriptor, env, groups, process};

/// Connections that are served at a time; who comes later waits in the socket's queue.
const MAX_CONNECTIONS: usize = 16;
/// Threads for what waits for the disk.
const MAX_THREADS: usize = 8;
/// The service ends when nobody came for so long.
const IDLE: Duration = Duration::from_secs(60);
/// After a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);
/// The first descriptor that systemd passes (sd_listen_fds(3)).
const FIRST: i32 = 3;

/// What stands in the service's own command line.
pub(super) struct Options {
    /// The folder that the folders of all runs are in.
    pub(super) runs: PathBuf,
    /// Who may ask beside root: the daemon's user.
    pub(super) caller: String,
    /// The shim.
    pub(super) shim: PathBuf,
    /// Users of runs.
    pub(super) uids: Uids,
}

/// What all requests are answered with.
struct Service {
    options: Options,
    caller: u32,
    systemd: Systemd,
    users: Users,
    /// Held by the one who tries what the host can do: a daemon that was killed left its trial under way.
    trial: Mutex<()>,
}

/// Serves the socket that systemd passes, until nobody comes any more.
pub(super) fn serve(options: Options) -> Result<(), LaunchError> {
    let listener = passed()?;
    if process::effective_uid() != 0 {
        return refused("the service starts runs as users of their own, so it must be root's");
    }
    let caller = match options.caller.parse() {
        Ok(uid) => uid,
        Err(_) => groups::uid_of_user(&options.caller)
            .map_err(|error| LaunchError::Refused(error.to_string()))?
            .ok_or_else(|| LaunchError::Refused(format!("--caller {}: there is no such user", options.caller)))?,
    };
    process::set_private_umask();
    process::forbid_core_dumps().map_err(|error| LaunchError::Refused(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(MAX_THREADS).build();
    let runtime = runtime.map_err(system("start"))?;
    runtime.block_on(answer_all(
        listener,
        Arc::new(Service {
            options,
            caller,
            systemd: Systemd::default(),
            users: Users::default(),
            trial: Mutex::default(),
        }),
    ))
}

/// The listening socket that systemd started us for.
fn passed() -> Result<StdUnixListener, LaunchError> {
    let number = |name: &str| env::var(name).ok().flatten().and_then(|text| text.parse::<u32>().ok());
    if number("LISTEN_PID") != Some(std::process::id()) || number("LISTEN_FDS") != Some(1) {
        return refused("no socket was passed: systemd starts this, by agentd-launch.socket");
    }
    let listener = StdUnixListener::from(descriptor::inherited(FIRST).map_err(system("take the socket"))?);
    listener.set_nonblocking(true).map_err(system("take the socket"))?;
    Ok(listener)
}

async fn answer_all(listener: StdUnixListener, service: Arc<Service>) -> Result<(), LaunchError> {
    let listener = UnixListener::from_std(listener).map_err(system("listen"))?;
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut open = JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return Ok(()) };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = open.join_next(), if !open.is_empty() => continue,
            () = tokio::time::sleep(IDLE), if open.is_empty() => return Ok(()),
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let service = service.clone();
        open.spawn(async move {
            match Peer::of(&stream) {
                Ok(peer) if peer.uid == 0 || peer.uid == service.caller => {
                    if let Err(error) = connection::serve(&service, stream).await {
                        say(&format!("a request was not answered: {error}"));
                    }
                }
                Ok(peer) => say(&format!("uid {} may not ask for anything", peer.uid)),
                Err(error) => say(&format!("who asks is not known: {error}")),
            }
            drop(place);
        });
    }
}

/// Says a line where the service manager reads it.
fn say(line: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("agentd-launch: {line}\n").as_bytes());
}
