//! The commands: a noun is a folder, a verb is a file with its arguments and what it does.

use agentd_schemas::unit::duration::Span;
use agentd_schemas::unit::money::Usd;
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

pub(crate) mod agent;
mod budget;
mod clock;
mod complete;
mod completions;
mod config;
mod cost;
mod digest;
mod doctor;
mod explain;
mod freeze;
mod gc;
mod governance;
pub(crate) mod ledger;
mod log;
mod man;
pub(crate) mod model;
mod policy;
pub(crate) mod remote;
pub(crate) mod run;
pub(crate) mod schedule;
mod slo;
mod status;
pub(crate) mod submit;
mod thaw;
mod watch;
pub(crate) mod work;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show the host: daemon, agents, works, money today, what waits for a person
    Status(status::Args),
    Doctor(doctor::Args),
    Submit(submit::Args),
    Watch(watch::Args),
    Log(log::Args),
    /// Say why a work runs there, or does not run
    Why(work::why::Args),
    /// Call a work off
    Cancel(work::cancel::Args),
    /// Give a work that failed, expired or was cancelled one more attempt
    Retry(work::retry::Args),
    Accept(work::accept::Args),
    /// Refuse a result that waits for a person; the next attempt is told why
    Reject(work::reject::Args),
    /// Show what an agent did, newest first
    History(agent::history::Args),
    /// Say what was done, what failed, what waits, and what to type next
    Digest(digest::Args),
    Cost(cost::Args),
    Gc(gc::Args),
    Freeze(freeze::Args),
    /// End a freeze
    Thaw(thaw::Args),
    /// Works: list them, look at one, steer it
    #[command(subcommand)]
    Work(work::Command),
    /// Agents: enrol them, look at one, pause it, serve as one
    #[command(subcommand)]
    Agent(agent::Command),
    /// Models: which one an agent thinks with, and what came of each
    #[command(subcommand)]
    Model(model::Command),
    /// Schedules: works that are submitted again and again
    #[command(subcommand)]
    Schedule(schedule::Command),
    /// Inside a run that agentd started: speak as this run
    #[command(subcommand)]
    Run(run::Command),
    /// Service-level objectives: attainment, error budget left, burn rate
    Slo(slo::Args),
    /// Budgets: what the host, owners and agents may spend
    #[command(subcommand)]
    Budget(budget::Command),
    /// Policies: who may do what here, and why
    #[command(subcommand)]
    Policy(policy::Command),
    /// A declared host: what files say it should be
    #[command(subcommand)]
    Config(config::Command),
    /// Rules of who may do which stage of a work: what they mean, and who would do it
    #[command(subcommand)]
    Governance(governance::Command),
    /// The ledger: read it, verify it, prove from it, take it away
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// The wall clock, after it jumped
    #[command(subcommand)]
    Clock(clock::Command),
    Explain(explain::Args),
    Completions(completions::Args),
    /// Print the names that a shell completes a word with
    #[command(name = "__complete", hide = true)]
    Complete(complete::Args),
    /// Write the manual pages
    Man(man::Args),
}

dispatch!(Command {
    Status Doctor Submit Watch Log Why Cancel Retry Accept Reject History Digest Cost Gc Freeze Thaw
    Work Agent Model Schedule Run Slo Budget Policy Config Governance Ledger Clock Explain Completions Complete Man
});

/// A parser of how many, which is some.
pub(crate) fn at_least_one() -> impl TypedValueParser<Value = u32> {
    whole(1..=u32::MAX)
}

/// A parser of whole numbers within bounds, which it names when it refuses.
pub(crate) fn whole<N>(bounds: std::ops::RangeInclusive<N>) -> impl TypedValueParser<Value = N>
where
    N: std::str::FromStr + PartialOrd + std::fmt::Display + Clone + Send + Sync + 'static,
{
    move |text: &str| match text.parse::<N>() {
        Ok(number) if bounds.contains(&number) => Ok(number),
        _ => Err(match bounds.end().to_string() {
            // The last number of a type tells nobody anything.
            end if end.len() > 9 => format!("write a whole number, {} or more", bounds.start()),
            end => format!("write a whole number from {} to {end}", bounds.start()),
        }),
    }
}

/// Reads an amount of money.
pub(crate) fn money(text: &str) -> Result<Usd, String> {
    if text.starts_with('-') {
        return Err("an amount cannot be negative; write it as 2usd".to_owned());
    }
    text.parse().map_err(|error| format!("{error}"))
}

/// Reads a duration.
pub(crate) fn span(text: &str) -> Result<Span, String> {
    if text.starts_with('-') {
        return Err("a duration cannot be negative; write it as 30s or 1h".to_owned());
    }
    text.parse().map_err(|error| format!("{error}"))
}

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
