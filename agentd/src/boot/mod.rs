//! Assembly: arguments, configuration, telemetry, start, and an orderly end. The one place that may say `anyhow`.

pub mod args;
mod awake;
pub mod config;
mod credentials;
mod doors;
mod effective;
mod groups;
mod paths;
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

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match &args.command {
        None => serve::run(&args),
        Some(Command::Verify(verify)) => tools::verify(&args, verify),
        Some(Command::Rebuild) => tools::rebuild(&args),
        Some(Command::Restore(restore)) => tools::restore(&args, restore),
        Some(Command::Config) => effective::print(&args),
        Some(Command::Credentials(wanted)) => credentials::run(&args, wanted),
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

/// One line for what failed, and its causes unless they say the same.
fn report(error: &anyhow::Error) {
    let mut line = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !line.contains(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    eprintln!("error: {}", without_numbers(&line));
}
