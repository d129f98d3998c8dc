//! The rules, pure.
pub mod schedule;
