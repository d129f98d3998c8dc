//! The sockets of runs that agentd started. Who supervises a run opens its door before its program starts and closes it
//! when the run is over; `api::run` serves those that are open.
//!
//! What a run handed in over its door is in files beside it, written before the answer: an acknowledged result is there
//! after a crash, whether a door is open or not.

use std::collections::HashMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agentd_schemas::id::RunId;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;
use tokio::sync::watch;

use super::Engine;
use super::operations::artefacts::HandedIn;
use crate::domain::command::RunRef;
use crate::sys::children::Held;
use crate::sys::socket::{Access, listen};

/// Folder of the socket, in that of the run. It is what the sandbox is shown, so that a new socket in it is seen inside.
pub const DOOR_FOLDER: &str = "door";
/// File name of the socket.
pub const DOOR_SOCKET: &str = "run.sock";

/// The door of one run, as who supervises it describes it.
#[derive(Debug, Clone)]
pub struct OpenDoor {
    /// The run, with its fence.
    pub run: RunRef,
    /// Its agent.
    pub agent: Slug,
    /// The uid that answers for the agent.
    pub owner: u32,
    /// The uid that the run's processes have.
    pub uid: u32,
    /// The run's folder; the socket is `door/run.sock` in it.
    pub folder: PathBuf,
    /// The run's shim; `None` until it is started, another for each step that may speak.
    pub shim: watch::Receiver<Option<Arc<Held>>>,
}

/// A door that is open.
#[derive(Debug)]
pub struct RunDoor {
    /// Whose it is.
    pub what: OpenDoor,
    /// The socket, until somebody serves it.
    listener: Mutex<Option<UnixListener>>,
    /// What the run handed in.
    handed: Mutex<HandedIn>,
}

impl RunDoor {
    /// The run without its fence.
    pub fn run(&self) -> RunId {
        RunId { work: self.what.run.work, attempt: self.what.run.attempt }
    }

    /// The socket, once.
    pub fn take_listener(&self) -> Option<UnixListener> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What the run handed in. Who changes it holds it until the change is on disk.
    pub(super) fn handed(&self) -> MutexGuard<'_, HandedIn> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Doors that are open, by run.
pub type Open = HashMap<RunId, Arc<RunDoor>>;

/// The register of doors.
pub(crate) struct Doors(watch::Sender<Open>);

impl Default for Doors {
    fn default() -> Self {
        Self(watch::Sender::new(Open::new()))
    }
}

impl Engine {
    /// Opens the door of a run: its socket takes connections when this returns. A door that was open for it is replaced,
    /// and so is a socket that another life of the daemon left.
    pub fn open_door(&self, what: OpenDoor) -> Result<(), Problem> {
        let handed = HandedIn::read(&what.folder, &what.run).map_err(|error| unusable(&what.folder, &error))?;
        let listener = socket(&what.folder.join(DOOR_FOLDER))?;
        let door = RunDoor { what, listener: Mutex::new(Some(listener)), handed: Mutex::new(handed) };
        self.0.doors.0.send_modify(|open| drop(open.insert(door.run(), Arc::new(door))));
        Ok(())
    }

    /// Closes the door of a run: who is inside gets its answer, and everything later is refused.
    pub fn close_door(&self, run: RunId) {
        let mut closed = None;
        self.0.doors.0.send_if_modified(|open| {
            closed = open.remove(&run);
            closed.is_some()
        });
        if let Some(door) = closed {
            // Without it who comes now hears at once that nobody is there. What is left of it harms nobody.
            let _ = std::fs::remove_file(door.what.folder.join(DOOR_FOLDER).join(DOOR_SOCKET));
        }
    }

    /// The doors that are open, as they come and go.
    pub fn doors(&self) -> watch::Receiver<Open> {
        self.0.doors.0.subscribe()
    }

    /// The open door of a run.
    pub fn door(&self, run: RunId) -> Option<Arc<RunDoor>> {
        self.0.doors.0.borrow().get(&run).cloned()
    }

    /// What the run handed in over its door: from memory while it is open, else from its folder.
    pub fn handed_in(&self, run: &RunRef, folder: &Path) -> Result<HandedIn, Problem> {
        match self.door(RunId { work: run.work, attempt: run.attempt }).filter(|door| door.what.run == *run) {
            Some(door) => Ok(door.handed().clone()),
            None => HandedIn::read(folder, run).map_err(|error| unusable(folder, &error)),
        }
    }
}

/// Listens in the folder. The socket appears under its name when it can be connected to, in the place of an older one.
fn socket(folder: &Path) -> Result<UnixListener, Problem> {
    let failed = |error: &dyn std::fmt::Display| {
        Problem::new(Code::Internal, format!("the door of a run cannot be opened: {error}"))
            .hint(format!("look at {}", folder.display()))
    };
    match std::fs::create_dir(folder) {
        Ok(()) => {
            // The run's user may be another: it comes through and cannot look around.
            std::fs::set_permissions(folder, Permissions::from_mode(0o711)).map_err(|error| failed(&error))?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(&error)),
    }
    let (new, path) = (folder.join("new.sock"), folder.join(DOOR_SOCKET));
    let listener = listen(&new, Access::Everyone).map_err(|error| failed(&error))?;
    std::fs::rename(&new, &path).map_err(|error| failed(&error))?;
    Ok(listener)
}

fn unusable(folder: &Path, error: &io::Error) -> Problem {
    Problem::new(Code::Internal, format!("what the run handed in cannot be read: {error}"))
        .hint(format!("look at {}", folder.display()))
}
