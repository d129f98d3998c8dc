//! The life of a work: submit, claim, run, judge, end.
//!
//! One file per group of commands. Facts are what the ledger knows of one work and its run; every function here is
//! pure and bounded by the facts it is given.

pub mod claim;
pub mod deadline;
pub mod ending;
pub mod facts;
pub mod frozen;
pub mod judge;
pub mod person;
pub mod prepare;
pub mod program;
pub mod recover;
mod room;
pub mod schema;
pub mod share;
pub mod spend;
pub mod submit;
pub mod why;

pub use facts::{Dependant, LiveRun, WorkFacts};
pub use prepare::{NewWork, Reference, prepare};
