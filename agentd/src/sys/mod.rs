//! The operating system: clocks, randomness, environment, files, locks, sockets, peers.
//!
//! This is the only room that holds `unsafe`, reads a clock, draws randomness or looks at the environment; every other
//! room receives those as arguments. It holds no rules: it does not know what a work, an agent or a grant is, and it
//! decides nothing about them.
//!
//! Invariant: a fact that comes out of here (a uid, a time, a mode) was asked of the kernel at that moment, is bounded
//! in size, and is an error with a name when the kernel would not tell.

pub mod become_user;
pub mod cgroup;
pub mod children;
pub mod clock;
pub mod confine;
pub mod deposit;
pub mod descriptor;
pub mod directory;
pub mod env;
pub mod exit;
pub mod failpoint;
pub mod groups;
pub mod lineage;
pub mod lock;
pub mod os_error;
pub mod outlet;
pub mod passed;
pub mod peer;
pub mod power;
mod proc_file;
pub mod process;
pub mod random;
pub mod rights;
pub mod room;
#[cfg(test)]
pub(crate) mod scratch;
pub mod sd_notify;
pub mod secret_file;
pub mod signals;
pub mod socket;
pub mod tree;

pub use proc_file::ProcFileError;
