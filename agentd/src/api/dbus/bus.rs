//! On the session or the system bus: the name is ours or the start fails, and the bus says who calls.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agentd_schemas::dbus::BUS_NAME;
use agentd_schemas::problem::{Code, Problem};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::fdo::{self, ConnectionCredentials, DBusProxy, RequestNameFlags};
use zbus::message::Header;
use zbus::names::{BusName, OwnedUniqueName, UniqueName};

use super::door::Door;
use super::polkit::Subject;
use super::{offer, withdraw};
use crate::api::stop::stopped;
use crate::api::{Callers, inside};
use crate::engine::meters::BusState;
use crate::engine::{Engine, message_ids};
use crate::policy::Caller;
use crate::sys::groups::groups_of_uid;
use crate::sys::peer::Peer;

/// Senders whose credentials are kept, at most. A unique name is never given out twice while the bus lives.
const MAX_KNOWN: usize = 1024;
/// Calls that are being answered at a time, at most.
const MAX_OPEN: usize = 1024;
/// How long a bus may take to let us in.
const JOIN_TIME: Duration = Duration::from_secs(5);
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

impl BusError {
    /// Whether another attempt may go better: nobody said no for good.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Connect { .. } => true,
            Self::NameTaken { .. } => false,
            Self::NameRefused { source, .. } => !is_denied(source),
        }
    }
}

/// Whether the policy of the bus said no.
fn is_denied(error: &zbus::Error) -> bool {
    match error {
        zbus::Error::FDO(error) => matches!(**error, fdo::Error::AccessDenied(_)),
        zbus::Error::MethodError(name, ..) => name.as_str() == "org.freedesktop.DBus.Error.AccessDenied",
        _ => false,
    }
}

