//! Runs that agentd starts, from a submit to a signed commit: what programs do to it, what dies on the way, and what is
//! left of it.
//!
//! Each scene has a daemon of its own with the rights of an ordinary user or of root, agents that are small scripts, and a
//! launcher that can be held or made to die at any step.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on ends there, and waits by a clock of its own"
)]

mod bounds;
mod content;
mod crashes;
mod criteria;
mod escapes;
mod evidence;
mod host;
mod keeping;
mod operators;
mod orders;
mod programs;
mod scene;
mod seen;
mod together;
mod whole_way;
