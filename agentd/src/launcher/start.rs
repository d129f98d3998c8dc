//! Starting a step of a run: the record, the folders, the groups; then nothing of this process is left but the shim.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use agentd_schemas::launch::{Input, LaunchSpec, MAX_SPEC_BYTES, SHIM_LOG_FILE, SPEC_FILE};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};

use super::place::{Place, c_name, names, plain_name};
use super::{LaunchError, Uids, bounds, refused, shim, system};
use crate::sys::become_user::{self, User};
use crate::sys::cgroup::{self, Below, Door, GroupLimits, Made, Owner};
use crate::sys::{env, failpoint, process, rights, tree};

/// What a launcher in a unit says before it becomes the shim, with its process id behind it, and a descriptor of itself.
pub(super) const BEGAN: &str = "shim ";

/// A step to be started.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) runs: PathBuf,
    pub(super) spec: PathBuf,
    pub(super) record: PathBuf,
    pub(super) shim: PathBuf,
    pub(super) uids: Uids,
    pub(super) in_unit: InUnit,
}

/// What the launcher's service adds, in the unit that it made of a spec.
#[derive(Debug, clap::Args)]
pub(super) struct InUnit {
    /// This process is alone in a unit of its own.
    #[arg(long = "in-unit", hide = true, requires = "sha256")]
    alone: bool,
    /// SHA-256 of the spec that the unit was made of.
    #[arg(long, hide = true, value_name = "HEX")]
    sha256: Option<String>,
    /// Device and inode of a place of the host that the spec mounts, as it was checked.
    #[arg(long, hide = true, value_name = "DEVICE:INODE")]
    mounted: Vec<String>,
    /// Standard output is the journal, for the shim to write to.
    #[arg(long, hide = true, requires = "alone")]
    journal: bool,
}

impl InUnit {
    /// Holds what is here now against what the unit was made of.
    fn check(&self, text: &[u8], spec: &LaunchSpec, folder: &Path) -> Result<(), LaunchError> {
        match &self.sha256 {
            Some(sha256) if *sha256 != bounds::digest(text) => {
                refused("the spec was exchanged after it had been checked")
            }
            Some(_) => bounds::is_as_checked(spec, folder, &self.mounted),
            None => Ok(()),
        }
    }
}

/// Becomes the shim. It comes back only where that failed, and what it made is gone then.
pub(super) fn start(order: &Order) -> LaunchError {
    process::set_private_umask();
    let mut made = Left::default();
    let error = match prepare(order, &mut made) {
        Ok(ready) => become_shim(ready, &order.record, &order.in_unit, &mut made),
        Err(error) => error,
    };
    made.undo();
    error
}

/// What was checked and made, up to giving it away.
struct Ready {
    spec: LaunchSpec,
    user: User,
    shim: PathBuf,
    record: OwnedFd,
    log: OwnedFd,
    doors: Vec<Door>,
}

fn prepare(order: &Order, made: &mut Left) -> Result<Ready, LaunchError> {
    let Order { runs, spec, record, shim, in_unit, uids } = order;
    let (run, spec_name) = names(runs, spec)?;
    let place = Place::find(runs, run)?
        .ok_or_else(|| LaunchError::Refused(format!("there is no folder of run {run} in {}", runs.display())))?;
    let (text, spec) = read_spec(&place, spec_name, spec)?;
    let user = user_of(&spec, *uids)?;
    in_unit.check(&text, &spec, &runs.join(run))?;
    let record_name = name_in(&place, runs, record)?;
    let folders: Vec<CString> =
        spec.folders.iter().map(|folder| name_in(&place, runs, folder)).collect::<Result<_, _>>()?;
    if folders.contains(&record_name) {
        return refused(format!("{} is the record, and no folder of the run", record.display()));
    }
    let shim = shim::find(shim)?;
    become_user::may_execute(user, &shim).map_err(system(format!("run {} as uid {}", shim.display(), user.uid)))?;
    made.within = Some(place.as_fd().try_clone_to_owned().map_err(system("hold the run's folder"))?);
    let record_fd = make_record(&place, &record_name, &text, user, made).map_err(|error| match error {
        LaunchError::System { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => {
            LaunchError::Refused(format!("{} is there already: a record is used once", record.display()))
        }
        error => error,
    })?;
    for (name, path) in folders.iter().zip(&spec.folders) {
        make_folder(&place, name, path, user, made)?;
    }
    failpoint::check("launch.recorded").map_err(system("go on"))?;
    let step = record_name.to_str().unwrap_or_default();
    let owner = is_root().then_some(Owner { uid: user.uid, gid: user.gid });
    let place = if in_unit.alone { Below::OwnUnit } else { Below::Launcher };
    made.groups = cgroup::make(run, step, &limits(&spec), owner, place).map_err(system("make control groups"))?;
    cgroup::prime();
    let doors = made.groups.doors().map_err(system("open the control groups"))?;
    let (record, log) = record_fd;
    Ok(Ready { spec, user, shim, record, log, doors })
}

/// The limits that the groups of a run hold.
pub(super) fn limits(spec: &LaunchSpec) -> GroupLimits {
    let limits = &spec.limits;
    GroupLimits { memory_bytes: limits.memory_bytes, tasks: limits.tasks, cpu_percent: limits.cpu_percent }
}

fn is_root() -> bool {
    process::effective_uid() == 0
}

/// Reads the spec, bounded, from a regular file that is directly in the run's folder, and holds it against the contract.
pub(super) fn read_spec(place: &Place, name: &str, path: &Path) -> Result<(Vec<u8>, LaunchSpec), LaunchError> {
    let bad = |reason: String| LaunchError::Refused(format!("{}: {reason}", path.display()));
    let name = c_name(name.as_ref())?;
    let file = tree::open_file(place, &name, OFlags::RDONLY)
        .map_err(|error| bad(format!("cannot be opened as a file of the run's folder: {error}")))?;
    let stat = rustix::fs::fstat(&file).map_err(system("inspect the spec"))?;
    if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
        return Err(bad("is not a regular file".to_owned()));
    }
    let mut text = Vec::new();
    File::from(file).take(MAX_SPEC_BYTES as u64 + 1).read_to_end(&mut text).map_err(system("read the spec"))?;
    if text.len() > MAX_SPEC_BYTES {
        return Err(bad(format!("more than {MAX_SPEC_BYTES} bytes")));
    }
    let spec: LaunchSpec = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
    spec.check().map_err(|error| bad(error.to_string()))?;
    if spec.run != place.run() {
        return Err(bad(format!("is of run {}, and lies in the folder of {}", spec.run, place.run())));
    }
    Ok((text, spec))
}

