//! `bench`: what agentd is measured by, on its real doors, with everything durable. `make bench` builds and runs it.
//!
//! The benchmark starts release binaries that lie next to it. Every client is a process of its own: this binary again,
//! with `client` and a task. It measures and never judges: the exit code says only whether it could measure.
//!
//! Invariant: it touches nothing but its own directory, which it removes, and `bench.json`.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads clocks")]
#![allow(clippy::cast_precision_loss, reason = "figures are read by people")]

mod booted;
mod client;
mod daemon;
mod figures;
mod floor;
mod machine;
mod measure;
mod options;
mod others;
mod process;

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let first = args.next();
    let rest: Vec<OsString> = args.collect();
    let outcome = match first.as_ref().and_then(|word| word.to_str()) {
        Some("session") => process::in_session(&rest),
        Some("booted") => booted::main(&rest),
        Some("client") => client::main(&rest),
        Some("measure") => options::Options::parse(&rest).and_then(|options| measure::all(&options)),
        _ => process::again(first.into_iter().chain(rest)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
