//! What the integration tests share: real binaries, in their own processes, driven through their real doors.
//!
//! Not here: anything that looks inside the daemon. A test reads answers, files and exit codes, as a user could.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on ends there, and starts processes with an environment of its own"
)]

pub mod escapes;
pub mod harness;