/// The user that the run gets: one of the range where root gives it, and otherwise who we are.
pub(super) fn user_of(spec: &LaunchSpec, uids: Uids) -> Result<User, LaunchError> {
    let me = User { uid: process::effective_uid(), gid: process::effective_gid() };
    let asked = spec.run_as.map(|user| User { uid: user.uid, gid: user.gid });
    match asked {
        None if me.uid == 0 => refused("launch spec field run_as: a run is never root's, so it must name a user"),
        Some(user) if me.uid == 0 => {
            let within = |id: u32| (uids.least..=uids.most).contains(&id);
            if within(user.uid) && within(user.gid) {
                return Ok(user);
            }
            refused(format!(
                "launch spec field run_as: {}:{} is outside of {uids}, the users of runs",
                user.uid, user.gid
            ))
        }
        Some(user) if user != me => {
            let (uid, gid) = (user.uid, user.gid);
            refused(format!(
                "launch spec field run_as: {uid}:{gid} needs root, and this is uid {} and gid {}",
                me.uid, me.gid
            ))
        }
        _ => Ok(me),
    }
}

/// The name of a path that lies directly in this run's folder.
fn name_in(place: &Place, runs: &Path, path: &Path) -> Result<CString, LaunchError> {
    let (run, name) = names(runs, path)?;
    if run != place.run().to_string() {
        return refused(format!("{} is in the folder of another run than {}", path.display(), place.run()));
    }
    plain_name(name)
}

/// Makes a folder that was not there, still ours, and gives a descriptor of it.
fn make_empty(place: &Place, name: &CStr, made: &mut Left) -> Result<OwnedFd, LaunchError> {
    let what = format!("make the folder {}", name.to_string_lossy());
    rustix::fs::mkdirat(place, name, Mode::RWXU).map_err(system(what.clone()))?;
    made.folders.push(name.to_owned());
    let folder = tree::open_folder(place, name).map_err(system(what.clone()))?;
    let stat = rustix::fs::fstat(&folder).map_err(system(what))?;
    // Whoever has the run's folder could have put another in its place, but none that is ours and closed to all.
    if stat.st_uid != process::effective_uid() || stat.st_mode & 0o7777 != 0o700 {
        made.folders.pop();
        return refused(format!("{} was exchanged while it was made", name.to_string_lossy()));
    }
    Ok(folder)
}

