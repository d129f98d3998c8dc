//! agentctl, the command line of agentd.
//!
//! It speaks with the daemon through the operators' door, verifies exports by itself, and holds no rules: what is
//! allowed and what happens is decided by agentd. One command is one file under `command/`.

#![allow(clippy::doc_markdown, reason = "doc comments of arguments are help, where backticks would be printed")]
#![allow(clippy::large_enum_variant, reason = "a command is one value in the life of the process")]
#![allow(
    clippy::format_push_string,
    reason = "answers are short and made once; a write that cannot fail hides nothing"
)]

mod agent_key;
mod agent_keys;
mod ambient;
mod apply;
mod artefact;
mod cli;
mod command;
mod connect;
mod content;
mod context;
mod daemon_program;
mod declared;
mod error;
mod follow;
mod git;
mod host_service;
mod input;
mod latest;
mod moment;
mod new_file;
mod once_more;
mod output;
mod owner;
mod owner_key;
mod presence;
mod program_output;
mod scope;
mod serve;
mod story;
mod trust;
mod wait;

fn main() -> std::process::ExitCode {
    cli::main()
}
