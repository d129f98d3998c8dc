//! What can be asked of the ledger: each query builds one document of a door from the projections, for one viewer.
//!
//! Queries read and never write, decide nothing, and know no clock: the moment, the configured defaults and what only
//! memory holds come in as arguments. Every query is bounded and led by an index, whatever the size of the ledger; it
//! counts with `counts` and `queues.ready`, not by counting works. Who may not see a thing does not learn that it exists:
//! the answer is the same "not found". A query runs in one read transaction of its caller, or on a quiet connection.

pub mod agents;
pub mod claim;
pub mod cost;
pub mod host;
pub mod ledger;
pub mod named;
pub mod parked;
pub mod plans;
pub mod resolve;
pub mod works;

mod read;
mod sight;

#[cfg(test)]
mod tests;

use agentd_schemas::document::request::MAX_PAGE;
use agentd_schemas::problem::{Code, Problem};

use super::load::LoadError;

/// Whether a queue is parked: it has ready works and nobody who is able to take them.
pub type IsParked<'a> = &'a dyn Fn(i64) -> bool;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// There is none, or the viewer may not learn of it.
    #[error("no {kind} {text:?}")]
    NotFound {
        /// `work`, `agent`, `schedule`.
        kind: &'static str,
        /// What was asked for, cut to 64 characters.
        text: String,
    },
    /// A prefix or a name that fits more than one.
    #[error("{text:?} fits more than one {kind}")]
    Ambiguous {
        /// `work` or `schedule`.
        kind: &'static str,
        /// What was asked for, cut to 64 characters.
        text: String,
        /// Some of those that it fits, whole ids, at most 5.
        candidates: Vec<String>,
    },
    /// A filter that so few match that looking on would take too long.
    #[error("none of {examined} {kind}s matches")]
    TooBroad {
        /// `work` or `run`.
        kind: &'static str,
        /// How many were looked at.
        examined: usize,
        /// The cursor to go on from.
        before: u64,
    },
    /// A filter that means nothing.
    #[error("filter {field}: {value:?} is not {expected}")]
    Filter {
        /// The field of the filter.
        field: &'static str,
        /// Its value, cut to 64 characters.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The content was erased.
    #[error("the content of event {event}, slot {slot} was redacted")]
    Redacted {
        /// Log index of the event.
        event: u64,
        /// Which of its blobs.
        slot: u8,
    },
    /// A broken invariant, or a failing disk.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl From<rusqlite::Error> for QueryError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Load(LoadError::Sqlite(error))
    }
}

impl QueryError {
    fn not_found(kind: &'static str, text: impl std::fmt::Display) -> Self {
        Self::NotFound { kind, text: cut(&text.to_string()) }
    }

    fn filter(field: &'static str, value: impl std::fmt::Display, expected: &'static str) -> Self {
        Self::Filter { field, value: cut(&value.to_string()), expected }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let says = error.to_string();
        match error {
            QueryError::NotFound { kind, .. } => {
                let problem = Self::new(Code::NotFound, says);
                match kind {
                    "work" => problem.hint("see: agentctl work list"),
                    "agent" => problem.hint("see: agentctl agent list"),
                    "schedule" => problem.hint("see: agentctl schedule list"),
                    _ => problem.hint("see: agentctl ledger log"),
                }
            }
            QueryError::Ambiguous { candidates, .. } if candidates.is_empty() => {
                Self::new(Code::Ambiguous, says).hint("write more characters of the id")
            }
            QueryError::Ambiguous { candidates, .. } => Self::new(Code::Ambiguous, says)
                .hint(format!("write more of one of: {}", candidates.join(", ")))
                .detail("candidates", candidates),
            QueryError::TooBroad { before, .. } => Self::new(Code::OutOfBounds, says)
                .hint(format!("narrow the filter, or go on with older ones: before = {before}"))
                .detail("before", before),
            QueryError::Filter { expected, field, .. } => {
                Self::new(Code::InvalidDocument, says).hint(format!("{field} is {expected}"))
            }
            QueryError::Redacted { .. } => Self::new(Code::Redacted, says)
                .hint("who erased it and why stands in: agentctl ledger log --subject host"),
            QueryError::Load(error) => Self::internal(error),
        }
    }
}

/// A text as an error repeats it.
fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

/// The rows of a page: what was asked for, within 1 and [`MAX_PAGE`].
fn page_limit(asked: Option<u32>, default: u32) -> Result<usize, QueryError> {
    let limit = asked.unwrap_or(default);
    if limit == 0 || limit > MAX_PAGE {
        return Err(QueryError::filter("limit", limit, "a number from 1 to 1000"));
    }
    Ok(limit as usize)
}

/// A cursor as tables compare it; none begins at the newest.
fn before(cursor: Option<u64>) -> i64 {
    cursor.filter(|cursor| *cursor > 0).and_then(|cursor| i64::try_from(cursor).ok()).unwrap_or(i64::MAX)
}
