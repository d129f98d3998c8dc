//! `agentd-shim`: the parent of one run.
//!
//! It has a program started in its sandbox, keeps what it writes, ends it, freezes it, and writes down how it ended. It
//! outlives the daemon, and the program does not outlive it: a restarted daemon finds the shim at its control socket, or the
//! outcome in the record, or a record whose lock is free and knows that nobody saw the end.
//!
//! It is one thread and one loop, it knows no ledger and judges nothing. What it holds is bounded by the spec.
//!
//! The same binary is the last step before the program, inside the sandbox (`inner`): there it takes away what namespaces
//! leave, says what holds, and becomes the program.

mod account;
mod bubblewrap;
mod control;
mod deadline;
mod inner;
mod journal;
mod output;
mod record;
mod sources;
mod start;
mod tree;
mod unit;
mod watch;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use self::journal::Journal;
use crate::sys::cgroup::{Door, Groups, HandedOn};
use crate::sys::{failpoint, lineage, process};

/// The parent of one run of agentd. The daemon starts it through agentd-launch; it is of no use by hand, but for
/// looking at what a sandbox does.
#[derive(Debug, Parser)]
#[command(name = "agentd-shim", version)]
struct Args {
    /// The record of the run: an empty folder with a spec.json.
    #[arg(long, value_name = "FOLDER", required_unless_present = "confine")]
    record: Option<PathBuf>,
    /// A control group that the run has, as its maker hands it on: two descriptors and a path.
    #[arg(long, value_name = "SHIM:PROGRAM:PATH", hide = true, requires = "record")]
    group: Vec<HandedOn>,
    /// Standard output is the journal, which hears what the program writes.
    #[arg(long, hide = true, requires = "record")]
    journal: bool,
    /// The descriptor on which the shim inside the sandbox gets its orders.
    #[arg(long, value_name = "DESCRIPTOR", hide = true, conflicts_with = "record")]
    confine: Option<i32>,
}

/// Runs what the command line asks for: 0 once the outcome is on disk, whatever it is.
pub fn main() -> ExitCode {
    let args = Args::parse();
    // Before anything is below it: the daemon tells by the name who is of a run.
    if let Err(error) = lineage::call_this_a_shim() {
        say(format_args!("error: cannot take the name of a shim: {error}"));
        return ExitCode::FAILURE;
    }
    let done = match (args.record, args.confine) {
        (Some(record), _) => {
            let journal = if args.journal { Journal::behind_stdout() } else { Journal::default() };
            // Whoever may look into the record may read what is in it; who that is its maker decided.
            process::set_group_umask();
            let doors = args.group.iter().map(Door::take).collect::<std::io::Result<_>>();
            let doors = doors.map_err(system("take the control groups"));
            doors.and_then(|doors| armed().and_then(|()| watch::run(&record, Groups::new(doors), journal)))
        }
        (None, Some(descriptor)) => Err(inner::become_program(descriptor)),
        (None, None) => return ExitCode::from(2),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Says something in the log of the shim. A full disk takes no word of it, and is no reason to end.
fn say(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "agentd-shim: {text}");
}

fn armed() -> Result<(), ShimError> {
    failpoint::arm_from_environment().map_err(|error| ShimError::NotStarted(error.to_string()))
}

/// Why a shim gives up. Where the record can be written, the outcome says it too.
#[derive(Debug, thiserror::Error)]
enum ShimError {
    /// The record cannot be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Record {
        /// What was attempted.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
    /// The spec is none, or beyond the bounds.
    #[error("{}: {reason}", path.display())]
    Spec {
        /// The spec's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Something that the shim needs of the system failed.
    #[error("cannot {action}: {source}")]
    System {
        /// What was attempted.
        action: &'static str,
        /// What the system answered.
        source: std::io::Error,
    },
    /// The program cannot be started as the spec asks.
    #[error("{0}")]
    NotStarted(String),
}

fn system<E: Into<std::io::Error>>(action: &'static str) -> impl FnOnce(E) -> ShimError {
    move |source| ShimError::System { action, source: source.into() }
}
