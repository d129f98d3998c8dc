//! Schedules.

pub(crate) mod add;
mod list;
mod next;
mod pause;
mod remove;
mod resume;
pub(crate) mod show;

/// What to do with schedules.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Add a schedule: a cron expression and the work that each tick submits
    Add(add::Args),
    /// List schedules
    List(list::Args),
    /// Show one schedule in full: when it ticks, and the work that each tick submits
    Show(show::Args),
    /// Show the next ticks of a schedule
    Next(next::Args),
    /// Skip the ticks of a schedule until it is resumed
    Pause(pause::Args),
    /// Let a paused schedule go on
    Resume(resume::Args),
    /// Remove a schedule; its works stay
    Remove(remove::Args),
}

dispatch!(Command { Add List Show Next Pause Resume Remove });
