//! The door on the system bus, kept open: a daemon that serves a host does not depend on its bus. A bus that is not there,
//! that takes nobody at the moment, or that ends, is tried again; the private socket serves all the while.

use std::time::Duration;

use agentd_schemas::dbus::BUS_NAME;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::bus::{Bus, BusError, Joined, join};
use crate::api::Callers;
use crate::api::stop::stopped;
use crate::engine::health::About;
use crate::engine::{Engine, message_ids};

/// The pause before the bus is tried again, and what it grows to.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// See above.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Opens the door on a bus, and opens it again whenever the bus is back, until `stop` turns true or its sender is gone.
///
/// A bus that cannot be served yet is no error; one that says no for good is: another process has the name, or there is no
/// policy that lets us have it.
pub async fn keep_bus(
    engine: Engine,
    bus: Bus,
    callers: watch::Receiver<Callers>,
    stop: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, BusError> {
    let joined = match join(&engine, &bus, &callers).await {
        Ok(joined) => Some(joined),
        Err(error) if error.may_pass() => {
            complain(&engine, &bus, &error);
            None
        }
        Err(error) => return Err(error),
    };
    Ok(tokio::spawn(keep(engine, bus, callers, joined, stop)))
}

async fn keep(
    engine: Engine,
    bus: Bus,
    callers: watch::Receiver<Callers>,
    mut joined: Option<Joined>,
    mut stop: watch::Receiver<bool>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(joined) = joined.take() {
            engine.is_well(About::Bus);
            pause = FIRST_PAUSE;
            if !joined.serve(&bus, stop.clone()).await {
                return;
            }
            engine.complain(About::Bus, line(&bus, &"it ended"));
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stopped(&mut stop) => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
        let again = tokio::select! {
            again = join(&engine, &bus, &callers) => again,
            () = stopped(&mut stop) => return,
        };
        match again {
            Ok(again) => {
                tracing::info!(
                    MESSAGE_ID = message_ids::BUS_BACK,
                    "the {bus} is served: agentd has the name {BUS_NAME}"
                );
                joined = Some(again);
            }
            Err(error) => {
                tracing::debug!("the {bus} is tried again: {error}");
                engine.complain(About::Bus, line(&bus, &error));
            }
        }
    }
}

/// The first time it is said to the daemon's own log too.
fn complain(engine: &Engine, bus: &Bus, error: &BusError) {
    let line = line(bus, error);
    tracing::error!(MESSAGE_ID = message_ids::BUS_LOST, "{line}");
    engine.complain(About::Bus, line);
}

fn line(bus: &Bus, why: &dyn std::fmt::Display) -> String {
    format!("the {bus} is not served and is tried again, the sockets are open: {why}")
}
