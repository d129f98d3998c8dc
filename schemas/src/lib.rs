//! Everything of agentd that outlives one process: ids, wire types, event bodies, error codes, D-Bus names and
//! proxies, HTTP documents, and the log format with its verification.
//!
//! This crate holds no I/O and no rules. What it defines is read by other processes, by other versions of agentd and
//! by verifiers that share no code with it, so a change here is a change of format.

pub mod content;
pub mod dbus;
pub mod document;
pub mod event;
pub mod governance;
pub mod http;
pub mod id;
pub mod key;
pub mod launch;
pub mod log;
pub mod problem;
pub mod strict;
pub mod unit;
pub mod view;
