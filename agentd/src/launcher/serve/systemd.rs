//! What of systemd's D-Bus interface the launcher uses: org.freedesktop.systemd1(5), by small proxies of our own.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::Mutex;
use zbus::{OwnedObjectPath, Variant};

use agentd_schemas::launch::UnitState;

use super::jobs::Jobs;

/// How long systemd may take for a job of ours.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at a unit whose process ended.
const LOOK: Duration = Duration::from_millis(5);
/// Looks, until what systemd says is taken as it is.
const LOOKS: u32 = 400;
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

/// Systemd has a unit of that name still.
const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";

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
    /// The unit is being started for somebody else, or the bus went away right now.
    #[error("the unit {unit} is being started already, or the bus just went away")]
    Busy {
        /// Its name.
        unit: String,
    },
    /// It was asked for a start, and what became of that nobody said.
    #[error("systemd did not say what became of the unit {unit}: {reason}")]
    Unsaid {
        /// Its name.
        unit: String,
        /// Why.
        reason: String,
        /// It went away before it answered: what it did not take by then it never takes.
        is_dropped: bool,
    },
}

impl SystemdError {
    /// Whether nothing was begun, and the same may be asked for again: systemd is not reached, or still has to do with the
    /// unit.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Bus(_) | Self::Busy { .. } => true,
            Self::Unit { source: zbus::Error::MethodError(name, ..), .. } => name.as_str() == UNIT_EXISTS,
            _ => false,
        }
    }

    /// Whether another unit of that name might start: this one is not as systemd, or what it depends on, would have it.
    pub(super) fn is_of_the_unit(&self) -> bool {
        match self {
            Self::Unit { source: zbus::Error::MethodError(name, ..), .. } => name.as_str() != UNIT_EXISTS,
            Self::Unit { .. } => true,
            Self::Start { result, .. } => result == "dependency",
            _ => false,
        }
    }
}

/// The way to systemd: a connection that is made when it is needed, and anew when the bus went away.
#[derive(Default)]
pub(super) struct Systemd(Mutex<Option<Reached>>);

/// A connection to the bus that listens to systemd.
struct Reached {
    manager: ManagerProxy<'static>,
    jobs: Jobs,
}

impl Systemd {
    /// Asks nothing where the bus is there: that it went away the task that listens knows.
    async fn reached(&self) -> Result<(ManagerProxy<'static>, Jobs), SystemdError> {
        let mut held = self.0.lock().await;
        if let Some(reached) = held.as_ref().filter(|reached| reached.jobs.are_heard()) {
            return Ok((reached.manager.clone(), reached.jobs.clone()));
        }
        let builder = zbus::connection::Builder::address(BUS);
        let made = tokio::time::timeout(PATIENCE, builder.method_timeout(PATIENCE).build()).await;
        let late = |_| SystemdError::Bus(zbus::Error::InputOutput(Arc::new(std::io::ErrorKind::TimedOut.into())));
        let connection = made.map_err(late)?.map_err(SystemdError::Bus)?;
        let manager = ManagerProxy::new(&connection).await.map_err(SystemdError::Bus)?;
        let mut removed = manager.receive_job_removed().await.map_err(SystemdError::Bus)?;
        manager.subscribe().await.map_err(SystemdError::Bus)?;
        let jobs = Jobs::default();
        let heard = jobs.clone();
        tokio::spawn(async move {
            while let Some(signal) = removed.next().await {
                if let Ok(told) = signal.args() {
                    heard.ended(&told.unit, (told.job, told.result));
                }
            }
            heard.gone();
        });
        *held = Some(Reached { manager: manager.clone(), jobs: jobs.clone() });
        Ok((manager, jobs))
    }

