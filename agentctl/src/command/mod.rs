//! The commands: a noun is a folder, a verb is a file with its arguments and what it does.

use agentd_schemas::unit::name::{LabelKey, LabelValue};
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Gives an enum of commands its dispatch. Each future is boxed: together they would make one as large as the largest.
macro_rules! dispatch {
    ($name:ident { $($variant:ident)* }) => {
        impl $name {
            /// Runs the command.
            pub(crate) async fn run(self, context: &$crate::context::Context) -> Result<(), $crate::error::Failure> {
                match self {
                    $(Self::$variant(args) => Box::pin(args.run(context)).await,)*
                }
            }
        }
    };
}

pub(crate) mod digest;
pub(crate) mod ledger;
pub(crate) mod log;
pub(crate) mod remote;
pub(crate) mod status;
pub(crate) mod submit;
pub(crate) mod watch;
pub(crate) mod work;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show the host: daemon, agents, works, money today, what waits for a person
    Status(status::Args),
    /// Submit work: a text, flags, or a file with one work or many
    Submit(submit::Args),
    /// Watch works until they are over, or everything as it happens
    Watch(watch::Args),
    /// Tell the story of one work, or show the event log
    Log(log::Args),
    /// Say why a work runs there, or does not run
    Why(work::why::Args),
    /// Call a work off
    Cancel(work::cancel::Args),
    /// Give a work that failed, expired or was cancelled one more attempt
    Retry(work::retry::Args),
    /// Accept a result that waits for a person
    Accept(work::accept::Args),
    /// Refuse a result that waits for a person; the next attempt is told why
    Reject(work::reject::Args),
    /// Say what was done, what failed, what waits, and what to type next
    Digest(digest::Args),
    /// Works: list them, look at one, steer it
    #[command(subcommand)]
    Work(work::Command),
    /// The ledger: read it, verify it, prove from it, take it away
    #[command(subcommand)]
    Ledger(ledger::Command),
}

dispatch!(Command { Status Submit Watch Log Why Cancel Retry Accept Reject Digest Work Ledger });

/// A reason that must say something.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    let most = agentd_schemas::document::agent::MAX_REASON_BYTES;
    match text.trim() {
        "" => Err("say why: the reason is kept for ever".to_owned()),
        trimmed if trimmed.len() > most => Err(format!("at most {most} bytes")),
        trimmed => Ok(trimmed.to_owned()),
    }
}

/// Reads a label written as `key=value`.
pub(crate) fn label(text: &str) -> Result<(LabelKey, LabelValue), String> {
    let (key, value) = text.split_once('=').ok_or("write it as key=value")?;
    let key = key.parse().map_err(|error| format!("{error}"))?;
    Ok((key, value.parse().map_err(|error| format!("{error}"))?))
}

/// A parser of one of the words that serde reads as a `T`.
pub(crate) fn word<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: serde::de::DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| serde_json::from_value::<T>(word.into()))
}
