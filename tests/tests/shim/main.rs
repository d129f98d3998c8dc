//! `agentd-shim`, the parent of one run: what it lets a program do, what it writes down, and what gets out.
//!
//! Every scene has a folder of its own and, where the tests run as root, a user of its own: a run is never root's.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

mod control;
mod ending;
mod escapes;
mod freezing;
mod output;
mod proc;
mod record;
mod running;
mod scene;
