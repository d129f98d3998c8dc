//! The doors: D-Bus for persons and their programs, HTTP on a unix socket for agents, and on one for each run.
//!
//! A door learns from the kernel (or from the bus, which learned it there) who is calling, reads the document strictly,
//! calls one operation of the engine, and writes the answer. It holds no rules: whether a caller may do a thing is
//! decided behind it.
//!
//! Invariant: who calls is known before a byte of the request is interpreted, nothing in a request can change it, and
//! every queue, message and number of connections has a bound.

mod accept;
pub mod callers;
pub mod dbus;
mod document;
pub mod http;
mod inside;
mod internal;
pub mod metrics;
mod places;
pub mod run;
mod stop;

pub use callers::{Callers, Users};
