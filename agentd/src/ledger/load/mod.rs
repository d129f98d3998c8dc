//! Loading facts: bounded reads of the projections, in the same transaction that the decision is written in.

pub mod accounts;
pub mod agents;
pub mod content;
pub mod erased;
pub mod host;
pub mod pauses;
pub mod plans;
pub mod programs;
pub mod repeated;
pub mod resource;
pub mod submit;
pub mod why;
pub mod works;

/// Why facts cannot be loaded. Everything here is a broken invariant or a failing disk, never a caller's mistake.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database failed.
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A stored event cannot be read.
    #[error("event {index}: {source}")]
    Event {
        /// Its place in the log.
        index: i64,
        /// What is wrong.
        source: agentd_schemas::event::envelope::EventError,
    },
    /// A table holds what no event can have put there.
    #[error("table {table}, row {row}: {what}")]
    Table {
        /// Which table.
        table: &'static str,
        /// Which row.
        row: i64,
        /// What is wrong.
        what: String,
    },
}

/// Loaded facts.
pub type Loaded<T> = Result<T, LoadError>;
