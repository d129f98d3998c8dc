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
use zbus::Connection;
use zbus::connection::Builder;

pub use bus::{Bus, BusError, serve_bus};
pub use keep::keep_bus;
pub use private::serve_private;

use door::Door;

/// The interfaces, of which each has its methods in a file of its own: on a connection that is being built, and on one that is
/// there already, where they are put and taken away again.
macro_rules! interfaces {
    ($($interface:path),* $(,)?) => {
        fn serve<'a>(builder: Builder<'a>, door: &Arc<Door>) -> Builder<'a> {
            builder$(.serve_at(OBJECT_PATH, $interface(door.clone())))*
        }

        async fn offer(connection: &Connection, door: &Arc<Door>) -> zbus::Result<()> {
            let server = connection.object_server();
            $(server.at(OBJECT_PATH, $interface(door.clone())).await?;)*
            Ok(())
        }

        async fn withdraw(connection: &Connection) -> zbus::Result<()> {
            let server = connection.object_server();
            $(server.remove::<$interface, _>(OBJECT_PATH).await?;)*
            Ok(())
        }
    };
}

interfaces! {
    host::Host,
    works::Works,
    agents::Agents,
    schedules::Schedules,
    objectives::Objectives,
    ledger::Ledger,
}
