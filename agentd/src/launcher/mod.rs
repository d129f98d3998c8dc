//! `agentd-launch`: starts the shim of a run, removes what a run left, and says what the host can do.
//!
//! It is the one part of agentd that may have root's rights, and it trusts nobody who calls it: a launch spec is held
//! against bounds that the caller cannot widen, a run gets no user outside a fixed range, and nothing is touched but one
//! run's folder, by descriptors that no link can lead elsewhere. What it starts has nothing of its rights.
//!
//! It lives for milliseconds: it makes the record, the folders and the control groups, gives up what it is, and becomes the
//! shim.

mod allowed;
mod bounds;
mod place;
mod probe;
mod remove;
mod serve;
mod shim;
mod start;

use std::path::PathBuf;
use std::process::ExitCode;

use agentd_schemas::launch::RUN_UIDS;
use clap::{Parser, Subcommand};

use crate::sys::{failpoint, process};

/// Starts, removes and tries runs of agentd. The daemon calls it; where runs have users of their own, as root.
#[derive(Debug, Parser)]
#[command(name = "agentd-launch", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes the record of a step of a run, and becomes its shim.
    Start {
        /// The folder that the folders of all runs are in.
        #[arg(long, value_name = "ROOT")]
        runs: PathBuf,
        /// The launch spec, a file of the run's folder.
        #[arg(long, value_name = "FILE")]
        spec: PathBuf,
        /// The record to make, a folder of the run's folder.
        #[arg(long, value_name = "FOLDER")]
        record: PathBuf,
        /// The shim; without it, `agentd-shim` beside this program. What root starts must be root's.
        #[arg(long, value_name = "PATH")]
        shim: Option<PathBuf>,
        /// The users that root may give to runs: a part of the default.
        #[arg(long, value_name = "MIN-MAX", default_value_t)]
        uids: Uids,
        #[command(flatten)]
        in_unit: start::InUnit,
    },
    /// Serves a daemon that is not root, by the socket that systemd passes.
    Serve(serve::Options),
    /// Removes a run's folder whole, and its control groups. A run that was removed already is no error.
    Remove {
        /// The folder that the folders of all runs are in.
        #[arg(long, value_name = "ROOT")]
        runs: PathBuf,
        /// The run.
        #[arg(long, value_name = "RUN")]
        run: String,
        /// Keeps the folder, and removes the control groups alone.
        #[arg(long)]
        groups_only: bool,
    },
    /// Says as one line of JSON what this host can do.
    Probe {
        /// The shim; without it, `agentd-shim` beside this program.
        #[arg(long, value_name = "PATH")]
        shim: Option<PathBuf>,
        /// The users that root may give to runs.
        #[arg(long, value_name = "MIN-MAX", default_value_t)]
        uids: Uids,
    },
    /// Tries to make a user namespace.
    #[command(hide = true)]
    TryUserNamespace,
}

/// The users that root may give to runs.
#[derive(Debug, Clone, Copy)]
struct Uids {
    least: u32,
    most: u32,
}

impl Default for Uids {
    fn default() -> Self {
        Self { least: *RUN_UIDS.start(), most: *RUN_UIDS.end() }
    }
}

impl std::fmt::Display for Uids {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.least, self.most)
    }
}

impl std::str::FromStr for Uids {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("give two numbers within {}, which nobody can widen", Self::default());
        let (least, most) = text.split_once('-').ok_or_else(bad)?;
        let uids = Self { least: least.parse().map_err(|_| bad())?, most: most.parse().map_err(|_| bad())? };
        let is_part = RUN_UIDS.contains(&uids.least) && RUN_UIDS.contains(&uids.most) && uids.least <= uids.most;
        if is_part { Ok(uids) } else { Err(bad()) }
    }
}

/// Why a launcher gives up.
#[derive(Debug, thiserror::Error)]
enum LaunchError {
    /// What it was asked for is not allowed.
    #[error("{0}")]
    Refused(String),
    /// The host did not let it.
    #[error("cannot {action}: {source}")]
    System {
        /// What was attempted.
        action: String,
        /// What the system answered.
        source: std::io::Error,
    },
    /// Who would do it is not reached at the moment.
    #[error("{0}")]
    Unavailable(String),
}

fn system<E: Into<std::io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> LaunchError {
    let action = action.into();
    move |source| LaunchError::System { action, source: source.into() }
}

fn refused<T>(reason: impl Into<String>) -> Result<T, LaunchError> {
    Err(LaunchError::Refused(reason.into()))
}

/// Does what the command line asks for: 2 where that is not allowed, 1 where the host did not let it.
pub fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(error) = failpoint::arm_from_environment() {
        eprintln!("agentd-launch: error: {error}");
        return ExitCode::FAILURE;
    }
    let done = match args.command {
        Command::Start { runs, spec, record, shim, uids, in_unit } => {
            let order = |shim| start::Order { runs, spec, record, shim, uids, in_unit };
            shim.map_or_else(shim_beside, Ok).and_then(|shim| Err(start::start(&order(shim))))
        }
        Command::Serve(options) => serve::serve(options),
        Command::Remove { runs, run, groups_only } => remove::remove(&runs, &run, groups_only),
        Command::Probe { shim, uids } => {
            shim.map_or_else(shim_beside, Ok).and_then(|shim| probe::probe(&shim, uids)).map(|told| println!("{told}"))
        }
        Command::TryUserNamespace => probe::try_user_namespace(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agentd-launch: error: {}", error.to_string().replace('\n', "; "));
            ExitCode::from(if matches!(error, LaunchError::Refused(_)) { 2 } else { 1 })
        }
    }
}

fn shim_beside() -> Result<PathBuf, LaunchError> {
    let own = process::own_program().map_err(system("find this program"))?;
    Ok(own.with_file_name("agentd-shim"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_of_runs_are_a_range_without_root() {
        let good: Uids = "2100000000-2100000000".parse().unwrap();
        assert_eq!((good.least, good.most), (2_100_000_000, 2_100_000_000));
        assert_eq!(Uids::default().to_string().parse::<Uids>().unwrap().most, *RUN_UIDS.end());
        for bad in [
            "2099999999-2100000001",
            "2100000001-2100000000",
            "2100000000-2101000000",
            "1-1",
            "4000-4999",
            "",
            "5",
            "0-5",
            "6-5",
            "1-4294967295",
            "a-b",
            "1-",
            "-1-5",
            "1-2-3",
        ] {
            assert!(bad.parse::<Uids>().is_err(), "{bad}");
        }
    }
}
