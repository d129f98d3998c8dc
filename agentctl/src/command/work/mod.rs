//! Works.

pub(crate) mod accept;
pub(crate) mod answer;
pub(crate) mod apply;
pub(crate) mod artifacts;
pub(crate) mod cancel;
pub(crate) mod diff;
pub(crate) mod list;
pub(crate) mod log;
pub(crate) mod note;
pub(crate) mod output;
pub(crate) mod raise;
pub(crate) mod reject;
pub(crate) mod retry;
pub(crate) mod show;
pub(crate) mod why;

/// What to do with works.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List works, newest first
    List(list::Args),
    /// Show one work in full: what was asked, its attempts, its result
    Show(show::Args),
    Log(log::Args),
    /// Say why a work runs there, or does not run
    Why(why::Args),
    Diff(diff::Args),
    Apply(apply::Args),
    #[command(visible_alias = "artefacts")]
    Artifacts(artifacts::Args),
    Output(output::Args),
    /// Call a work off
    Cancel(cancel::Args),
    /// Give a work that failed, expired or was cancelled one more attempt
    Retry(retry::Args),
    /// Raise the limits of a work; a run that waits for budget goes on
    Raise(raise::Args),
    Accept(accept::Args),
    /// Refuse a result that waits for a person; the next attempt is told why
    Reject(reject::Args),
    /// Add a note to a work
    Note(note::Args),
    /// Answer a run that asked a person
    Answer(answer::Args),
}

dispatch!(Command { List Show Log Why Diff Apply Artifacts Output Cancel Retry Raise Accept Reject Note Answer });
