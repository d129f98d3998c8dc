//! `agentd-launch`: whom it starts as whom, what it refuses whoever asks, what it leaves behind, and what holds a run.
//!
//! Each scene has a run of its own, with a folder of runs around it; as root, it plays the daemon that the launcher does not
//! trust.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

mod groups;
mod killed;
mod network;
mod probe;
mod refusals;
mod removing;
mod scene;
mod starting;
