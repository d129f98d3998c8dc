//! What of systemd's D-Bus interface the launcher uses: org.freedesktop.systemd1(5), by small proxies of our own.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::Mutex;
use zbus::{OwnedObjectPath, Variant};

use agentd_schemas::launch::UnitState;

/// How long systemd may take for a job of ours.
const PATIENCE: Duration = Duration::from_secs(20);
/// The bus, unless the service says otherwise.
const BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// Properties as `StartTransientUnit` takes them.
pub(super) type Properties<'a> = Vec<(&'a str, Variant<'a>)>;

/// Name, description, load state, active state, sub state, who it follows, path, job, its type, its path.
type Listed = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    fn subscribe(&self) -> zbus::Result<()>;
    fn start_transient_unit(
        &self,
        name: &str,
        mode: &str,
        properties: &Properties<'_>,
        aux: &[(&str, Properties<'_>)],
    ) -> zbus::Result<OwnedObjectPath>;
    fn kill_unit(&self, name: &str, who: &str, signal: i32) -> zbus::Result<()>;
    fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;
    fn get_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
    fn list_units_by_patterns(&self, states: &[&str], patterns: &[String]) -> zbus::Result<Vec<Listed>>;
    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: OwnedObjectPath, unit: String, result: String) -> zbus::Result<()>;
}

#[zbus::proxy(interface = "org.freedesktop.systemd1.Unit", default_service = "org.freedesktop.systemd1")]
trait Unit {
    #[zbus(property(emits_changed_signal = "false"))]
    fn active_state(&self) -> zbus::Result<String>;
}

#[zbus::proxy(interface = "org.freedesktop.systemd1.Service", default_service = "org.freedesktop.systemd1")]
trait Service {
    #[zbus(property(emits_changed_signal = "false"))]
    fn result(&self) -> zbus::Result<String>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn exec_main_status(&self) -> zbus::Result<i32>;
    #[zbus(property(emits_changed_signal = "false"), name = "MainPID")]
    fn main_pid(&self) -> zbus::Result<u32>;
    #[zbus(property(emits_changed_signal = "false"), name = "CPUUsageNSec")]
    fn cpu_usage_nsec(&self) -> zbus::Result<u64>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn memory_peak(&self) -> zbus::Result<u64>;
}

/// Why systemd did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum SystemdError {
    /// It is not reached.
    #[error("systemd is not reached over the system bus: {0}")]
    Bus(zbus::Error),
    /// It does not take the unit.
    #[error("systemd does not take the unit {unit}: {source}")]
    Unit {
        /// Its name.
        unit: String,
        /// What it said.
        source: zbus::Error,
    },
    /// The unit did not start.
    #[error("the unit {unit} did not start: {result}")]
    Start {
        /// Its name.
        unit: String,
        /// How the job ended.
        result: String,
    },
    /// It did not answer.
    #[error("systemd did not start the unit {unit} within {} seconds", PATIENCE.as_secs())]
    Late {
        /// Its name.
        unit: String,
    },
}

/// The way to systemd: a connection that is made when it is needed, and anew when the bus went away.
#[derive(Default)]
pub(super) struct Systemd(Mutex<Option<zbus::Connection>>);

