//! Where things are, when nothing else is said.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::args::Args;
use super::config::{Config, Mode};
use crate::sys::{env, process};

/// The places of one daemon.
pub(super) struct Paths {
    /// State directory.
    pub(super) state: PathBuf,
    /// Directory of the sockets.
    pub(super) runtime: PathBuf,
    /// Operators' door.
    pub(super) control: PathBuf,
    /// Agents' door.
    pub(super) agents: PathBuf,
    /// Socket of metrics; none where it is not asked for and not every user's.
    pub(super) metrics: Option<PathBuf>,
}

fn home() -> anyhow::Result<PathBuf> {
    match env::var("HOME")? {
        Some(home) if home.starts_with('/') => Ok(home.into()),
        _ => bail!("HOME is not set: say where the state is with --state DIR"),
    }
}

/// The state directory.
pub(super) fn state(args: &Args) -> anyhow::Result<PathBuf> {
    if let Some(state) = &args.state {
        return std::path::absolute(state).with_context(|| format!("state directory {}", state.display()));
    }
    if process::effective_uid() == 0 {
        return Ok("/var/lib/agentd".into());
    }
    match env::var("XDG_STATE_HOME")? {
        Some(base) if base.starts_with('/') => Ok(PathBuf::from(base).join("agentd")),
        _ => Ok(home()?.join(".local/state/agentd")),
    }
}

/// The configuration in force.
pub(super) fn config(args: &Args) -> anyhow::Result<Config> {
    config_file(args)?.map_or_else(|| Ok(Config::default()), |path| Config::read(&path))
}

/// The file that the configuration comes from, where there is one.
pub(super) fn config_file(args: &Args) -> anyhow::Result<Option<PathBuf>> {
    if let Some(path) = &args.config {
        return Ok(Some(path.clone()));
    }
    let path = if process::effective_uid() == 0 {
        PathBuf::from("/etc/agentd/agentd.toml")
    } else {
        match env::var("XDG_CONFIG_HOME")? {
            Some(base) if base.starts_with('/') => PathBuf::from(base).join("agentd/agentd.toml"),
            _ => match home() {
                Ok(home) => home.join(".config/agentd/agentd.toml"),
                Err(_) => return Ok(None),
            },
        }
    };
    Ok(path.exists().then_some(path))
}

/// All places. A state directory that was named has its sockets inside, so that two daemons never share one.
pub(super) fn paths(args: &Args, config: &Config) -> anyhow::Result<Paths> {
    let state = state(args)?;
    let runtime = match env::var("XDG_RUNTIME_DIR")? {
        _ if args.state.is_some() => state.join("run"),
        _ if process::effective_uid() == 0 => PathBuf::from("/run/agentd"),
        Some(base) if base.starts_with('/') => PathBuf::from(base).join("agentd"),
        _ => state.join("run"),
    };
    let control = config.sockets.control.clone().unwrap_or_else(|| runtime.join("control.sock"));
    let agents = config.sockets.agents.clone().unwrap_or_else(|| runtime.join("agents.sock"));
    let of_the_host = (config.mode == Mode::System).then(|| runtime.join("metrics.sock"));
    let metrics = config.sockets.metrics.clone().or(of_the_host);
    Ok(Paths { state, runtime, control, agents, metrics })
}
