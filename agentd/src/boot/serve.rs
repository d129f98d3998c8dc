//! The daemon's life: lock, engine, doors, ready, wait, stop.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::args::Args;
use super::config::{Config, Mode};
use super::paths::{self, Paths};
use super::telemetry;
use crate::api::{self, dbus::WhichBus};
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

/// Serves until told to stop.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let config = paths::config(args)?;
    telemetry::start(&config.log)?;
    failpoint::arm_from_environment().context("the failpoint in the environment")?;
    process::set_private_umask();
    process::forbid_core_dumps()?;
    process::raise_open_files_limit(OPEN_FILES)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    runtime.block_on(serve(args, &config))
}

async fn serve(args: &Args, config: &Config) -> anyhow::Result<()> {
    let notifier = Notifier::from_environment()?;
    let paths = paths::paths(args, config)?;
    Directory::ensure(&paths.state, Visibility::Private)?;
    let lock = DirectoryLock::acquire(&paths.state)?;
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
    let settings = engine::Settings {
        mode: config.mode.as_str(),
        state: paths.state.clone(),
        agents_socket: paths.agents.clone(),
        trust_domain: config.trust_domain.clone(),
        zone,
        defaults: Arc::new(config.defaults()),
    };
    engine::start(settings).await.with_context(|| format!("the ledger in {}", paths.state.display()))
}

type Door = tokio::task::JoinHandle<()>;

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
    };
    let (access, visibility) = match config.mode {
        Mode::System => (Access::Everyone, Visibility::Traversable),
        Mode::Private | Mode::Session => (Access::Owner, Visibility::Private),
    };
    Directory::ensure(&paths.runtime, visibility)?;
    let control = listen(&paths.control, access)?;
    let agents = listen(&paths.agents, access)?;
    let private = api::dbus::serve_private(control, engine.clone(), callers, stopped.clone());
    let http = api::http::serve_agents(agents, engine.clone(), stopped.clone());
    let mut doors = vec![door("operators' door", private), door("agents' door", http)];
    let which = match config.mode {
        Mode::Private => return Ok(doors),
        Mode::Session => WhichBus::Session,
        Mode::System => WhichBus::System,
    };
    let bus = api::dbus::serve_bus(engine.clone(), callers, &which).await?;
    let mut stopped = stopped.clone();
    doors.push(tokio::spawn(async move {
        let gone = tokio::select! {
            () = bus.closed() => true,
            _ = stopped.changed() => false,
        };
        if gone {
            tracing::error!("the bus is gone: the private socket serves on");
        } else {
            bus.close().await;
        }
    }));
    Ok(doors)
}

fn door(name: &'static str, serving: impl Future<Output = std::io::Result<()>> + Send + 'static) -> Door {
    tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!("the {name} closed: {error}");
        }
    })
}

async fn wait_for_signal() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