fn give(file: impl AsFd, user: User) -> Result<(), LaunchError> {
    if !is_root() {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::fs::fchown(file, Some(uid), Some(gid)).map_err(system("give a file to the run's user"))
}

/// Makes the record with the spec and the log in it. It is the run's user's at the very end: until then nobody else can put
/// anything into it.
fn make_record(
    place: &Place,
    name: &CStr,
    spec: &[u8],
    user: User,
    made: &mut Left,
) -> Result<(OwnedFd, OwnedFd), LaunchError> {
    let record = make_empty(place, name, made)?;
    let create = |name: &str, flags: OFlags| {
        let c_name = c_name(name.as_ref())?;
        let file = tree::open_file(&record, &c_name, flags | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL);
        let file = file.map_err(system(format!("make {name}")))?;
        give(&file, user)?;
        Ok(file)
    };
    let mut copy = File::from(create(SPEC_FILE, OFlags::empty())?);
    copy.write_all(spec).map_err(system("write the spec into the record"))?;
    let log = create(SHIM_LOG_FILE, OFlags::APPEND)?;
    // The log is written to as a file is, not as who must not wait.
    rustix::fs::fcntl_setfl(&log, OFlags::APPEND).map_err(system("open the log"))?;
    give(&record, user)?;
    share(&record, place)?;
    Ok((record, log))
}

/// Lets the daemon's group into a record, where the daemon is not root: it reads what the shim writes there.
fn share(record: &OwnedFd, place: &Place) -> Result<(), LaunchError> {
    let stat = rustix::fs::fstat(place).map_err(system("inspect the run's folder"))?;
    if !is_root() || stat.st_uid == 0 {
        return Ok(());
    }
    // What is made in it from now on has the same group.
    rustix::fs::fchown(record, None, Some(Gid::from_raw(stat.st_gid))).map_err(system("share the record"))?;
    rustix::fs::fchmod(record, Mode::RWXU | Mode::RWXG | Mode::SGID).map_err(system("share the record"))
}

/// Makes a folder for the run's user, or takes the one that it has already.
fn make_folder(place: &Place, name: &CStr, path: &Path, user: User, made: &mut Left) -> Result<(), LaunchError> {
    match make_empty(place, name, made) {
        Ok(folder) => return give(&folder, user),
        Err(LaunchError::System { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let bad = |reason: String| LaunchError::Refused(format!("the folder {} is there and {reason}", path.display()));
    let folder = tree::open_folder(place, name).map_err(|error| bad(format!("no folder of the run: {error}")))?;
    let stat = rustix::fs::fstat(&folder).map_err(system("inspect a folder"))?;
    if stat.st_uid == user.uid { Ok(()) } else { Err(bad(format!("uid {}'s, not uid {}'s", stat.st_uid, user.uid))) }
}

/// Gives up everything and becomes the shim. What fails after that is in the shim's log too.
fn become_shim(ready: Ready, record: &Path, in_unit: &InUnit, made: &mut Left) -> LaunchError {
    let Ready { spec, user, shim, record: record_fd, log, doors } = ready;
    let mut command = Command::new(&shim);
    command.arg("--record").arg(record).env_clear().current_dir("/");
    if cfg!(feature = "failpoints")
        && let Ok(Some(point)) = env::var(failpoint::VARIABLE)
    {
        command.env(failpoint::VARIABLE, point);
    }
    let log = File::from(log);
    match log.try_clone() {
        Ok(second) => command.stdout(second).stderr(log),
        Err(error) => return system("hand the log on")(error),
    };
    if in_unit.journal {
        command.stdout(Stdio::inherit()).arg("--journal");
    }
    command.stdin(if spec.input == Input::Inherited { Stdio::inherit() } else { Stdio::null() });
    let handed_on = become_user::leave_nothing_open()
        .and_then(|()| doors.iter().map(Door::hand_on).collect::<std::io::Result<Vec<_>>>());
    match handed_on {
        Ok(handed_on) => command.args(handed_on.iter().map(|door| format!("--group={door}"))),
        Err(error) => return system("hand the control groups on")(error),
    };
    become_user::be_no_exception_for_the_oom_killer();
    become_user::reset_signals();
    // A leader of its group has no session of its own to begin, and is alone in its group already.
    let _ = rustix::process::setsid();
    if let Err(error) = become_user::become_user(user) {
        return system("give up privileges")(error);
    }
    // What fails from here on the record tells, which nobody ever takes.
    if in_unit.alone
        && let Err(error) = say_that_it_begins()
    {
        return error;
    }
    failpoint::hit("launch.exec");
    let error = become_user::replace(command);
    // The folders are out of reach for this user where root made them. The record is empty at least.
    for name in [SPEC_FILE, SHIM_LOG_FILE] {
        if let Ok(name) = c_name(name.as_ref()) {
            let _ = rustix::fs::unlinkat(&record_fd, &name, AtFlags::empty());
        }
    }
    made.given_up = true;
    system(format!("become {}", shim.display()))(error)
}

/// Tells who had the unit made, and waits for a line, of this process; who is gone meanwhile needs to hear nothing.
fn say_that_it_begins() -> Result<(), LaunchError> {
    let own = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty());
    let own = own.map_err(system("hold this process"))?;
    let line = format!("{BEGAN}{}\n", std::process::id());
    let _ = rights::send(std::io::stderr(), line.as_bytes(), &[own.as_fd()]);
    Ok(())
}

/// What this process made and nobody uses yet.
#[derive(Default)]
struct Left {
    within: Option<OwnedFd>,
    folders: Vec<CString>,
    groups: Made,
    given_up: bool,
}

impl Left {
    fn undo(&mut self) {
        self.groups.undo();
        let Some(within) = &self.within else { return };
        for name in self.folders.drain(..).rev() {
            if let Err(error) = tree::remove(within, &name)
                && !self.given_up
            {
                // Who would read it may be gone, and the rest is removed all the same.
                let name = name.to_string_lossy();
                let _ = writeln!(std::io::stderr(), "agentd-launch: warning: {name} is left behind: {error}");
            }
        }
    }
}
