//! agentctl, the command line of agentd.
//!
//! It speaks with the daemon through the operators' door, verifies exports by itself, and holds no rules: what is
//! allowed and what happens is decided by agentd. One command is one file under `command/`.

mod ambient;
mod cli;
mod command;
mod connect;
mod context;
mod error;
mod follow;
mod latest;
mod output;
mod story;

fn main() -> std::process::ExitCode {
    cli::main()
}
