//! What this host can do, found out by doing it.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use agentd_schemas::id::RunId;
use agentd_schemas::launch::{
    Ending, GroupProbe, Input, LAUNCH_VERSION, LaunchSpec, Level, LevelProbe, Network, OUTCOME_FILE, Outcome,
    PROBE_VERSION, Probe, RunAs, RunLimits, STARTED_FILE, Started,
};

use super::{LaunchError, Uids, remove, system};
use crate::sys::become_user::User;
use crate::sys::cgroup::{self, Below, GroupLimits};
use crate::sys::{confine, process, random};

/// Where programs that runs need are looked for.
const PLACES: &[&str] = &["/usr/bin", "/usr/local/bin", "/bin"];
/// How long a trivial program may run.
const TRIAL_MS: u64 = 10_000;

/// Tries everything and gives the document as one line.
pub(super) fn probe(shim: &Path, uids: Uids) -> Result<String, LaunchError> {
    let me = User { uid: process::effective_uid(), gid: process::effective_gid() };
    // The last of the range, which a run has only when all others are taken.
    let user = if me.uid == 0 { User { uid: uids.most, gid: uids.most } } else { me };
    let trial = Trial::new(user, me.uid == 0)?;
    let tried = [Level::Landlock, Level::Strict].map(|level| trial.level(level, shim, uids));
    let control_groups = control_groups(&trial.run);
    drop(trial);
    let probe = Probe {
        version: PROBE_VERSION,
        root: me.uid == 0,
        uid: user.uid,
        levels: tried.into_iter().collect::<Result<_, _>>()?,
        landlock_abi: confine::landlock_abi(),
        user_namespaces: user_namespaces(user, me)?,
        bubblewrap: find("bwrap"),
        git: find("git"),
        control_groups,
        allowed: None,
    };
    serde_json::to_string(&probe).map_err(|error| system("write the document")(std::io::Error::from(error)))
}

pub(super) fn find(program: &str) -> Option<PathBuf> {
    PLACES.iter().map(|place| Path::new(place).join(program)).find(|path| path.is_file())
}

/// A folder of runs with one run in it, gone when it is dropped.
struct Trial {
    root: PathBuf,
    run: RunId,
    user: User,
    is_root: bool,
}

impl Trial {
    fn new(user: User, is_root: bool) -> Result<Self, LaunchError> {
        let made = || {
            let name = random::u64().map_err(std::io::Error::other)?;
            let work = agentd_schemas::id::WorkId::from_bytes(random::bytes().map_err(std::io::Error::other)?);
            let root = std::env::temp_dir().join(format!("agentd-probe-{name:016x}"));
            let trial = Self { root, run: RunId { work, attempt: 1 }, user, is_root };
            // Each is made and not taken: in a folder that all may write to somebody may have been first.
            for folder in [trial.root.clone(), trial.folder()] {
                DirBuilder::new().mode(0o700).create(&folder)?;
                if is_root {
                    fs::set_permissions(&folder, Permissions::from_mode(0o711))?;
                }
            }
            Ok(trial)
        };
        made().map_err(system::<std::io::Error>("make a folder for a trial"))
    }

    fn folder(&self) -> PathBuf {
        self.root.join(self.run.to_string())
    }

