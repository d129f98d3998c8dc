//! What the tests of the doors stand on: a real engine with a ledger of its own.

use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::domain::Defaults;
use crate::engine::{self, Engine, Settings};
use crate::sys::scratch::Scratch;

/// An engine without its loops; its state goes away with the second value.
pub(super) async fn engine() -> (Engine, Scratch) {
    let state = Scratch::new();
    let settings = Settings {
        mode: "private",
        state: state.path().to_owned(),
        agents_socket: state.join("agents.sock"),
        trust_domain: None,
        zone: TimeZone::UTC,
        defaults: Arc::new(Defaults::default()),
    };
    (engine::start(settings).await.unwrap(), state)
}
