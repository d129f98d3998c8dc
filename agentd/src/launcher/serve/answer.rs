//! What each request does.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentd_schemas::id::RunId;
use agentd_schemas::launch::{Answer, Level, RUN_UIDS, Request};
use agentd_schemas::unit::name::Slug;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use tokio::time::Instant;

use super::super::bounds::{self, Checked};
use super::super::place::{Place, plain_name};
use super::super::{LaunchError, refused, remove, system};
use super::begin::{self, Known, NoShim, Shim, Word};
use super::systemd::SystemdError;
use super::unit::{self, Draft};
use super::{Service, say, trial, uids};
use crate::sys::process;
use crate::sys::room::{Room, taken_below};

/// How long a start may take until its launcher is the shim, systemd's share included.
const PATIENCE: Duration = Duration::from_secs(40);
/// Files that are counted, at most: as many as a run may have.
const MAX_MEASURED_FILES: u64 = 100_000_000;

/// Whether the folder of runs is one, and the daemon's: no link that leads elsewhere.
fn is_the_daemons(service: &Service) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let found = service.options.runs.symlink_metadata();
    found.is_ok_and(|found| found.is_dir() && found.uid() == service.caller)
}

type Answered = (Answer, Option<OwnedFd>);

/// Does what is asked for. Whatever goes wrong is an answer too.
pub(super) async fn answer(service: &Service, request: Request, descriptor: Option<OwnedFd>) -> Answered {
    let done = match request {
        _ if !is_the_daemons(service) => {
            Err(LaunchError::Refused(format!("{} is no folder of the daemon's own", service.options.runs.display())))
        }
        Request::Probe => trial::probe(service).await.map(|probe| (Answer::Probed(Box::new(probe)), None)),
        Request::Start { run, agent, step } => {
            let (runs, agent) = (service.options.runs.clone(), Some(agent));
            let step = Step { runs, run, agent, name: step, least: Level::Strict };
            start(service, &step, descriptor).await.map(|shim| (Answer::Started(shim.pid), Some(shim.process)))
        }
        Request::Kill { run, step } => kill(service, run, &step).await.map(|()| (Answer::Done, None)),
        Request::Unit { run, step } => match plain_name(&step) {
            Ok(_) => told(service.systemd.state(&unit::name(run, &step)).await).map(|unit| (Answer::Unit(unit), None)),
            Err(error) => Err(error),
        },
        Request::Remove { run, units_only } => {
            let runs = service.options.runs.clone();
            remove(service, runs, run, units_only).await.map(|()| (Answer::Done, None))
        }
        Request::Open { run, path } => open(service, run, path).await.map(|file| match file {
            Some(file) => (Answer::Opened, Some(file)),
            None => (Answer::Absent, None),
        }),
        Request::Measure { run, folders, bytes, files } => measure(service, run, folders, Room { bytes, files }).await,
    };
    done.unwrap_or_else(|error| {
        say(&error.to_string());
        match error {
            LaunchError::Refused(reason) => (Answer::Refused(reason), None),
            LaunchError::Unavailable(reason) => (Answer::Unavailable(reason), None),
            error @ LaunchError::System { .. } => (Answer::Failed(error.to_string()), None),
        }
    })
}

/// A step that is to be started.
pub(super) struct Step {
    /// The folder that the folder of its run is in.
    pub(super) runs: PathBuf,
    pub(super) run: RunId,
    /// Whose run it is; nobody's where the host is tried.
    pub(super) agent: Option<Slug>,
    pub(super) name: String,
    /// No weaker sandbox is given.
    pub(super) least: Level,
}

impl Step {
    /// Whether it is the service's own, and not the daemon's.
    fn is_trial(&self) -> bool {
        self.runs == Path::new(trial::FOLDER)
    }
}

fn told<T>(done: Result<T, SystemdError>) -> Result<T, LaunchError> {
    done.map_err(|error| system("have systemd do it")(io::Error::other(error.to_string())))
}

/// Has something done that waits for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LaunchError> + Send + 'static,
) -> Result<T, LaunchError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| system("do it")(io::Error::other(error)))?
}

/// Starts a step as a unit, and waits until its shim began.
pub(super) async fn start(service: &Service, step: &Step, input: Option<OwnedFd>) -> Result<Shim, LaunchError> {
    let (options, least) = (&service.options, step.least);
    plain_name(&step.name)?;
    let folder = step.runs.join(step.run.to_string());
    let (spec, record) = (folder.join(format!("{}.json", step.name)), folder.join(&step.name));
    let (runs, uids, at) = (step.runs.clone(), options.uids, spec.clone());
    let most = (!step.is_trial()).then(|| service.allowed.clone());
    let checked = blocking(move || bounds::check(&runs, &at, uids, least, most.as_deref())).await?;
    let own = process::own_program().map_err(system("find this program"))?;
    let word = |path: &PathBuf| path.to_string_lossy().into_owned();
    let Checked { spec: launch, sha256, mounted } = checked;
    let _starting = service.users.starting(step.run);
    if let Some(user) = launch.run_as {
        if user.uid == options.uids.most && !step.is_trial() {
            return refused(format!("launch spec field run_as: uid {} is the user of trials", user.uid));
        }
        uids::claim(service, user.uid, step.run).await?;
    }
    let mut command = vec![word(&own), "start".to_owned(), "--in-unit".to_owned()];
    for (name, value) in [
        ("--runs", word(&step.runs)),
        ("--spec", word(&spec)),
        ("--record", word(&record)),
        ("--shim", word(&service.shim)),
        ("--uids", options.uids.to_string()),
        ("--sha256", sha256),
    ] {
        command.extend([name.to_owned(), value]);
    }
    let journal = options.journal && !step.is_trial();
    command.extend(mounted.iter().map(|seen| format!("--mounted={seen}")));
    let (run, agent, name) = (step.run, step.agent.as_ref(), step.name.as_str());
    let programs = [own.parent(), service.shim.parent()].into_iter().flatten().map(PathBuf::from).collect();
    let draft = Draft { run, agent, step: name, spec: &launch, runs: &step.runs, folder: &folder, command, programs };
    start_unit(service, &draft, input, journal).await
}

