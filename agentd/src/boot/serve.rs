//! The daemon's life: lock, engine, doors, ready, wait, stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::args::Args;
use super::config::{Config, Mode};
use super::doors::{FromManager, Listeners, Own};
use super::paths::{self, Paths};
use super::reload::{Options, Reload};
use super::telemetry::{self, Filter};
use super::{groups, status};
use crate::api;
use crate::engine::{self, Engine, Jobs, message_ids};
use crate::identity::Keks;
use crate::sys::directory::{Directory, Visibility};
use crate::sys::lock::DirectoryLock;
use crate::sys::sd_notify::Notifier;
use crate::sys::{failpoint, process};

/// Descriptors that the daemon asks for: connections of both doors, the database, and some.
const OPEN_FILES: u64 = 16_384;
/// Threads of the runtime.
const WORKERS: usize = 2;

/// How long exports and backups get to end once everything else has stopped.
const LAST_TASKS: Duration = Duration::from_secs(2);

/// Serves until told to stop.
pub(super) fn run(args: &Args, config: &Config) -> anyhow::Result<()> {
    let passed = FromManager::take()?;
    let filter = telemetry::start(&config.log)?;
    failpoint::arm_from_environment().context("the failpoint in the environment")?;
    process::set_private_umask();
    process::forbid_core_dumps()?;
    process::raise_open_files_limit(OPEN_FILES)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let served = runtime.block_on(serve(args, config, passed, filter));
    // An export whose reader stands still must not keep the daemon from ending; what it wrote does not verify.
    runtime.shutdown_timeout(LAST_TASKS);
    served
}

async fn serve(args: &Args, config: &Config, mut passed: FromManager, filter: Filter) -> anyhow::Result<()> {
    let notifier = Notifier::from_environment()?;
    let mut paths = paths::paths(args, config)?;
    passed.correct(config, &mut paths);
    let state = Directory::ensure(&paths.state, Visibility::Private)?;
    state.check_private()?;
    let lock = DirectoryLock::acquire(&paths.state)?;
    if let Err(error) = engine::operations::ledger::remove_copies(&paths.state) {
        tracing::warn!("copies of unfinished backups could not be removed: {error}");
    }
    if process::effective_uid() == 0 || args.system {
        // Runs have users of their own, and their folders are in it.
        state.make_passable()?;
    }
    let engine = start_engine(args, config, &paths, filter.journal).await?;
    let jobs = Jobs::start(&engine);
    let (stop, stopped) = watch::channel(false);
    let (callers, known) = watch::channel(groups::callers(config, &engine)?);
    let of = known.clone();
    engine.look_people_up(Box::new(move |uid| groups::person(&of.borrow(), uid)));
    // Before anybody can know that we serve: one that comes while they are being set up is lost.
    let mut signals = Signals::listen()?;
    let (mut doors, own) = open_doors(config, &paths, &mut passed, &engine, &known, &stopped).await?;
    tracing::info!(
        MESSAGE_ID = message_ids::DAEMON_STARTED,
        origin = engine.host().origin,
        "agentd {} serves {} and {}",
        env!("CARGO_PKG_VERSION"),
        paths.control.display(),
        paths.agents.display()
    );
    notifier.ready()?;
    watch(&notifier, &engine)?;
    doors.push(tokio::spawn(status::tell(engine.clone(), notifier.clone(), stopped)));
    let options = Options::of(config)?;
    let mode = config.mode;
    let mut reload =
        Reload { args, mode, options, engine: engine.clone(), callers, filter, notifier: notifier.clone() };
    let reason = loop {
        match signals.next().await {
            Some(reason) => break reason,
            None => reload.again().await,
        }
    };
    tracing::info!(MESSAGE_ID = message_ids::DAEMON_STOPPING, "{reason}: stopping");
    notifier.stopping()?;
    stop.send_replace(true);
    for door in doors {
        let _ = door.await;
    }
    own.remove();
    jobs.stop().await;
    engine.stop(reason).await;
    drop(lock);
    Ok(())
}

