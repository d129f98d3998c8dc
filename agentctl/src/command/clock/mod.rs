//! The wall clock, after it jumped.

mod accept;

/// What to do with the clock.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Accept(accept::Args),
}

dispatch!(Command { Accept });
