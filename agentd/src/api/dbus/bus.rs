//! On the session or the system bus: the name is ours or the start fails, and the bus says who calls.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agentd_schemas::dbus::{BUS_NAME, OBJECT_PATH};
use agentd_schemas::problem::{Code, Problem};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::fdo::{ConnectionCredentials, DBusProxy, RequestNameFlags};
use zbus::message::Header;
use zbus::names::{BusName, OwnedUniqueName, UniqueName};

use super::door::Door;
use super::{agents, host, ledger, objectives, schedules, works};
use crate::api::stop::stopped;
use crate::api::{Callers, inside};
use crate::engine::Engine;
use crate::engine::meters::BusState;
use crate::policy::Caller;
use crate::sys::groups::groups_of_uid;
use crate::sys::peer::Peer;

/// Senders whose credentials are kept, at most. A unique name is never given out twice while the bus lives.
const MAX_KNOWN: usize = 1024;
/// Calls that are being answered at a time, at most.
const MAX_OPEN: usize = 1024;
/// How long open calls get to be answered once the daemon stops.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Which bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bus {
    /// The user's.
    Session,
    /// The host's.
    System,
    /// The bus at this address, as D-Bus writes addresses.
    At(String),
}

impl Bus {
    fn builder(&self) -> Builder<'_> {
        match self {
            Self::Session => Builder::session(),
            Self::System => Builder::system(),
            Self::At(address) => Builder::address(address.as_str()),
        }
    }
}

impl fmt::Display for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session => f.write_str("session bus"),
            Self::System => f.write_str("system bus"),
            Self::At(address) => write!(f, "bus at {address}"),
        }
    }
}

/// Why agentd is not on the bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// There is no such bus, or it refuses us.
    #[error("cannot connect to the {bus}: {source}")]
    Connect {
        /// Which bus.
        bus: Bus,
        /// What D-Bus said.
        source: zbus::Error,
    },
    /// Another process has the name.
    #[error("the name {BUS_NAME} on the {bus} belongs to {holder}; stop that process first")]
    NameTaken {
        /// Which bus.
        bus: Bus,
        /// Unique name and process id, as far as the bus tells.
        holder: String,
    },
    /// The bus does not let us have the name.
    #[error("the {bus} does not give out the name {BUS_NAME}: {source}; install the D-Bus policy of agentd")]
    NameRefused {
        /// Which bus.
        bus: Bus,
        /// What D-Bus said.
        source: zbus::Error,
    },
}

/// Opens the door on a bus and serves it until `stop` turns true or its sender is gone.
///
/// The name is requested last: who can call us finds everything in place. A bus that goes away is not come back to.
pub async fn serve_bus(
    engine: Engine,
    bus: Bus,
    callers: Callers,
    stop: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, BusError> {
    let connect = |source| BusError::Connect { bus: bus.clone(), source };
    let connection = bus.builder().build().await.map_err(connect)?;
    let proxy = DBusProxy::new(&connection).await.map_err(connect)?;
    let served = engine.clone();
    let door = Arc::new(Door::of_bus(engine, BusCallers::new(callers, proxy.clone())));
    offer(&connection, &door).await.map_err(connect)?;
    match connection.request_name_with_flags(BUS_NAME, RequestNameFlags::DO_NOT_QUEUE).await {
        Ok(_) => {
            served.meters().bus(BusState::Connected);
            Ok(tokio::spawn(until(served, connection, door, bus, stop)))
        }
        Err(zbus::Error::NameTaken) => Err(BusError::NameTaken { bus, holder: holder(&proxy).await }),
        Err(source) => Err(BusError::NameRefused { bus, source }),
    }
}

/// Keeps the connection; calls that are being answered at the end get their answer first.
async fn until(engine: Engine, connection: Connection, door: Arc<Door>, bus: Bus, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        () = connection.closed() => {
            engine.meters().bus(BusState::Lost);
            tracing::error!("the {bus} is gone; the other doors stay open");
        }
        () = stopped(&mut stop) => {
            door.followers.end();
            // The interfaces know the bus, so they would hold their own connection open.
            if let Err(error) = withdraw(&connection).await {
                tracing::debug!("the interfaces were not withdrawn from the {bus}: {error}");
            }
            drop(door);
            let _ = tokio::time::timeout(LAST_ANSWERS, connection.graceful_shutdown()).await;
        }
    }
}

