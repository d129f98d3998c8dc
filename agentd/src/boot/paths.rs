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
    /// The launcher's socket, where there is one by default.
    pub(super) launch: Option<PathBuf>,
    /// Socket of metrics; none where it is not asked for and not every user's.
    pub(super) metrics: Option<PathBuf>,
}

fn home() -> anyhow::Result<PathBuf> {
    match env::var("HOME")? {
        Some(home) if home.starts_with('/') => Ok(home.into()),
        _ => bail!("HOME is not set: say where the state is with --state DIR"),
    }
}

/// A directory that the service manager made for a system service. Of several the first is ours.
fn managed(args: &Args, variable: &str) -> anyhow::Result<Option<PathBuf>> {
    if !args.system {
        return Ok(None);
    }
    let named = env::var(variable)?.unwrap_or_default();
    match named.split(':').next() {
        None | Some("") => Ok(None),
        Some(first) if first.starts_with('/') => Ok(Some(first.into())),
        Some(first) => bail!("{variable} names {first:?}, which is no absolute path"),
    }
}

/// Whether the places of the host are meant, and not those of a user.
fn of_host(args: &Args) -> bool {
    args.system || process::effective_uid() == 0
}

/// The state directory.
pub(super) fn state(args: &Args) -> anyhow::Result<PathBuf> {
    if let Some(state) = &args.state {
        return std::path::absolute(state).with_context(|| format!("state directory {}", state.display()));
    }
    if let Some(state) = managed(args, "STATE_DIRECTORY")? {
        return Ok(state);
    }
    if of_host(args) {
        return Ok("/var/lib/agentd".into());
    }
    match env::var("XDG_STATE_HOME")? {
        Some(base) if base.starts_with('/') => Ok(PathBuf::from(base).join("agentd")),
        _ => Ok(home()?.join(".local/state/agentd")),
    }
}

/// The configuration in force.
pub(super) fn config(args: &Args) -> anyhow::Result<Config> {
    let mut config = config_file(args)?.map_or_else(|| Ok(Config::default()), |path| Config::read(&path))?;
    if args.system {
        config.mode = Mode::System;
    }
    if args.session {
        config.mode = Mode::Session;
    }
    Ok(config)
}

/// The file that the configuration comes from, where there is one.
pub(super) fn config_file(args: &Args) -> anyhow::Result<Option<PathBuf>> {
    if let Some(path) = &args.config {
        return Ok(Some(path.clone()));
    }
    let Some(path) = config_place(args)? else { return Ok(None) };
    // One that is there and out of reach is no file that is missing.
    let exists = path.try_exists().with_context(|| format!("configuration {} cannot be reached", path.display()))?;
    Ok(exists.then_some(path))
}

/// The folder of the host's policies: beside the configuration file, or where that would be.
pub(super) fn policies(args: &Args, config: &Config) -> anyhow::Result<Option<PathBuf>> {
    let place = match (&config.policies, &args.config) {
        (Some(folder), _) => return Ok(Some(folder.clone())),
        (None, Some(file)) => {
            Some(std::path::absolute(file).with_context(|| format!("configuration {}", file.display()))?)
        }
        (None, None) => config_place(args)?,
    };
    Ok(place.and_then(|file| file.parent().map(|folder| folder.join("policies.d"))))
}

/// Where the configuration would be.
fn config_place(args: &Args) -> anyhow::Result<Option<PathBuf>> {
    let path = if let Some(folder) = managed(args, "CONFIGURATION_DIRECTORY")? {
        folder.join("agentd.toml")
    } else if of_host(args) {
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
    Ok(Some(path))
}

/// All places. A state directory that was named has its sockets inside, so that two daemons never share one.
pub(super) fn paths(args: &Args, config: &Config) -> anyhow::Result<Paths> {
    let state = state(args)?;
    let runtime = match (managed(args, "RUNTIME_DIRECTORY")?, env::var("XDG_RUNTIME_DIR")?) {
        (Some(managed), _) => managed,
        _ if args.state.is_some() => state.join("run"),
        _ if of_host(args) => PathBuf::from("/run/agentd"),
        (None, Some(base)) if base.starts_with('/') => PathBuf::from(base).join("agentd"),
        _ => state.join("run"),
    };
    let control = config.sockets.control.clone().unwrap_or_else(|| runtime.join("control.sock"));
    let agents = config.sockets.agents.clone().unwrap_or_else(|| runtime.join("agents.sock"));
    let launch = args.system.then(|| runtime.join("launch.sock"));
    let of_the_host = (config.mode == Mode::System).then(|| runtime.join("metrics.sock"));
    let metrics = config.sockets.metrics.clone().or(of_the_host);
    Ok(Paths { state, runtime, control, agents, launch, metrics })
}