    /// Runs a trivial program at a level, the way that a daemon does.
    fn level(&self, level: Level, shim: &Path, uids: Uids) -> Result<LevelProbe, LaunchError> {
        let name = level.as_str();
        let (spec, record) = (self.folder().join(format!("{name}.json")), self.folder().join(name));
        let text = serde_json::to_vec(&trial_spec(self.run, level, self.is_root.then_some(self.user.uid)))
            .map_err(|error| system("write a spec")(std::io::Error::from(error)))?;
        fs::write(&spec, text).map_err(system("write a spec"))?;
        let own = process::own_program().map_err(system("find this program"))?;
        let mut command = Command::new(own);
        command.arg("start").arg("--runs").arg(&self.root).arg("--spec").arg(&spec).arg("--record").arg(&record);
        command.arg("--shim").arg(shim).arg("--uids").arg(uids.to_string()).stdin(Stdio::null());
        let told = command.output().map_err(system("start a trial"))?;
        let reason = match read::<Outcome>(&record.join(OUTCOME_FILE)).map(|outcome| outcome.ending) {
            Some(Ending::Exited(0)) => None,
            Some(Ending::NotStarted(reason) | Ending::Lost(reason)) => Some(reason),
            Some(ending) => Some(format!("a trivial program ended otherwise than it should: {ending:?}")),
            None => Some(format!("no outcome: {}; {}", told.status, String::from_utf8_lossy(&told.stderr).trim())),
        };
        let started = read::<Started>(&record.join(STARTED_FILE));
        let lacking = started.map(|started| started.confinement.lacking).unwrap_or_default();
        Ok(LevelProbe { level, works: reason.is_none(), reason, lacking })
    }
}

/// A trivial program at a level; `uid` is the user that it has, where not the launcher's.
pub(super) fn trial_spec(run: RunId, level: Level, uid: Option<u32>) -> LaunchSpec {
    LaunchSpec {
        version: LAUNCH_VERSION,
        run,
        program: vec!["/bin/true".to_owned()],
        environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        directory: "/usr".into(),
        input: Input::Text(String::new()),
        level,
        mounts: Vec::new(),
        run_as: uid.map(|uid| RunAs { uid, gid: uid }),
        network: Network::None,
        folders: Vec::new(),
        keep_out: Vec::new(),
        limits: RunLimits {
            wall_ms: TRIAL_MS,
            grace_ms: 0,
            output_bytes: 1 << 10,
            memory_bytes: 256 << 20,
            file_bytes: 1 << 20,
            // Of a user that has other processes these are counted too.
            tasks: 1 << 16,
            open_files: 256,
            cpu_percent: Some(100),
        },
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

impl Drop for Trial {
    fn drop(&mut self) {
        let removed = remove::remove(&self.root, &self.run.to_string(), false);
        let removed = removed.map_err(|error| error.to_string());
        if let Err(error) = removed.and_then(|()| fs::remove_dir(&self.root).map_err(|error| error.to_string())) {
            eprintln!("agentd-launch: warning: {} is left behind: {error}", self.root.display());
        }
    }
}

/// Makes groups as for a run, and looks at what they have.
fn control_groups(run: &RunId) -> Vec<GroupProbe> {
    let limits = GroupLimits { memory_bytes: 256 << 20, tasks: 64, cpu_percent: Some(100) };
    let Ok(mut made) = cgroup::make(&run.to_string(), "groups", &limits, None, Below::Launcher) else {
        return Vec::new();
    };
    let found = made.groups().map(|(unified, parent, program)| {
        let files = [
            ("memory", ["memory.max", "memory.limit_in_bytes"]),
            ("pids", ["pids.max", "pids.max"]),
            ("cpu", ["cpu.max", "cpu.cfs_quota_us"]),
        ];
        let has = |file: &&str| program.join(file).exists();
        let controllers = files.iter().filter(|(_, files)| files.iter().any(has));
        GroupProbe {
            unified,
            parent,
            controllers: controllers.map(|(name, _)| (*name).to_owned()).collect(),
            freezes: ["cgroup.freeze", "freezer.state"].iter().any(has),
        }
    });
    let found = found.collect();
    made.undo();
    found
}

/// In a process of its own, as the user that runs would have.
fn user_namespaces(user: User, me: User) -> Result<bool, LaunchError> {
    let own = process::own_program().map_err(system("find this program"))?;
    let mut command = Command::new(own);
    command.arg("try-user-namespace").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if user != me {
        command.uid(user.uid).gid(user.gid);
    }
    // A launcher that this user cannot execute cannot be asked in this way.
    Ok(command.status().is_ok_and(|status| status.success()))
}

/// The other side of [`user_namespaces`].
pub(super) fn try_user_namespace() -> Result<(), LaunchError> {
    confine::try_user_namespace().map_err(system("make a user namespace"))
}