async fn offer(connection: &Connection, door: &Arc<Door>) -> zbus::Result<()> {
    let server = connection.object_server();
    server.at(OBJECT_PATH, host::Host(door.clone())).await?;
    server.at(OBJECT_PATH, works::Works(door.clone())).await?;
    server.at(OBJECT_PATH, agents::Agents(door.clone())).await?;
    server.at(OBJECT_PATH, schedules::Schedules(door.clone())).await?;
    server.at(OBJECT_PATH, objectives::Objectives(door.clone())).await?;
    server.at(OBJECT_PATH, ledger::Ledger(door.clone())).await?;
    Ok(())
}

async fn withdraw(connection: &Connection) -> zbus::Result<()> {
    let server = connection.object_server();
    server.remove::<host::Host, _>(OBJECT_PATH).await?;
    server.remove::<works::Works, _>(OBJECT_PATH).await?;
    server.remove::<agents::Agents, _>(OBJECT_PATH).await?;
    server.remove::<schedules::Schedules, _>(OBJECT_PATH).await?;
    server.remove::<objectives::Objectives, _>(OBJECT_PATH).await?;
    server.remove::<ledger::Ledger, _>(OBJECT_PATH).await?;
    Ok(())
}

/// Who has our name, for the error.
async fn holder(proxy: &DBusProxy<'_>) -> String {
    let Ok(name) = BusName::try_from(BUS_NAME) else { return BUS_NAME.to_owned() };
    let Ok(owner) = proxy.get_name_owner(name).await else { return "another process".to_owned() };
    match proxy.get_connection_unix_process_id(BusName::from(owner.clone())).await {
        Ok(pid) => format!("process {pid} ({owner})"),
        Err(_) => owner.to_string(),
    }
}

/// A sender, and why it is not heard where it is not.
type Known = Result<Arc<Caller>, Problem>;

/// The callers of a bus, as the bus knows them.
pub(super) struct BusCallers {
    callers: Callers,
    proxy: DBusProxy<'static>,
    known: Mutex<HashMap<OwnedUniqueName, Known>>,
    open: Arc<Semaphore>,
}

impl BusCallers {
    fn new(callers: Callers, proxy: DBusProxy<'static>) -> Self {
        Self { callers, proxy, known: Mutex::default(), open: Arc::new(Semaphore::new(MAX_OPEN)) }
    }

    /// Room for one more call.
    pub(super) fn permit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let busy = || Problem::new(Code::Busy, format!("{MAX_OPEN} calls are being answered")).hint("try again");
        self.open.clone().try_acquire_owned().map_err(|_| busy())
    }

    /// Who sent the message. The bus fills in the sender itself.
    pub(super) async fn caller(&self, engine: &Engine, header: &Header<'_>) -> Result<Arc<Caller>, Problem> {
        let unknown = |why: &dyn std::fmt::Display| {
            Problem::new(Code::Unauthenticated, format!("the bus does not say who sent the message: {why}"))
        };
        let sender = header.sender().ok_or_else(|| unknown(&"it has no sender"))?;
        if let Some(known) = self.remembered(sender) {
            return known;
        }
        let name = BusName::from(sender.to_owned());
        let found = self.proxy.get_connection_credentials(name).await.map_err(|error| unknown(&error))?;
        let caller = Arc::new(self.of_credentials(&found).await?);
        let known = inside::outside(engine, peer(caller.uid, found), "the bus").await.map(|()| caller);
        self.remember(sender, &known);
        known
    }

    async fn of_credentials(&self, found: &ConnectionCredentials) -> Result<Caller, Problem> {
        let uid = found
            .unix_user_id()
            .ok_or_else(|| Problem::new(Code::Unauthenticated, "the bus does not tell the uid of the sender"))?;
        if let Some(groups) = found.unix_group_ids() {
            return Ok(self.callers.of_groups(uid, groups));
        }
        // An older bus. The host's user database may be a server far away.
        let groups = tokio::task::spawn_blocking(move || groups_of_uid(uid)).await.map_err(Problem::internal)?;
        Ok(self.callers.of_groups(uid, &groups.map_err(Problem::internal)?.unwrap_or_default()))
    }

    fn remembered(&self, sender: &UniqueName<'_>) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(sender.as_str()).cloned()
    }

    fn remember(&self, sender: &UniqueName<'_>, found: &Known) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(sender.to_owned().into(), found.clone());
    }
}

/// The process that connected to the bus, as far as the bus tells. Not each has a descriptor of it.
fn peer(uid: u32, found: ConnectionCredentials) -> Peer {
    let pid = found.process_id();
    Peer { uid, gid: u32::MAX, pid, groups: Vec::new(), pidfd: found.into_process_fd().map(OwnedFd::from), gone: false }
}