async fn start_unit(
    service: &Service,
    draft: &Draft<'_>,
    input: Option<OwnedFd>,
    journal: bool,
) -> Result<Shim, LaunchError> {
    let until = Instant::now() + PATIENCE;
    let name = unit::name(draft.run, draft.step);
    let (mut word, complaints) = Word::pair().map_err(system("make a pair of sockets"))?;
    let with = async |journal: bool| {
        let properties = draft.properties(input.as_ref().map(Into::into), (&complaints).into(), journal);
        service.systemd.start(&name, &properties).await
    };
    let journal = journal && service.has_journal();
    let mut started = with(journal).await;
    if let Err(error) = &started
        && journal
        && error.is_of_the_unit()
    {
        // No run is held up for want of a journal, and none loses it for what another one's unit has.
        let again = with(false).await;
        if again.is_ok() {
            service.has_no_journal(error);
        }
        started = again;
    }
    let known = match &started {
        Ok(()) => Known::Started,
        Err(SystemdError::Unsaid { is_dropped: true, .. }) => Known::Dropped,
        Err(SystemdError::Unsaid { .. }) => Known::Nothing,
        Err(error) if error.is_passing() => return Err(LaunchError::Unavailable(error.to_string())),
        Err(error) => return Err(LaunchError::Refused(error.to_string())),
    };
    let begun = begin::begun(&service.systemd, &name, &mut word, known);
    let reason = match tokio::time::timeout_at(until, begun).await {
        Ok(Ok(shim)) => return Ok(shim),
        Ok(Err(NoShim::Because(reason))) => reason,
        // That is no refusal: the same is asked for again.
        Ok(Err(NoShim::Never)) => {
            return Err(LaunchError::Unavailable(format!("systemd went away while it was asked for {name}")));
        }
        Err(_) => format!("the launcher in {name} hangs, and was ended after {} s", PATIENCE.as_secs()),
    };
    let ended = service.systemd.kill(&name).await.and(service.systemd.forget(&name).await);
    if let Err(error) = ended {
        say(&error.to_string());
    }
    Err(LaunchError::Refused(reason))
}

async fn kill(service: &Service, run: RunId, step: &str) -> Result<(), LaunchError> {
    plain_name(step)?;
    told(service.systemd.kill(&unit::name(run, step)).await)
}

/// Removes what is left of a run, and has systemd forget its units.
pub(super) async fn remove(service: &Service, runs: PathBuf, run: RunId, units_only: bool) -> Result<(), LaunchError> {
    blocking(move || remove::remove(&runs, &run.to_string(), units_only)).await?;
    told(service.systemd.clear(&unit::pattern(run)).await)?;
    if units_only {
        return Ok(());
    }
    // Where a process of it may live yet, or another step begins, the next one who wants the user takes it back.
    if uids::is_stale(service, run).await.unwrap_or(false) {
        service.users.release(run).map_err(system("give back the user of a run"))?;
    }
    Ok(())
}

async fn open(service: &Service, run: RunId, path: PathBuf) -> Result<Option<OwnedFd>, LaunchError> {
    let (runs, caller) = (service.options.runs.clone(), service.caller);
    blocking(move || {
        let Some(place) = Place::find(&runs, &run.to_string())? else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let file = match rustix::fs::openat2(&place, &path, flags, Mode::empty(), resolve) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err(system(format!("open {} of run {run}", path.display()))(errno)),
        };
        let stat = rustix::fs::fstat(&file).map_err(system("inspect the file"))?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if is_file && (RUN_UIDS.contains(&stat.st_uid) || stat.st_uid == caller) {
            return Ok(Some(file));
        }
        Err(LaunchError::Refused(format!("{} of run {run} is no file of a run", path.display())))
    })
    .await
}

async fn measure(service: &Service, run: RunId, folders: Vec<String>, most: Room) -> Result<Answered, LaunchError> {
    let runs = service.options.runs.clone();
    let most = Room { files: most.files.min(MAX_MEASURED_FILES), ..most };
    let Room { bytes, files } = blocking(move || {
        let names = folders.iter().map(|folder| plain_name(folder)).collect::<Result<Vec<_>, _>>()?;
        let Some(place) = Place::find(&runs, &run.to_string())? else { return Ok(Room::default()) };
        Ok(taken_below(&place, &names, most))
    })
    .await?;
    Ok((Answer::Measured { bytes, files }, None))
}
