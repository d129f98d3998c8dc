//! The operators' door: the interfaces of `agentd_schemas::dbus`, served on a private socket without a bus, and on the
//! session or system bus.
//!
//! The same six interfaces stand on one object everywhere. What differs is who tells the uid of a caller: the kernel on
//! the private socket, the bus on a bus. One interface is one file, and each of its methods reads a document, calls one
//! operation of the engine and writes the answer.
//!
//! Invariant: a connection holds at most a fixed number of calls that are not answered yet; what goes beyond waits
//! unread in the socket, or is refused as busy on a bus.

mod agents;
mod bus;
mod door;
mod follow;
mod host;
mod keep;
mod ledger;
mod objectives;
mod polkit;
mod private;
mod refusal;
mod schedules;
mod socket;
#[cfg(test)]
mod tests;
mod works;

use std::sync::Arc;

use agentd_schemas::dbus::OBJECT_PATH;
use zbus::connection::Builder;

pub use bus::{Bus, BusError, serve_bus};
pub use keep::keep_bus;
pub use private::serve_private;

use door::Door;

/// Puts the interfaces on the object of a connection that is being built.
fn serve<'a>(builder: Builder<'a>, door: &Arc<Door>) -> Builder<'a> {
    builder
        .serve_at(OBJECT_PATH, host::Host(door.clone()))
        .serve_at(OBJECT_PATH, works::Works(door.clone()))
        .serve_at(OBJECT_PATH, agents::Agents(door.clone()))
        .serve_at(OBJECT_PATH, schedules::Schedules(door.clone()))
        .serve_at(OBJECT_PATH, objectives::Objectives(door.clone()))
        .serve_at(OBJECT_PATH, ledger::Ledger(door.clone()))
}
