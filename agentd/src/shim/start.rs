//! Starting the program: the sandbox around it, its orders, and word from inside that it began.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use agentd_schemas::launch::{Access, Confinement, LaunchSpec, Level};
use rustix::fs::MemfdFlags;
use rustix::io::FdFlags;
use rustix::pipe::PipeFlags;
use rustix::process::Pid;

use super::inner::{Answer, Order};
use super::record::Record;
use super::{ShimError, bubblewrap, system};
use crate::sys::process::{effective_gid, effective_uid};

/// Where bubblewrap is looked for: no search path of anybody is trusted.
const BUBBLEWRAP: &[&str] = &["/usr/bin/bwrap", "/usr/local/bin/bwrap"];
/// Until the program began; a host that is slower than this is not well.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of what bubblewrap said, at most, where it failed.
const MAX_COMPLAINT_BYTES: usize = 2048;
/// Devices that every program may use.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// A program that began.
pub(super) struct Running {
    /// Our child: the program, or bubblewrap around it.
    pub(super) child: Pid,
    /// The init of the sandbox's own process namespace.
    pub(super) init: Option<Pid>,
    /// What holds it.
    pub(super) confinement: Confinement,
    /// What it writes to standard output.
    pub(super) stdout: OwnedFd,
    /// What it writes to standard error.
    pub(super) stderr: OwnedFd,
}

