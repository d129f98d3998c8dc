//! A daemon under test: release binary, own state directory, ready when it says so.

use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::Signal;

use crate::{machine, process};

/// How long a daemon may take to be ready.
const READY: Duration = Duration::from_secs(120);

/// A running daemon.
pub(crate) struct Daemon {
    child: Child,
    state: PathBuf,
    /// From its start to its word that it is ready, in milliseconds.
    pub(crate) started_ms: f64,
}

impl Daemon {
    /// Starts a daemon and waits until it is ready (`READY=1`, sd_notify(3)).
    pub(crate) fn start(binaries: &Path, state: &Path) -> anyhow::Result<Self> {
        Self::start_with(binaries, state, "")
    }

    /// The same with a configuration: the machine's own must not decide what is measured.
    pub(crate) fn start_with(binaries: &Path, state: &Path, configuration: &str) -> anyhow::Result<Self> {
        let mut private = std::fs::DirBuilder::new();
        private.recursive(true).mode(0o700).create(state).with_context(|| format!("directory {}", state.display()))?;
        let notify = state.with_extension("notify");
        drop(std::fs::remove_file(&notify));
        let socket = UnixDatagram::bind(&notify).with_context(|| format!("socket {}", notify.display()))?;
        socket.set_read_timeout(Some(READY))?;
        let begun = Instant::now();
        let child = process::command(binaries.join("agentd"))?
            .args(["--state".as_ref(), state.as_os_str()])
            .env("NOTIFY_SOCKET", &notify)
            .env("AGENTD_CONFIG", written(state, configuration)?)
            .stderr(Stdio::null())
            .spawn()
            .context("agentd cannot be started")?;
        let mut word = [0; 256];
        let bytes = socket.recv(&mut word).context("agentd did not say that it is ready")?;
        let started_ms = begun.elapsed().as_secs_f64() * 1000.0;
        if !word[..bytes].starts_with(b"READY=1") {
            bail!("agentd said {:?}", String::from_utf8_lossy(&word[..bytes]));
        }
        Ok(Self { child, state: state.to_owned(), started_ms })
    }

    /// Socket of the operators' door.
    pub(crate) fn control(&self) -> PathBuf {
        self.state.join("run/control.sock")
    }

    /// Socket of the agents' door.
    pub(crate) fn agents(&self) -> PathBuf {
        self.state.join("run/agents.sock")
    }

    /// The database.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.state.join("ledger.db")
    }

    /// Resident memory in MiB, once it has come to rest.
    pub(crate) fn resident_mib(&self) -> anyhow::Result<f64> {
        std::thread::sleep(Duration::from_millis(500));
        machine::resident_mib(self.child.id())
    }

    /// Kills it where it stands.
    pub(crate) fn kill(self) -> anyhow::Result<()> {
        process::stop(self.child, Signal::KILL)
    }

    /// Stops it in good order.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        process::stop(self.child, Signal::TERM)
    }
}

fn written(state: &Path, configuration: &str) -> anyhow::Result<PathBuf> {
    let path = state.with_extension("toml");
    std::fs::write(&path, configuration)?;
    Ok(path)
}
