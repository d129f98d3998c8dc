//! The log format: leaves, tree, proofs, checkpoints, commitments and exports.
//!
//! Everything here is a pure function of the bytes passed in, so that a daemon, a command line on another machine and
//! a fuzzer run the same code. It is not the ledger: nothing here stores, signs on its own account or reads a clock.
//!
//! Invariant: whatever is accepted has exactly one byte form. Text that parses formats back to the same bytes, and
//! text that would not is refused.

pub mod announced;
pub mod commitment;
pub mod export;
mod hex;
pub mod note;
pub mod proof;
pub mod tlog_proof;
pub mod tree;
