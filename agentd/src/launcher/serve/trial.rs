//! What this host can do, found out by starting a trivial program as the service starts every other: as a unit.
//!
//! The run of a trial has its folder in one that only root can change: nothing is made as root in a folder of the daemon's.

use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentd_schemas::id::{RunId, WorkId};
use agentd_schemas::launch::{
    Allowed, Ending, Level, LevelProbe, OUTCOME_FILE, Outcome, PROBE_VERSION, Probe, STARTED_FILE, Started,
};
use serde::de::DeserializeOwned;

use super::super::probe::{find, trial_spec};
use super::super::{LaunchError, system};
use super::answer::{self, Step};
use super::{Service, say};
use crate::sys::{confine, random};

/// Where trials have their folders. The folder above it is the service's own (`RuntimeDirectory=`).
pub(super) const FOLDER: &str = "/run/agentd-launch/trials";
/// Bytes of the places that no run is shown, in an answer, at most.
const MAX_EXCEPT_BYTES: usize = 64 << 10;
/// Between two looks whether a trial is over.
const LOOK: Duration = Duration::from_millis(5);
/// A trial that takes longer has failed.
const LOOKS: u32 = 4000;

/// Tries each level with a trivial program.
pub(super) async fn probe(service: &Service) -> Result<Probe, LaunchError> {
    let uid = service.options.uids.most;
    let _alone = service.trial.lock().await;
    clear_up(service).await;
    service.users.clear(uid).map_err(system("take back the user of trials"))?;
    let mut levels = Vec::new();
    for level in [Level::Landlock, Level::Strict, Level::Unit] {
        levels.push(tried(service, level, uid).await?);
    }
    Ok(Probe {
        version: PROBE_VERSION,
        root: true,
        uid,
        landlock_abi: confine::landlock_abi(),
        // Bubblewrap made some, in a unit as those of runs are.
        user_namespaces: levels.iter().any(|tried| tried.level == Level::Strict && tried.works),
        bubblewrap: find("bwrap"),
        git: find("git"),
        control_groups: Vec::new(),
        allowed: Some(to_be_told(&service.allowed)),
        levels,
    })
}

/// What runs may have, as far as an answer has room for it.
fn to_be_told(allowed: &Allowed) -> Allowed {
    let mut room = MAX_EXCEPT_BYTES;
    let fits = |except: &&PathBuf| {
        room = room.saturating_sub(except.as_os_str().len() + 3);
        room > 0
    };
    Allowed { except: allowed.except.iter().take_while(fits).cloned().collect(), ..allowed.clone() }
}

/// Removes trials that did not come to their end, as when the service was killed.
async fn clear_up(service: &Service) {
    let Ok(left) = std::fs::read_dir(FOLDER) else { return };
    for run in left.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        if let Err(error) = answer::remove(service, FOLDER.into(), run, false).await {
            say(&format!("a trial is left behind: {error}"));
        }
    }
}

async fn tried(service: &Service, level: Level, uid: u32) -> Result<LevelProbe, LaunchError> {
    let bytes = random::bytes().map_err(|error| system("find a name")(std::io::Error::other(error)))?;
    let run = RunId { work: WorkId::from_bytes(bytes), attempt: 1 };
    let runs = Path::new(FOLDER);
    let folder = runs.join(run.to_string());
    make(runs, &folder, run, level, uid).map_err(system("make a folder for a trial"))?;
    let step = Step { runs: runs.to_owned(), run, agent: None, name: "program".to_owned(), least: Level::Landlock };
    let refused = match answer::start(service, &step, None).await {
        Ok(_) => None,
        // Of the host that says nothing.
        Err(error @ LaunchError::Unavailable(_)) => {
            discard(service, run).await;
            return Err(error);
        }
        Err(error) => Some(error.to_string()),
    };
    let record = folder.join("program");
    let mut reason = refused.or_else(|| Some("a trivial program did not end".to_owned()));
    for _ in 0..LOOKS {
        if let Some(outcome) = read::<Outcome>(&record.join(OUTCOME_FILE)) {
            reason = match outcome.ending {
                Ending::Exited(0) => None,
                Ending::NotStarted(reason) | Ending::Lost(reason) => Some(reason),
                ending => Some(format!("a trivial program ended otherwise than it should: {ending:?}")),
            };
        }
        if reason.as_deref() != Some("a trivial program did not end") {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    let started = read::<Started>(&record.join(STARTED_FILE));
    let lacking = started.map(|started| started.confinement.lacking).unwrap_or_default();
    discard(service, run).await;
    Ok(LevelProbe { level, works: reason.is_none(), reason, lacking })
}

async fn discard(service: &Service, run: RunId) {
    if let Err(error) = clear(service, run).await {
        say(&format!("the trial {run} is left behind: {error}"));
    }
}

/// Its shim may be about to end.
async fn clear(service: &Service, run: RunId) -> Result<(), LaunchError> {
    for _ in 1..LOOKS {
        match answer::remove(service, FOLDER.into(), run, false).await {
            Err(LaunchError::Refused(_)) => tokio::time::sleep(LOOK).await,
            done => return done,
        }
    }
    answer::remove(service, FOLDER.into(), run, false).await
}

/// A run's folder, root's as all above it: its user goes through it to what is its own.
fn make(runs: &Path, folder: &Path, run: RunId, level: Level, uid: u32) -> std::io::Result<()> {
    let passable = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o711));
    match std::fs::DirBuilder::new().mode(0o711).create(runs) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => passable(runs)?,
    }
    std::fs::DirBuilder::new().mode(0o711).create(folder)?;
    passable(folder)?;
    std::fs::write(folder.join("program.json"), serde_json::to_vec(&trial_spec(run, level, Some(uid)))?)
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