/// Opens the door on a bus and serves it until `stop` turns true or its sender is gone. A bus that goes away is not come
/// back to.
pub async fn serve_bus(
    engine: Engine,
    bus: Bus,
    callers: watch::Receiver<Callers>,
    stop: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, BusError> {
    let joined = join(&engine, &bus, &callers).await?;
    Ok(tokio::spawn(async move {
        joined.serve(&bus, stop).await;
    }))
}

/// A bus on which we have our name.
pub(super) struct Joined {
    engine: Engine,
    connection: Connection,
    door: Arc<Door>,
}

/// Connects and takes the name. It is requested last: who can call us finds everything in place.
pub(super) async fn join(engine: &Engine, bus: &Bus, callers: &watch::Receiver<Callers>) -> Result<Joined, BusError> {
    let connect = |source| BusError::Connect { bus: bus.clone(), source };
    let joining = async {
        let connection = bus.builder().build().await.map_err(connect)?;
        let proxy = DBusProxy::new(&connection).await.map_err(connect)?;
        let door = Arc::new(Door::of_bus(engine.clone(), BusCallers::new(callers.clone(), proxy.clone())));
        offer(&connection, &door).await.map_err(connect)?;
        let taken = connection.request_name_with_flags(BUS_NAME, RequestNameFlags::DO_NOT_QUEUE).await;
        let joined = Joined { engine: engine.clone(), connection, door };
        match taken {
            Ok(_) => {
                engine.meters().bus(BusState::Connected);
                Ok(joined)
            }
            Err(zbus::Error::NameTaken) => {
                let holder = holder(&proxy).await;
                joined.leave(bus, false).await;
                Err(BusError::NameTaken { bus: bus.clone(), holder })
            }
            Err(source) => {
                joined.leave(bus, false).await;
                Err(BusError::NameRefused { bus: bus.clone(), source })
            }
        }
    };
    // A bus that has no room leaves who comes without an answer.
    let late = || connect(zbus::Error::Handshake(format!("not over within {} seconds", JOIN_TIME.as_secs())));
    tokio::time::timeout(JOIN_TIME, joining).await.unwrap_or_else(|_| Err(late()))
}

impl Joined {
    /// Serves the bus. Whether it went away before we were told to stop.
    pub(super) async fn serve(self, bus: &Bus, mut stop: watch::Receiver<bool>) -> bool {
        let is_gone = tokio::select! {
            () = self.connection.closed() => true,
            () = stopped(&mut stop) => false,
        };
        if is_gone {
            self.engine.meters().bus(BusState::Lost);
            tracing::error!(MESSAGE_ID = message_ids::BUS_LOST, "the {bus} is gone; the other doors stay open");
        }
        self.door.followers.end();
        self.leave(bus, !is_gone).await;
        is_gone
    }

    /// Leaves the bus; with `answers`, calls that are being answered get their answer first.
    async fn leave(self, bus: &Bus, answers: bool) {
        // The interfaces know the bus, so they would hold their own connection open.
        if let Err(error) = withdraw(&self.connection).await {
            tracing::debug!("the interfaces were not withdrawn from the {bus}: {error}");
        }
        drop(self.door);
        if answers {
            let _ = tokio::time::timeout(LAST_ANSWERS, self.connection.graceful_shutdown()).await;
        } else if let Err(error) = self.connection.close().await {
            tracing::debug!("the connection to the {bus} was not closed: {error}");
        }
    }
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

/// Senders that were looked up, and the groups that counted then.
#[derive(Default)]
struct Remembered {
    with: Option<Callers>,
    senders: HashMap<OwnedUniqueName, Known>,
}

/// The callers of a bus, as the bus knows them.
pub(super) struct BusCallers {
    callers: watch::Receiver<Callers>,
    proxy: DBusProxy<'static>,
    known: Mutex<Remembered>,
    open: Arc<Semaphore>,
}

impl BusCallers {
    fn new(callers: watch::Receiver<Callers>, proxy: DBusProxy<'static>) -> Self {
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
        let callers = self.callers.borrow().clone();
        if let Some(known) = self.remembered(&callers, sender) {
            return known;
        }
        let name = BusName::from(sender.to_owned());
        let found = self.proxy.get_connection_credentials(name).await.map_err(|error| unknown(&error))?;
        let caller = Arc::new(of_credentials(&callers, &found).await?);
        let known = inside::outside(engine, peer(caller.uid, found), "the bus").await.map(|()| caller);
        self.remember(&callers, sender, &known);
        known
    }

    /// What polkit is asked about where the sender has to prove that it is there.
    pub(super) fn proved_as(&self, caller: &Caller, header: &Header<'_>) -> Option<Subject> {
        let sender = header.sender().filter(|_| self.callers.borrow().must_prove(caller))?;
        Some(Subject::BusName(sender.to_string()))
    }

    /// What was found out, unless other groups count by now.
    fn remembered(&self, callers: &Callers, sender: &UniqueName<'_>) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.with.as_ref().filter(|with| *with == callers)?;
        known.senders.get(sender.as_str()).cloned()
    }

    fn remember(&self, callers: &Callers, sender: &UniqueName<'_>, found: &Known) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.senders.len() >= MAX_KNOWN || known.with.as_ref() != Some(callers) {
            known.senders.clear();
            known.with = Some(callers.clone());
        }
        known.senders.insert(sender.to_owned().into(), found.clone());
    }
}

/// The caller with the credentials that the bus tells.
async fn of_credentials(callers: &Callers, found: &ConnectionCredentials) -> Result<Caller, Problem> {
    let uid = found
        .unix_user_id()
        .ok_or_else(|| Problem::new(Code::Unauthenticated, "the bus does not tell the uid of the sender"))?;
    if let Some(groups) = found.unix_group_ids() {
        return Ok(callers.of_groups(uid, groups));
    }
    // An older bus. The host's user database may be a server far away.
    let groups = tokio::task::spawn_blocking(move || groups_of_uid(uid)).await.map_err(Problem::internal)?;
    Ok(callers.of_groups(uid, &groups.map_err(Problem::internal)?.unwrap_or_default()))
}

/// The process that connected to the bus, as far as the bus tells. Not each has a descriptor of it.
fn peer(uid: u32, found: ConnectionCredentials) -> Peer {
    let pid = found.process_id();
    Peer { uid, gid: u32::MAX, pid, groups: Vec::new(), pidfd: found.into_process_fd().map(OwnedFd::from), gone: false }
}
