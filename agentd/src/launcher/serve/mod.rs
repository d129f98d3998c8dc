//! `agentd-launch serve`: the launcher as a service of systemd, for a daemon that is not root.
//!
//! The daemon names runs and steps, and nothing else: where runs have their folders, which users they get and which shim
//! holds them stands in the service's own command line. Each request is checked as one of a stranger. A step becomes a
//! transient unit, whose sandbox and limits are made of the spec that was checked (`unit`); in it `agentd-launch start`
//! checks the spec once more, by its digest the same, and becomes the shim.
//!
//! One request on each connection, a few connections at a time; with none for a while the service ends, and its socket
//! starts it anew. When it is asked to end it takes no more, and does what it began.

mod answer;
mod begin;
mod connection;
mod jobs;
mod systemd;
mod trial;
mod uids;
mod unit;

use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agentd_schemas::launch::Allowed;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use self::systemd::{Systemd, SystemdError};
use self::uids::Users;
use super::allowed::{Words, allowed};
use super::{LaunchError, Uids, refused, shim_beside, system};
use crate::sys::peer::Peer;
use crate::sys::{descriptor, env, groups, process};

/// Connections that are served at a time; who comes later waits in the socket's queue.
const MAX_CONNECTIONS: usize = 16;
/// Threads for what waits for the disk.
const MAX_THREADS: usize = 8;
/// What is under way when the service is asked to end may take so long; systemd waits longer (`TimeoutStopSec=`).
const FAREWELL: Duration = Duration::from_secs(45);
/// After a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);
/// The first descriptor that systemd passes (sd_listen_fds(3)).
const FIRST: i32 = 3;

/// What stands in the service's own command line.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The folder that the folders of all runs are in.
    #[arg(long, value_name = "ROOT")]
    runs: PathBuf,
    /// Who may ask, beside root: the daemon's user.
    #[arg(long, value_name = "USER")]
    caller: String,
    /// The shim; without it, `agentd-shim` beside this program. It must be root's.
    #[arg(long, value_name = "PATH")]
    shim: Option<PathBuf>,
    /// The users that runs get: a part of the default. The last one is that of trials.
    #[arg(long, value_name = "MIN-MAX", default_value_t)]
    uids: Uids,
    #[command(flatten)]
    allowed: Words,
    /// Whether what programs of runs say goes to the journal too, in its namespace agentd-runs.
    #[arg(long, value_name = "yes|no", default_value = "yes", value_parser = yes_or_no, action = clap::ArgAction::Set)]
    journal: bool,
    /// The service ends when nobody came for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    idle: u64,
}

fn yes_or_no(word: &str) -> Result<bool, String> {
    match word {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("give yes or no".to_owned()),
    }
}

/// What all requests are answered with.
struct Service {
    options: Options,
    caller: u32,
    shim: PathBuf,
    /// What runs may have at most.
    allowed: Arc<Allowed>,
    /// Whether systemd took a unit with a journal namespace, as far as it was tried.
    journal: AtomicBool,
    systemd: Systemd,
    users: Users,
    /// Held by the one who tries what the host can do: a daemon that was killed left its trial under way.
    trial: Mutex<()>,
}

impl Service {
    fn has_journal(&self) -> bool {
        self.journal.load(Ordering::Relaxed)
    }

    fn has_no_journal(&self, error: &SystemdError) {
        self.journal.store(false, Ordering::Relaxed);
        say(&format!("output of runs does not go to the journal: {error}"));
    }
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
    let shim = options.shim.clone().map_or_else(shim_beside, Ok)?;
    let allowed = Arc::new(allowed(&options.allowed, &options.runs)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(MAX_THREADS).build();
    let runtime = runtime.map_err(system("start"))?;
    runtime.block_on(answer_all(
        listener,
        Arc::new(Service {
            options,
            caller,
            shim,
            allowed,
            journal: AtomicBool::new(true),
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
    let mut ends = signal(SignalKind::terminate()).map_err(system("hear when to end"))?;
    let idle = Duration::from_secs(service.options.idle);
    loop {
        let place = tokio::select! {
            _ = ends.recv() => break,
            place = places.clone().acquire_owned() => place,
        };
        let Ok(place) = place else { return Ok(()) };
        let accepted = tokio::select! {
            _ = ends.recv() => break,
            accepted = listener.accept() => accepted,
            _ = open.join_next(), if !open.is_empty() => continue,
            () = tokio::time::sleep(idle), if open.is_empty() => return Ok(()),
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
    // Who comes now waits in the socket, which is systemd's, for the next service.
    drop(listener);
    let all = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(FAREWELL, all).await.is_err() {
        say("what was under way was not finished");
    }
    Ok(())
}

/// Says a line where the service manager reads it.
fn say(line: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("agentd-launch: {line}\n").as_bytes());
}
