//! The durable log and its projections: load facts, append events, project them, prove and verify.
//!
//! One writer owns the write connection; readers are read-only. Every change of state is an event, written in the same
//! transaction as the tables that it changes. It never holds a rule: those are in `domain`.

pub mod append;
pub mod backup;
pub mod blobs;
pub mod checkpoint;
pub mod commit;
pub mod export;
pub mod incarnation;
pub mod load;
pub mod open;
pub mod project;
pub mod prove;
pub mod query;
pub mod rebuild;
pub mod restore;
#[cfg(test)]
mod small;
pub mod sqlite;
pub mod store;
pub mod tree;
pub mod verify;
pub mod writer;
