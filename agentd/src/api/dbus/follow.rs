//! The `appended` signal: sent to those who asked for it and to nobody else.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agentd_schemas::dbus::OBJECT_PATH;
use agentd_schemas::problem::{Code, Problem};
use futures_util::StreamExt;
use tokio::sync::watch;
use zbus::Connection;
use zbus::names::{BusName, OwnedUniqueName};
use zbus::object_server::SignalEmitter;

use super::ledger::Ledger;

/// Followers of one bus, at most.
const MAX_FOLLOWERS: usize = 256;
/// The least time between two signals: the log may grow ten thousand times a second.
const PAUSE: Duration = Duration::from_millis(50);

/// The followers of one connection. `None` stands for the peer itself, where there is no bus between.
#[derive(Clone, Default)]
pub(super) struct Followers(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    names: BTreeSet<Option<OwnedUniqueName>>,
    told: bool,
}

impl Followers {
    /// Adds a follower; the first one starts the telling.
    pub(super) fn add(
        &self,
        connection: &Connection,
        size: watch::Receiver<u64>,
        follower: Option<OwnedUniqueName>,
    ) -> Result<(), Problem> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.names.len() >= MAX_FOLLOWERS && !state.names.contains(&follower) {
            return Err(Problem::new(Code::Busy, format!("{MAX_FOLLOWERS} connections follow the log already"))
                .hint("read with EventsSince from time to time instead"));
        }
        state.names.insert(follower);
        if !state.told {
            state.told = true;
            tokio::spawn(tell(connection.clone(), size, self.clone()));
        }
        Ok(())
    }

    fn names(&self) -> Vec<Option<OwnedUniqueName>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).names.iter().cloned().collect()
    }

    fn remove(&self, follower: &OwnedUniqueName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).names.remove(&Some(follower.clone()));
    }
}

/// Tells the followers of a connection until it or the engine is gone.
async fn tell(connection: Connection, mut size: watch::Receiver<u64>, followers: Followers) {
    let forget = forget(&connection, &followers);
    tokio::select! {
        () = connection.closed() => {}
        () = forget => {}
        () = async {
            while size.changed().await.is_ok() {
                let now = *size.borrow_and_update();
                for follower in followers.names() {
                    if let Err(error) = send(&connection, follower, now).await {
                        tracing::debug!("a follower was not told: {error}");
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        } => {}
    }
}

async fn send(connection: &Connection, follower: Option<OwnedUniqueName>, size: u64) -> zbus::Result<()> {
    let mut emitter = SignalEmitter::new(connection, OBJECT_PATH)?;
    if let Some(name) = follower {
        emitter = emitter.set_destination(BusName::from(name));
    }
    Ledger::appended(&emitter, size).await
}

/// Forgets followers that left the bus. Ends only with the bus; without a bus it waits for ever.
async fn forget(connection: &Connection, followers: &Followers) {
    if !connection.is_bus() {
        return std::future::pending().await;
    }
    let changes = async { zbus::fdo::DBusProxy::new(connection).await?.receive_name_owner_changed().await };
    let Ok(mut changes) = changes.await else {
        return std::future::pending().await;
    };
    while let Some(change) = changes.next().await {
        if let Ok(change) = change.args()
            && change.new_owner().is_none()
            && let BusName::Unique(name) = change.name()
        {
            followers.remove(&name.to_owned().into());
        }
    }
}
