//! Assembly: arguments, configuration, telemetry, start, and an orderly end. The one place that may say `anyhow`.

pub mod args;
mod awake;
pub mod config;
mod credentials;
mod doors;
mod effective;
mod groups;
mod paths;
mod policies;
mod reload;
mod runs;
mod serve;
mod status;
mod telemetry;
mod tools;

use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser as _;

use crate::sys::os_error::without_numbers;
use crate::sys::sd_notify::Notifier;

/// How the status line begins of a daemon that did not start, or ended for an error; agentctl knows it.
const DID_NOT_START: &str = "ended: ";
/// The exit code of a daemon whose configuration cannot be read (EX_CONFIG of sysexits.h): no further start cures that, and
/// its unit tries none.
const MISCONFIGURED: u8 = 78;

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match &args.command {
        None => match paths::config(&args) {
            Ok(config) => serve::run(&args, &config).inspect_err(tell_manager),
            Err(error) => {
                tell_manager(&error);
                report(&error);
                // At sockets with somebody waiting the manager would try again and again, and give them up.
                if let Ok(passed) = doors::FromManager::take() {
                    passed.turn_away();
                }
                return ExitCode::from(MISCONFIGURED);
            }
        },
        Some(Command::Verify(verify)) => tools::verify(&args, verify),
        Some(Command::Rebuild) => tools::rebuild(&args),
        Some(Command::Restore(restore)) => tools::restore(&args, restore),
        Some(Command::Config) => effective::print(&args),
        Some(Command::Credentials(wanted)) => credentials::run(&args, wanted),
        Some(Command::Policy(policy)) => policies::run(&args, &policy.action),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Nothing is wrong where `head` had enough.
        Err(error) if reader_went_away(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn reader_went_away(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Leaves the reason with the service manager: who finds no daemon there asks for it.
fn tell_manager(error: &anyhow::Error) {
    // Who cannot be told has it in the journal.
    let _ =
        Notifier::from_environment().and_then(|notifier| notifier.status(&format!("{DID_NOT_START}{}", line(error))));
}

/// A policy is refused in two lines, as agentctl tells all else.
fn report(error: &anyhow::Error) {
    let line = line(error);
    let hint = error.downcast_ref::<crate::policy::Rejected>().and_then(|rejected| rejected.hint.as_deref());
    eprintln!("error: {}", hint.map_or(line.as_str(), |hint| line.strip_suffix(&format!("; {hint}")).unwrap_or(&line)));
    if let Some(hint) = hint {
        eprintln!("hint: {hint}");
    }
}

/// One line for what failed, and its causes unless they say the same.
fn line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !line.contains(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    without_numbers(&line)
}
