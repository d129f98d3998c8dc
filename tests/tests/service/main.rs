//! agentd under a service manager: its places, its sockets, its signals, and what it tells.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

mod cut_off;
mod manager;
mod people;
mod places;
mod reload;
mod told;
mod watchdog;