impl Systemd {
    async fn manager(&self) -> Result<ManagerProxy<'static>, SystemdError> {
        let mut held = self.0.lock().await;
        if let Some(connection) = held.as_ref() {
            let manager = ManagerProxy::new(connection).await.map_err(SystemdError::Bus)?;
            // A connection whose bus is gone is known by its first call.
            if manager.subscribe().await.is_ok() || is_alive(connection).await {
                return Ok(manager);
            }
        }
        let builder = zbus::connection::Builder::address(BUS);
        let connection = builder.method_timeout(PATIENCE).build().await.map_err(SystemdError::Bus)?;
        let manager = ManagerProxy::new(&connection).await.map_err(SystemdError::Bus)?;
        manager.subscribe().await.map_err(SystemdError::Bus)?;
        *held = Some(connection);
        Ok(manager)
    }

    /// Starts a transient unit and waits until systemd says that it did.
    pub(super) async fn start(&self, unit: &str, properties: &Properties<'_>) -> Result<(), SystemdError> {
        let manager = self.manager().await?;
        // Before the call: a job may be over before its answer is here.
        let mut removed = manager.receive_job_removed().await.map_err(SystemdError::Bus)?;
        let refused = |source| SystemdError::Unit { unit: unit.to_owned(), source };
        let job = manager.start_transient_unit(unit, "fail", properties, &[]).await.map_err(refused)?;
        let result = tokio::time::timeout(PATIENCE, async {
            while let Some(signal) = removed.next().await {
                if let Ok(told) = signal.args()
                    && told.job == job
                {
                    return Some(told.result);
                }
            }
            None
        });
        match result.await {
            Ok(Some(result)) if result == "done" => Ok(()),
            Ok(result) => {
                let result = result.unwrap_or_else(|| "the bus went away".to_owned());
                Err(SystemdError::Start { unit: unit.to_owned(), result })
            }
            Err(_) => Err(SystemdError::Late { unit: unit.to_owned() }),
        }
    }

    /// The process that the unit has as its own; 0 where it has none any more.
    pub(super) async fn main_pid(&self, unit: &str) -> Result<u32, SystemdError> {
        let Some((_, service)) = self.find(unit).await? else { return Ok(0) };
        service.main_pid().await.map_err(SystemdError::Bus)
    }

    /// What became of a unit; `None` where systemd has none of that name.
    pub(super) async fn state(&self, unit: &str) -> Result<Option<UnitState>, SystemdError> {
        let Some((found, service)) = self.find(unit).await? else { return Ok(None) };
        let known = |number: zbus::Result<u64>| number.ok().filter(|number| *number != u64::MAX);
        Ok(Some(UnitState {
            name: unit.to_owned(),
            active: found.active_state().await.map_err(SystemdError::Bus)?,
            result: service.result().await.map_err(SystemdError::Bus)?,
            status: service.exec_main_status().await.map_err(SystemdError::Bus)?,
            cpu_ns: known(service.cpu_usage_nsec().await),
            // Systemd 255 and later tell it.
            memory_peak: known(service.memory_peak().await),
        }))
    }

    /// Kills all processes of a unit. One that is not there is killed.
    pub(super) async fn kill(&self, unit: &str) -> Result<(), SystemdError> {
        const SIGKILL: i32 = 9;
        match self.manager().await?.kill_unit(unit, "all", SIGKILL).await {
            Err(error) if !is_unknown(&error) => Err(SystemdError::Unit { unit: unit.to_owned(), source: error }),
            _ => Ok(()),
        }
    }

    /// Has systemd forget a unit that failed.
    pub(super) async fn forget(&self, unit: &str) -> Result<(), SystemdError> {
        match self.manager().await?.reset_failed_unit(unit).await {
            Err(error) if !is_unknown(&error) => Err(SystemdError::Unit { unit: unit.to_owned(), source: error }),
            _ => Ok(()),
        }
    }

    /// Ends what is left in units, and has systemd forget them.
    pub(super) async fn clear(&self, patterns: &[String]) -> Result<(), SystemdError> {
        let listed = self.manager().await?.list_units_by_patterns(&[], patterns).await.map_err(SystemdError::Bus)?;
        for (unit, _, _, active, ..) in listed {
            if active == "failed" {
                self.forget(&unit).await?;
            } else {
                self.kill(&unit).await?;
            }
        }
        Ok(())
    }

    async fn find(&self, unit: &str) -> Result<Option<(UnitProxy<'static>, ServiceProxy<'static>)>, SystemdError> {
        let manager = self.manager().await?;
        let path = match manager.get_unit(unit).await {
            Ok(path) => path,
            Err(error) if is_unknown(&error) => return Ok(None),
            Err(source) => return Err(SystemdError::Unit { unit: unit.to_owned(), source }),
        };
        let connection = manager.inner().connection();
        let found = UnitProxy::builder(connection).path(path.clone()).build().await;
        let service = ServiceProxy::builder(connection).path(path).build().await;
        Ok(Some((found.map_err(SystemdError::Bus)?, service.map_err(SystemdError::Bus)?)))
    }
}

/// Whether the bus of a connection answers.
async fn is_alive(connection: &zbus::Connection) -> bool {
    let Ok(bus) = zbus::fdo::DBusProxy::new(connection).await else { return false };
    bus.get_id().await.is_ok()
}

fn is_unknown(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::MethodError(name, _, _) if name.as_str() == "org.freedesktop.systemd1.NoSuchUnit")
}
