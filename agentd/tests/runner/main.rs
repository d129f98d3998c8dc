//! The steps of a run with real git, real tar and the real shim, at each level that the machine can do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on ends there"
)]

mod content;
mod hostile;
mod results;
mod scene;
mod way;
mod workspaces;
