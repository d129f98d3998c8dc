//! Budgets: what the host, owners and agents may spend.

mod set;
mod show;

/// What to do with budgets.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show accounts: limit, spent, set aside
    Show(show::Args),
    Set(set::Args),
}

dispatch!(Command { Show Set });