/// Starts the program and waits until it began.
pub(super) fn start(spec: &LaunchSpec, record: &Record) -> Result<Running, ShimError> {
    if effective_uid() == 0 {
        return Err(ShimError::NotStarted("a run is never root's: the spec names no user to run as".to_owned()));
    }
    let (mut orders, inside) = UnixStream::pair().map_err(system("make a socket pair"))?;
    let (info, info_inside) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(system("make a pipe"))?;
    let mut command = match spec.level {
        Level::Landlock => directly(&inside)?,
        Level::Strict => in_bubblewrap(spec, record, &inside, &info_inside)?,
    };
    let (stdout, stdout_inside) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(system("make a pipe"))?;
    let (stderr, stderr_inside) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(system("make a pipe"))?;
    command.env_clear().stdin(input(&spec.input)?).stdout(stdout_inside).stderr(stderr_inside);
    let child = command.spawn();
    let program = command.get_program().to_string_lossy().into_owned();
    // Our copies of the other ends, or no end would ever be seen.
    drop((command, inside, info_inside));
    let child = child.map_err(|error| ShimError::NotStarted(format!("cannot run {program}: {error}")))?;
    let child = pid(child.id()).ok_or_else(|| ShimError::NotStarted(format!("{program} has no process id")))?;
    orders.set_read_timeout(Some(PATIENCE)).map_err(system("limit the wait"))?;
    // Who is gone already says why in its answer, or on standard error.
    let _ = give(&mut orders, &order(spec));
    let init = sandbox_init(spec.level, info);
    match began(orders) {
        Ok(confinement) => Ok(Running { child, init, confinement, stdout, stderr }),
        Err(None) => Err(ShimError::NotStarted(format!("{program} gave up: {}", complaint(&stderr)))),
        Err(Some(reason)) => Err(ShimError::NotStarted(reason)),
    }
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

fn directly(inside: &UnixStream) -> Result<Command, ShimError> {
    let mut command = Command::new(own_binary()?);
    command.arg("--confine").arg(left_open(inside)?);
    Ok(command)
}

fn in_bubblewrap(
    spec: &LaunchSpec,
    record: &Record,
    inside: &UnixStream,
    info: &OwnedFd,
) -> Result<Command, ShimError> {
    let missing = || {
        let text = "level strict needs bubblewrap, which is not here: install the package bubblewrap";
        ShimError::NotStarted(text.to_owned())
    };
    let bwrap = BUBBLEWRAP.iter().map(Path::new).find(|path| path.exists()).ok_or_else(missing)?;
    let mut files = Vec::new();
    for (target, content) in bubblewrap::generated(effective_uid(), effective_gid()) {
        let name = target.trim_start_matches('/').replace('/', "-");
        record.create(&name)?.write_all(content.as_bytes()).map_err(system("write a file of the sandbox"))?;
        files.push((record.path(&name), target));
    }
    let info: i32 = left_open(info)?.to_string_lossy().parse().unwrap_or(-1);
    let mut command = Command::new(bwrap);
    command.args(bubblewrap::arguments(spec, &own_binary()?, &files, info));
    command.arg(bubblewrap::INSIDE).arg("--confine").arg(left_open(inside)?);
    Ok(command)
}

fn own_binary() -> Result<PathBuf, ShimError> {
    std::env::current_exe().map_err(system("find the shim's own binary"))
}

/// The number of a descriptor that the program started next inherits.
fn left_open(fd: impl std::os::fd::AsFd) -> Result<OsString, ShimError> {
    let fd = fd.as_fd();
    rustix::io::fcntl_setfd(fd, FdFlags::empty()).map_err(system("leave a descriptor open"))?;
    Ok(fd.as_raw_fd().to_string().into())
}

/// Standard input from memory: no file, and no pipe that a program which does not read would fill.
fn input(text: &str) -> Result<Stdio, ShimError> {
    if text.is_empty() {
        return Ok(Stdio::null());
    }
    let memory = rustix::fs::memfd_create("input", MemfdFlags::CLOEXEC).map_err(system("make a file in memory"))?;
    let mut file = std::fs::File::from(memory);
    file.write_all(text.as_bytes()).map_err(system("write the input"))?;
    std::io::Seek::rewind(&mut file).map_err(system("write the input"))?;
    Ok(file.into())
}

fn order(spec: &LaunchSpec) -> Order {
    let strict = spec.level >= Level::Strict;
    let mut read = bubblewrap::system_paths();
    let mut write: Vec<PathBuf> = if strict {
        read.extend(["/proc", "/sys", "/etc", "/run/agentd"].map(PathBuf::from));
        ["/tmp", "/dev", bubblewrap::HOME].map(PathBuf::from).to_vec()
    } else {
        read.push("/proc".into());
        DEVICES.iter().map(PathBuf::from).collect()
    };
    for mount in &spec.mounts {
        let paths = if mount.access == Access::Write { &mut write } else { &mut read };
        paths.push(mount.target.clone());
    }
    Order {
        level: spec.level,
        program: spec.program.clone(),
        environment: spec.environment.clone(),
        directory: spec.directory.clone(),
        read,
        write,
        limits: spec.limits,
        parent: (!strict).then(|| rustix::process::getpid().as_raw_pid()),
    }
}

fn give(orders: &mut UnixStream, order: &Order) -> std::io::Result<()> {
    orders.write_all(&serde_json::to_vec(order)?)?;
    orders.shutdown(Shutdown::Write)
}

/// Bubblewrap writes one JSON document with the process id before it starts anything.
fn sandbox_init(level: Level, info: OwnedFd) -> Option<Pid> {
    #[derive(serde::Deserialize)]
    struct Info {
        #[serde(rename = "child-pid")]
        child_pid: u32,
    }
    if level < Level::Strict {
        return None;
    }
    let mut text = String::new();
    std::fs::File::from(info).take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok().and_then(|info: Info| pid(info.child_pid))
}

/// Waits for the word from inside and for the end of the stream, which is the program's first instruction.
fn began(orders: UnixStream) -> Result<Confinement, Option<String>> {
    let mut confinement = None;
    for line in BufReader::new(orders).lines() {
        let line = line.map_err(|error| Some(format!("the sandbox did not answer: {error}")))?;
        match serde_json::from_str(&line) {
            Ok(Answer::Confined(holds)) => confinement = Some(holds),
            Ok(Answer::Failed(reason)) => return Err(Some(reason)),
            Err(error) => return Err(Some(format!("the sandbox answered what nobody understands: {error}"))),
        }
    }
    confinement.ok_or(None)
}

/// What was said on standard error.
fn complaint(stderr: &OwnedFd) -> String {
    let mut text = vec![0; MAX_COMPLAINT_BYTES];
    // Nobody may hold the other end open and silent for us.
    let _ = rustix::io::ioctl_fionbio(stderr.as_fd(), true);
    let length = rustix::io::read(stderr, text.as_mut_slice()).unwrap_or(0);
    let text = String::from_utf8_lossy(&text[..length]);
    if text.trim().is_empty() { "it said nothing".to_owned() } else { text.trim().replace('\n', "; ") }
}
