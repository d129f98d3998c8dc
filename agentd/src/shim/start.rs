//! Starting the program: the sandbox around it, its orders, and word from inside that it began.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use agentd_schemas::launch::{Confinement, Input, LaunchSpec, Level};
use rustix::fs::{MemfdFlags, Mode, OFlags};
use rustix::pipe::PipeFlags;
use rustix::process::Pid;

use super::deadline::Deadline;
use super::inner::{Answer, Order};
use super::record::Record;
use super::sources::{self, Source};
use super::tree::Tree;
use super::{ShimError, account, bubblewrap, system, unit};
use crate::sys::cgroup::Groups;
use crate::sys::children::Held;
use crate::sys::descriptor;
use crate::sys::os_error::without_numbers;
use crate::sys::process::{effective_gid, effective_uid, own_program};

/// Where bubblewrap is looked for: no search path of anybody is trusted.
const BUBBLEWRAP: &[&str] = &["/usr/bin/bwrap", "/usr/local/bin/bwrap"];
/// Until the program began, all waits together; a host that is slower than this is not well.
const PATIENCE_MS: u64 = 30_000;
/// Bytes of what is told from inside, at most. A reason may quote a path or a word of the command.
const MAX_WORD_BYTES: usize = 2 << 20;
/// Bytes of what bubblewrap said, at most, where it failed.
const MAX_COMPLAINT_BYTES: usize = 2048;
/// The binary that this process runs, whatever has its name by now.
const OWN_BINARY: &str = "/proc/self/exe";
/// Devices that every program may use.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// A program that began.
pub(super) struct Running {
    /// Our child: the program, or bubblewrap around it.
    pub(super) child: Pid,
    /// Bubblewrap outside, and the init of the sandbox's own process namespace.
    pub(super) held: Vec<Held>,
    /// What holds it.
    pub(super) confinement: Confinement,
    /// What it writes to standard output.
    pub(super) stdout: OwnedFd,
    /// What it writes to standard error.
    pub(super) stderr: OwnedFd,
}

/// Starts the program and waits until it began. The kernel may take a while to let anybody into a group, and meanwhile
/// bubblewrap makes the sandbox: who is inside enters before it is given its order.
pub(super) fn start(spec: &LaunchSpec, record: &Record, groups: &mut Groups) -> Result<Running, ShimError> {
    if effective_uid() == 0 {
        return Err(ShimError::NotStarted("a run is never root's: the spec names no user to run as".to_owned()));
    }
    let own_path = own_program().map_err(system("find the shim's own binary"))?;
    let sources = sources::open(spec, record, &own_path)?;
    let own_binary = rustix::fs::open(OWN_BINARY, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(system("open the shim's own binary"))?;
    let (orders, inside) = UnixStream::pair().map_err(system("make a socket pair"))?;
    orders.set_nonblocking(true).map_err(system("make a socket pair"))?;
    let (info, info_inside) = pipe()?;
    let mut command = match spec.level {
        Level::Landlock => directly(&inside)?,
        Level::Strict | Level::Unit => in_bubblewrap(spec, &sources, record, &inside, &info_inside, &own_binary)?,
    };
    let (stdout, stdout_inside) = pipe()?;
    let (stderr, stderr_inside) = pipe()?;
    command.env_clear().stdin(input(&spec.input)?).stdout(stdout_inside).stderr(stderr_inside);
    groups.leave_open().map_err(system("leave the control groups open"))?;
    let child = command.spawn();
    let program = command.get_program().to_string_lossy().into_owned();
    // Our copies of the other ends, or no end would ever be seen.
    drop((command, inside, info_inside, own_binary));
    let child = child.map_err(|error| {
        ShimError::NotStarted(format!("cannot run {program}: {}", without_numbers(&error.to_string())))
    })?;
    let mut held = Vec::new();
    let deadline = Deadline::after(PATIENCE_MS);
    // From here on something runs, and whatever fails, nothing of it stays.
    let entrances = groups.enter();
    let order = order(spec, &sources, groups, entrances);
    let begun = hold(child.id(), spec.level, &info, deadline, &mut held).and_then(|child| {
        if spec.level >= Level::Unit {
            unit::holds(spec, groups).map_err(Refusal::Said)?;
        }
        Ok((child, begin(&orders, &order, deadline)?))
    });
    match begun {
        Ok((child, confinement)) if spec.level < Level::Strict || held.len() > 1 => {
            // Without a sandbox around it the child is the program, and hears what the program hears.
            held.retain(|_| spec.level >= Level::Strict);
            Ok(Running { child, held, confinement, stdout, stderr })
        }
        begun => {
            Tree::new(held, groups).end();
            Err(match begun {
                Err(Refusal::Shim(error)) => error,
                Err(Refusal::Said(reason)) => ShimError::NotStarted(reason),
                Err(Refusal::Silent) => ShimError::NotStarted(format!("{program} gave up: {}", complaint(&stderr))),
                Ok(_) => ShimError::NotStarted(format!("{program} did not tell the sandbox's first process")),
            })
        }
    }
}

/// Why a program that was spawned did not begin.
enum Refusal {
    /// Something of the shim failed.
    Shim(ShimError),
    /// The sandbox gave a reason.
    Said(String),
    /// It ended without a word.
    Silent,
}

/// A pipe whose reading end does not block.
fn pipe() -> Result<(OwnedFd, OwnedFd), ShimError> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(system("make a pipe"))?;
    rustix::io::ioctl_fionbio(&reader, true).map_err(system("make a pipe"))?;
    Ok((reader, writer))
}