async fn start_engine(args: &Args, config: &Config, paths: &Paths, journal: bool) -> anyhow::Result<Engine> {
    let zone = match &config.time_zone {
        Some(name) => jiff::tz::TimeZone::get(name).with_context(|| format!("time_zone {name:?} is not known"))?,
        None => jiff::tz::TimeZone::system(),
    };
    let runs = config.runs.runs(paths)?;
    let passable = if runs.host.uids.is_some() || args.system { Visibility::Passable } else { Visibility::Private };
    Directory::ensure(&runs.host.runs, passable)?;
    let settings = engine::Settings {
        mode: config.mode.as_str(),
        state: paths.state.clone(),
        agents_socket: paths.agents.clone(),
        trust_domain: config.trust_domain.clone(),
        zone,
        configuration: Some(Options::of(config)?.digest()),
        defaults: Arc::new(config.defaults()),
        policies: paths::policies(args, config)?,
        keks: Arc::new(Keks::handed_over()?),
        journal,
        runs: Some(runs),
    };
    engine::start(settings).await.with_context(|| format!("the ledger in {}", paths.state.display()))
}

type Door = tokio::task::JoinHandle<()>;

async fn open_doors(
    config: &Config,
    paths: &Paths,
    passed: &mut FromManager,
    engine: &Engine,
    callers: &watch::Receiver<api::Callers>,
    stopped: &watch::Receiver<bool>,
) -> anyhow::Result<(Vec<Door>, Own)> {
    let (own_uid, callers) = (callers.borrow().own_uid, callers.clone());
    let Listeners { control, agents, metrics, own } = Listeners::open(config, paths, passed)?;
    let mut doors = vec![
        tokio::spawn(api::dbus::serve_private(engine.clone(), control, callers.clone(), stopped.clone())),
        tokio::spawn(api::run::serve(engine.clone(), stopped.clone())),
    ];
    if let Some(agents) = agents {
        doors.push(tokio::spawn(api::http::serve(engine.clone(), agents, own_uid, stopped.clone())));
    }
    if let Some(metrics) = metrics {
        doors.push(tokio::spawn(api::metrics::serve(engine.clone(), metrics, callers.clone(), stopped.clone())));
    }
    let (of_bus, stopped, stopping) = (engine.clone(), stopped.clone(), stopped.clone());
    let connected = match config.mode {
        Mode::Private => None,
        Mode::Session => Some(api::dbus::serve_bus(of_bus, api::dbus::Bus::Session, callers, stopped).await),
        Mode::System => Some(api::dbus::keep_bus(of_bus, api::dbus::Bus::System, callers, stopped).await),
    };
    if let Some(connected) = connected {
        doors.push(connected.context("the bus cannot be served").inspect_err(|_| own.remove())?);
        if config.runs.inhibit_sleep {
            doors.push(tokio::spawn(super::awake::keep(engine.clone(), stopping)));
        }
    }
    Ok((doors, own))
}

/// Beats for the service manager where it asks for that: often enough to be heard in time though one beat is late.
fn watch(notifier: &Notifier, engine: &Engine) -> anyhow::Result<()> {
    let Some(period) = notifier.watchdog()? else { return Ok(()) };
    let every_ms = u64::try_from(period.as_millis() / 3).unwrap_or(u64::MAX).max(1);
    let notifier = notifier.clone();
    engine.beat(every_ms, move || {
        if let Err(error) = notifier.alive() {
            tracing::warn!("the watchdog was not told: {error}");
        }
    });
    Ok(())
}

/// The signals that the daemon knows.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The one that ends the daemon, or none for the one that has it read its configuration again.
    async fn next(&mut self) -> Option<&'static str> {
        tokio::select! {
            _ = self.terminate.recv() => Some("SIGTERM"),
            _ = self.interrupt.recv() => Some("SIGINT"),
            _ = self.hangup.recv() => None,
        }
    }
}