    async fn manager(&self) -> Result<ManagerProxy<'static>, SystemdError> {
        Ok(self.reached().await?.0)
    }

    /// Starts a transient unit and waits until systemd says that it did.
    pub(super) async fn start(&self, unit: &str, properties: &Properties<'_>) -> Result<(), SystemdError> {
        let unsaid = |reason: String| SystemdError::Unsaid { unit: unit.to_owned(), reason, is_dropped: false };
        let (manager, jobs) = self.reached().await?;
        // Before the call: a job may be over before its answer is here.
        let mut waiting = jobs.wait(unit).ok_or_else(|| SystemdError::Busy { unit: unit.to_owned() })?;
        let job = match manager.start_transient_unit(unit, "fail", properties, &[]).await {
            Ok(job) => job,
            Err(source) if is_nobody(&source) => return Err(SystemdError::Bus(source)),
            Err(source) if is_answer(&source) => {
                return Err(SystemdError::Unit { unit: unit.to_owned(), source });
            }
            Err(error) => {
                let (unit, reason, is_dropped) = (unit.to_owned(), error.to_string(), is_dropped(&error));
                return Err(SystemdError::Unsaid { unit, reason, is_dropped });
            }
        };
        match tokio::time::timeout(PATIENCE, waiting.result(&job)).await {
            Ok(Some(result)) if result == "done" => Ok(()),
            Ok(Some(result)) => Err(SystemdError::Start { unit: unit.to_owned(), result }),
            Ok(None) => Err(unsaid("the bus went away".to_owned())),
            Err(_) => Err(unsaid(format!("nothing came within {} seconds", PATIENCE.as_secs()))),
        }
    }

    /// The process that the unit has as its own; 0 where it has none any more.
    pub(super) async fn main_pid(&self, unit: &str) -> Result<u32, SystemdError> {
        let Some((_, service)) = self.find(unit).await? else { return Ok(0) };
        service.main_pid().await.map_err(SystemdError::Bus)
    }

    /// Whether a unit of these names has a process, or may have one.
    pub(super) async fn lives(&self, patterns: &[String]) -> Result<bool, SystemdError> {
        let listed = self.manager().await?.list_units_by_patterns(&[], patterns).await.map_err(SystemdError::Bus)?;
        Ok(listed.iter().any(|(_, _, _, active, ..)| !matches!(active.as_str(), "inactive" | "failed")))
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

    /// How the process of a unit ended, in words; systemd may hear of it a moment later than we do.
    pub(super) async fn ended(&self, unit: &str) -> Result<String, SystemdError> {
        let mut known = None;
        for _ in 0..LOOKS {
            known = self.state(unit).await?;
            match &known {
                Some(unit) if !matches!(unit.active.as_str(), "failed" | "inactive") => tokio::time::sleep(LOOK).await,
                _ => break,
            }
        }
        Ok(match known {
            Some(unit) if unit.result == "exit-code" => {
                format!("exit code {} (systemd.exec(5), process exit codes)", unit.status)
            }
            Some(unit) => unit.result,
            None => "systemd has it no more".to_owned(),
        })
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
            Err(source) if is_nobody(&source) || !is_answer(&source) => return Err(SystemdError::Bus(source)),
            Err(source) => return Err(SystemdError::Unit { unit: unit.to_owned(), source }),
        };
        let connection = manager.inner().connection();
        let found = UnitProxy::builder(connection).path(path.clone()).build().await;
        let service = ServiceProxy::builder(connection).path(path).build().await;
        Ok(Some((found.map_err(SystemdError::Bus)?, service.map_err(SystemdError::Bus)?)))
    }
}

/// Whether the bus says that systemd is not there, or that it takes no more for now.
fn is_nobody(error: &zbus::Error) -> bool {
    use zbus::fdo::Error::{
        LimitsExceeded, NameHasNoOwner, ServiceUnknown, SpawnChildExited, SpawnChildSignaled, SpawnExecFailed,
        SpawnFailed, SpawnForkFailed, SpawnServiceNotFound,
    };
    let zbus::Error::FDO(error) = error else { return false };
    matches!(
        **error,
        ServiceUnknown(_)
            | NameHasNoOwner(_)
            | LimitsExceeded(_)
            | SpawnChildExited(_)
            | SpawnChildSignaled(_)
            | SpawnExecFailed(_)
            | SpawnFailed(_)
            | SpawnForkFailed(_)
            | SpawnServiceNotFound(_)
    )
}

/// Whether systemd, or the bus, said no. What else goes wrong leaves open what came of a call.
fn is_answer(error: &zbus::Error) -> bool {
    use zbus::fdo::Error::{Disconnected, IOError, NoReply, TimedOut, Timeout};
    match error {
        zbus::Error::MethodError(..) => true,
        zbus::Error::FDO(error) => {
            !matches!(**error, Disconnected(_) | IOError(_) | NoReply(_) | TimedOut(_) | Timeout(_))
        }
        _ => false,
    }
}

/// Whether the bus says that systemd left it without an answer, as when it executes itself anew. Patience that ended here, or a
/// bus that went away itself, tells nothing of systemd.
fn is_dropped(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::FDO(error) if matches!(**error, zbus::fdo::Error::NoReply(_)))
}

fn is_unknown(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::MethodError(name, _, _) if name.as_str() == "org.freedesktop.systemd1.NoSuchUnit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_systemd_that_is_not_there_is_no_answer_about_a_unit() {
        use zbus::fdo::Error as Fdo;
        let fdo = |error: Fdo| zbus::Error::FDO(Box::new(error));
        for away in [
            Fdo::ServiceUnknown(String::new()),
            Fdo::NameHasNoOwner(String::new()),
            Fdo::SpawnChildExited(String::new()),
            Fdo::LimitsExceeded(String::new()),
        ] {
            assert!(is_nobody(&fdo(away)));
        }
        for said in [Fdo::AccessDenied(String::new()), Fdo::InvalidArgs(String::new())] {
            let said = fdo(said);
            assert!(!is_nobody(&said) && is_answer(&said), "{said}");
        }
        for open in [Fdo::NoReply(String::new()), Fdo::Disconnected(String::new())] {
            let open = fdo(open);
            assert!(!is_nobody(&open) && !is_answer(&open), "{open}");
        }
    }
}
