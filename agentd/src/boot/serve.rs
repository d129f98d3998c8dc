//! The daemon's life: lock, engine, doors, ready, wait, stop.

use std::sync::Arc;
use std::time::Duration;

use agentd_schemas::unit::owner::Owner;
use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::args::Args;
use super::config::{Config, Mode};
use super::paths::{self, Paths};
use super::telemetry;
use crate::api;
use crate::engine::{self, Engine, Jobs};
use crate::sys::directory::{Directory, Visibility};
use crate::sys::lock::DirectoryLock;
use crate::sys::sd_notify::Notifier;
use crate::sys::socket::{Access, listen};
use crate::sys::{failpoint, groups, process};

/// Descriptors that the daemon asks for: connections of both doors, the database, and some.
const OPEN_FILES: u64 = 16_384;
/// Threads of the runtime.
const WORKERS: usize = 2;

/// How long exports and backups get to end once everything else has stopped.
const LAST_TASKS: Duration = Duration::from_secs(2);

/// Serves until told to stop.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let config = paths::config(args)?;
    telemetry::start(&config.log)?;
    failpoint::arm_from_environment().context("the failpoint in the environment")?;
    process::set_private_umask();
    process::forbid_core_dumps()?;
    process::raise_open_files_limit(OPEN_FILES)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let served = runtime.block_on(serve(args, &config));
    // An export whose reader stands still must not keep the daemon from ending; what it wrote does not verify.
    runtime.shutdown_timeout(LAST_TASKS);
    served
}

async fn serve(args: &Args, config: &Config) -> anyhow::Result<()> {
    let notifier = Notifier::from_environment()?;
    let paths = paths::paths(args, config)?;
    let state = Directory::ensure(&paths.state, Visibility::Private)?;
    state.check_private()?;
    let lock = DirectoryLock::acquire(&paths.state)?;
    if let Err(error) = engine::operations::ledger::remove_copies(&paths.state) {
        tracing::warn!("copies of unfinished backups could not be removed: {error}");
    }
    if process::effective_uid() == 0 {
        // Runs have users of their own, and their folders are in it.
        state.make_passable()?;
    }
    let engine = start_engine(config, &paths).await?;
    let jobs = Jobs::start(&engine);
    let (stop, stopped) = watch::channel(false);
    let doors = open_doors(config, &paths, &engine, &stopped).await?;
    tracing::info!(
        origin = engine.host().origin,
        "agentd {} serves {} and {}",
        env!("CARGO_PKG_VERSION"),
        paths.control.display(),
        paths.agents.display()
    );
    notifier.ready()?;
    let reason = wait_for_signal().await?;
    tracing::info!("{reason}: stopping");
    notifier.stopping()?;
    stop.send_replace(true);
    for door in doors {
        let _ = door.await;
    }
    remove_sockets(&paths);
    jobs.stop().await;
    engine.stop(reason).await;
    drop(lock);
    Ok(())
}

async fn start_engine(config: &Config, paths: &Paths) -> anyhow::Result<Engine> {
    let zone = match &config.time_zone {
        Some(name) => jiff::tz::TimeZone::get(name).with_context(|| format!("time_zone {name:?} is not known"))?,
        None => jiff::tz::TimeZone::system(),
    };
    let runs = config.runs.runs(paths)?;
    let passable = if runs.host.uids.is_some() { Visibility::Passable } else { Visibility::Private };
    Directory::ensure(&runs.host.runs, passable)?;
    let settings = engine::Settings {
        mode: config.mode.as_str(),
        state: paths.state.clone(),
        agents_socket: paths.agents.clone(),
        trust_domain: config.trust_domain.clone(),
        zone,
        defaults: Arc::new(config.defaults()),
        runs: Some(runs),
    };
    engine::start(settings).await.with_context(|| format!("the ledger in {}", paths.state.display()))
}

/// Whoever comes now hears that nobody is there, and does not wait at a socket without a listener.
fn remove_sockets(paths: &Paths) {
    for socket in [&paths.control, &paths.agents].into_iter().chain(&paths.metrics) {
        let _ = std::fs::remove_file(socket);
    }
}

type Door = tokio::task::JoinHandle<()>;

/// The uids of automations. One that the host does not know is no automation's, so it is a mistake.
fn automation(users: &[Owner]) -> anyhow::Result<Arc<[u32]>> {
    let uid = |user: &Owner| match user {
        Owner::Uid(uid) => Ok(*uid),
        Owner::Name(name) => groups::uid_of_user(name)?
            .with_context(|| format!("automation_users: the host has no user {name:?}; see: getent passwd")),
    };
    users.iter().map(uid).collect()
}

async fn open_doors(
    config: &Config,
    paths: &Paths,
    engine: &Engine,
    stopped: &watch::Receiver<bool>,
) -> anyhow::Result<Vec<Door>> {
    let callers = api::Callers {
        operator_gid: groups::gid_of_group(&config.groups.operators)?,
        auditor_gid: groups::gid_of_group(&config.groups.auditors)?,
        own_uid: process::effective_uid(),
        automation: automation(&config.automation_users)?,
    };
    let (access, visibility) = match config.mode {
        Mode::System => (Access::Everyone, Visibility::Traversable),
        Mode::Private | Mode::Session => (Access::Owner, Visibility::Private),
    };
    Directory::ensure(&paths.runtime, visibility)?;
    let metrics = paths.metrics.as_ref().map(|path| listen(path, access)).transpose()?;
    let control = listen(&paths.control, access)?;
    let agents = listen(&paths.agents, access)?;
    let mut doors = vec![
        tokio::spawn(api::dbus::serve_private(engine.clone(), control, callers.clone(), stopped.clone())),
        tokio::spawn(api::http::serve(engine.clone(), agents, callers.own_uid, stopped.clone())),
        tokio::spawn(api::run::serve(engine.clone(), stopped.clone())),
    ];
    if let Some(metrics) = metrics {
        doors.push(tokio::spawn(api::metrics::serve(engine.clone(), metrics, callers.clone(), stopped.clone())));
    }
    let bus = match config.mode {
        Mode::Private => None,
        Mode::Session => Some(api::dbus::Bus::Session),
        Mode::System => Some(api::dbus::Bus::System),
    };
    if let Some(bus) = bus {
        let connected = api::dbus::serve_bus(engine.clone(), bus, callers, stopped.clone()).await;
        let connected = connected.context("the bus cannot be served").inspect_err(|_| remove_sockets(paths));
        doors.push(connected?);
    }
    Ok(doors)
}

async fn wait_for_signal() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
