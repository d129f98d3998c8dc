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

/// The system's numbers of errors stand behind its words, and say nothing to people.
fn without_numbers(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, behind)) = rest.split_once(" (os error ") {
        out.push_str(before);
        match behind.split_once(')') {
            Some((number, after)) if number.bytes().all(|b| b.is_ascii_digit()) => rest = after,
            _ => {
                out.push_str(" (os error ");
                rest = behind;
            }
        }
    }
    out + rest
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

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_of_the_system_are_left_out() {
        let said = "a: No such file or directory (os error 2): b (os error x)";
        assert_eq!(super::without_numbers(said), "a: No such file or directory: b (os error x)");
    }
}
