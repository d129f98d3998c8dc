//! The rules, pure: `decide(&Facts, &Command, &Env)` gives the events that happen, or a rejection.
//!
//! Nothing here reads a clock, a file, the network, the database or a random source: facts are loaded by the ledger,
//! time and fresh ids come in with [`Env`]. What is decided here is what `why` explains, because both call the same
//! functions.

pub mod account;
pub mod agent;
pub mod command;
pub mod custody;
pub mod draft;
pub mod env;
#[cfg(test)]
pub(crate) mod fixture;
pub mod host;
pub mod matching;
pub mod objective;
pub mod runtime;
pub mod schedule;
pub mod template;
pub mod work;

pub use command::Command;
pub use draft::{Draft, NewBlob};
pub use env::{Defaults, Env, Ids};

/// A domain rejection: an answer, not an event.
pub type Rejection = agentd_schemas::problem::Problem;

/// What a decision gives: the events that happen, in order. None is a lawful answer: nothing to do.
pub type Decision = Result<Vec<Draft>, Rejection>;