/// Holds the child and, in a sandbox, its first process; one that is gone already leaves its reason on standard error.
fn hold(child: u32, level: Level, info: &OwnedFd, deadline: Deadline, held: &mut Vec<Held>) -> Result<Pid, Refusal> {
    let child = pid(child).ok_or_else(|| Refusal::Said("the child has no process id".to_owned()))?;
    let open = |pid| Held::open(pid).map_err(|error| Refusal::Shim(system("hold the child")(error)));
    held.push(open(child)?);
    if level >= Level::Strict
        && let Some(init) = sandbox_init(info, deadline)
    {
        held.extend(Held::open(init));
    }
    Ok(child)
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

fn directly(inside: &UnixStream) -> Result<Command, ShimError> {
    let mut command = Command::new(OWN_BINARY);
    command.arg("--confine").arg(left_open(inside)?);
    Ok(command)
}

fn in_bubblewrap(
    spec: &LaunchSpec,
    sources: &[Source],
    record: &Record,
    inside: &UnixStream,
    info: &OwnedFd,
    own_binary: &OwnedFd,
) -> Result<Command, ShimError> {
    let missing = || {
        let text = "level strict needs bubblewrap, which is not here: install the package bubblewrap";
        ShimError::NotStarted(text.to_owned())
    };
    let bwrap = BUBBLEWRAP.iter().map(Path::new).find(|path| path.exists()).ok_or_else(missing)?;
    let mut files = Vec::new();
    for (target, content) in bubblewrap::generated(effective_uid(), effective_gid(), spec.network) {
        let name = target.trim_start_matches('/').replace('/', "-");
        record.create(&name)?.write_all(content.as_bytes()).map_err(system("write a file of the sandbox"))?;
        files.push((record.path(&name), target));
    }
    let info: i32 = left_open(info)?.to_string_lossy().parse().unwrap_or(-1);
    let mut command = Command::new(bwrap);
    command.args(bubblewrap::arguments(spec, sources, &files, info));
    // By a descriptor: nothing of the host's folders has to be seen in the sandbox for it.
    let mut own = OsString::from("/proc/self/fd/");
    own.push(left_open(own_binary)?);
    command.arg(own).arg("--confine").arg(left_open(inside)?);
    Ok(command)
}

/// The number of a descriptor that the program started next inherits.
fn left_open(fd: impl std::os::fd::AsFd) -> Result<OsString, ShimError> {
    descriptor::leave_open(&fd).map_err(system("leave a descriptor open"))?;
    Ok(fd.as_fd().as_raw_fd().to_string().into())
}

/// Standard input from memory: no file, and no pipe that a program which does not read would fill.
fn input(input: &Input) -> Result<Stdio, ShimError> {
    let text = match input {
        Input::Text(text) if text.is_empty() => return Ok(Stdio::null()),
        Input::Text(text) => text,
        Input::Inherited => return Ok(Stdio::inherit()),
    };
    let memory = rustix::fs::memfd_create("input", MemfdFlags::CLOEXEC).map_err(system("make a file in memory"))?;
    let mut file = std::fs::File::from(memory);
    file.write_all(text.as_bytes()).map_err(system("write the input"))?;
    std::io::Seek::rewind(&mut file).map_err(system("write the input"))?;
    Ok(file.into())
}

fn order(spec: &LaunchSpec, sources: &[Source], groups: &Groups, entrances: Vec<RawFd>) -> Order {
    let strict = spec.level >= Level::Strict;
    let (read, write) = if strict {
        (bubblewrap::paths_inside(), ["/tmp", "/dev", bubblewrap::HOME].map(PathBuf::from).to_vec())
    } else {
        let mut read = bubblewrap::system_paths(spec.network);
        read.push("/proc".into());
        (read, DEVICES.iter().map(PathBuf::from).collect())
    };
    Order {
        level: spec.level,
        program: spec.program.clone(),
        environment: spec.environment.clone(),
        directory: spec.directory.clone(),
        read,
        write,
        mounts: sources.iter().map(|source| source.seen.clone()).collect(),
        network: spec.network,
        limits: spec.limits,
        parent: (!strict).then(|| rustix::process::getpid().as_raw_pid()),
        lacking: account::lacking(spec, groups),
        control_groups: groups.paths().to_vec(),
        entrances,
    }
}

/// Bubblewrap writes one JSON document with the process id before it starts anything.
fn sandbox_init(info: &OwnedFd, deadline: Deadline) -> Option<Pid> {
    #[derive(serde::Deserialize)]
    struct Info {
        #[serde(rename = "child-pid")]
        child_pid: u32,
    }
    let text = deadline.read(info, MAX_WORD_BYTES, |_| false).ok()?;
    serde_json::from_slice(&text).ok().and_then(|info: Info| pid(info.child_pid))
}

/// Gives the order, and waits for the word from inside and for the end of the stream, which is the program's first
/// instruction.
fn begin(orders: &UnixStream, order: &Order, deadline: Deadline) -> Result<Confinement, Refusal> {
    let order = serde_json::to_vec(order).map_err(|error| Refusal::Shim(system("write the order")(error)))?;
    // Who is gone already says why in its answer, or on standard error.
    let _ = deadline.write(orders, &order).and_then(|()| orders.shutdown(Shutdown::Write));
    let text = match deadline.read(orders, MAX_WORD_BYTES, |_| false) {
        Ok(text) => text,
        // The end of a sandbox that has not read its order.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Vec::new(),
        Err(error) => return Err(Refusal::Said(format!("the sandbox did not answer: {error}"))),
    };
    let mut confinement = None;
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(Answer::Confined(holds)) => confinement = Some(holds),
            Ok(Answer::Failed(reason)) => return Err(Refusal::Said(reason)),
            Err(error) => {
                return Err(Refusal::Said(format!("the sandbox answered what nobody understands: {error}")));
            }
        }
    }
    confinement.ok_or(Refusal::Silent)
}

/// What was said on standard error.
fn complaint(stderr: &OwnedFd) -> String {
    let mut text = vec![0; MAX_COMPLAINT_BYTES];
    let length = rustix::io::read(stderr, text.as_mut_slice()).unwrap_or(0);
    let text = String::from_utf8_lossy(&text[..length]);
    if text.trim().is_empty() { "it said nothing".to_owned() } else { text.trim().replace('\n', "; ") }
}
