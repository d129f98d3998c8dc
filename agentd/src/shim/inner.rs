//! The last step before the program, inside the sandbox: take away what is left to take, say what holds, become the
//! program.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use agentd_schemas::launch::{Confinement, Level, MAX_SPEC_BYTES, Network, RunLimits};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::sources::Seen;
use super::{ShimError, system};
use crate::sys::children;
use crate::sys::confine::{self, MIN_LANDLOCK_ABI, MIN_LANDLOCK_ABI_ALONE, Namespaces, ProcessLimits, Reach};
use crate::sys::os_error::without_numbers;
use crate::sys::{cgroup, descriptor, process, signals};

/// What the shim outside tells the one inside.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) level: Level,
    pub(super) program: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) directory: PathBuf,
    pub(super) read: Vec<PathBuf>,
    pub(super) write: Vec<PathBuf>,
    /// What the spec mounts, as it was checked.
    pub(super) mounts: Vec<Seen>,
    pub(super) network: Network,
    pub(super) limits: RunLimits,
    /// The shim outside, where it is this process's parent.
    pub(super) parent: Option<i32>,
    /// What the shim outside knows not to be held.
    pub(super) lacking: Vec<String>,
    /// Where this process is counted.
    pub(super) control_groups: Vec<PathBuf>,
    /// The descriptors by which it comes there.
    pub(super) entrances: Vec<RawFd>,
}

/// What the one inside answers, one a line. After [`Answer::Confined`] silence means that the program began.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// This holds; the program comes next.
    Confined(Confinement),
    /// The program does not start.
    Failed(String),
}

/// Takes its orders from the descriptor `number` and becomes the program. It comes back only where that failed.
pub(super) fn become_program(number: RawFd) -> ShimError {
    // What the shim outside reads from a descriptor the program hears itself.
    signals::unblock();
    let mut stream = match descriptor::inherited(number) {
        Ok(stream) => UnixStream::from(stream),
        Err(error) => return system("take the orders")(error),
    };
    let error = match take_order(&mut stream) {
        Ok(order) => match confine(&order, &mut stream) {
            Ok(()) => replace(&order),
            Err(error) => error,
        },
        Err(error) => error,
    };
    // Who would hear of it is gone where this fails.
    let _ = answer(&mut stream, &Answer::Failed(error.to_string()));
    error
}

fn take_order(stream: &mut UnixStream) -> Result<Order, ShimError> {
    let mut text = Vec::new();
    // Escapes may double what the spec had.
    stream.take(2 * MAX_SPEC_BYTES as u64).read_to_end(&mut text).map_err(system("read the order"))?;
    serde_json::from_slice(&text).map_err(|error| system("read the order")(std::io::Error::from(error)))
}

fn confine(order: &Order, stream: &mut UnixStream) -> Result<(), ShimError> {
    for entrance in &order.entrances {
        cgroup::enter_inherited(*entrance).map_err(system("enter the control group"))?;
    }
    if let Some(parent) = order.parent {
        let parent = Pid::from_raw(parent).ok_or_else(|| ShimError::NotStarted("no parent".to_owned()))?;
        children::die_with_parent(parent).map_err(system("be tied to the shim"))?;
    }
    let directory = &order.directory;
    std::env::set_current_dir(directory)
        .map_err(|error| ShimError::NotStarted(format!("cannot enter {}: {error}", directory.display())))?;
    let (least_abi, namespaces) = match (order.level, order.network) {
        (Level::Strict | Level::Unit, Network::None) => (MIN_LANDLOCK_ABI, Namespaces::Own),
        // Abstract sockets come with the network, and only Landlock keeps those of the host out of reach.
        (Level::Strict | Level::Unit, Network::Host) => (MIN_LANDLOCK_ABI_ALONE, Namespaces::Own),
        (Level::Landlock, _) => (MIN_LANDLOCK_ABI_ALONE, Namespaces::Host),
    };
    let limits = ProcessLimits {
        memory_bytes: order.limits.memory_bytes,
        file_bytes: order.limits.file_bytes,
        tasks: order.limits.tasks,
        open_files: order.limits.open_files,
    };
    let (mut read, mut write, mut held) = (order.read.clone(), order.write.clone(), Vec::new());
    for mount in &order.mounts {
        // By the descriptor: the rule is for the file that was compared, whatever comes into its place.
        let file = mount.open()?;
        let paths = if mount.writable { &mut write } else { &mut read };
        paths.push(format!("/proc/self/fd/{}", file.as_raw_fd()).into());
        held.push(file);
    }
    let network = order.network == Network::Host;
    let reach = Reach { read, write, namespaces, network, limits };
    let landlock_abi = confine::confine(&reach, least_abi).map_err(|error| ShimError::NotStarted(error.to_string()))?;
    let uid = crate::sys::process::effective_uid();
    let confinement = Confinement {
        level: order.level,
        uid,
        landlock_abi,
        lacking: order.lacking.clone(),
        control_groups: order.control_groups.clone(),
    };
    answer(stream, &Answer::Confined(confinement)).map_err(system("answer the shim"))
}

/// Exec closes the stream, which tells the shim outside that the program began.
fn replace(order: &Order) -> ShimError {
    let Some((program, arguments)) = order.program.split_first() else {
        return ShimError::NotStarted("no program is named".to_owned());
    };
    process::set_private_umask();
    let error = Command::new(program).args(arguments).env_clear().envs(&order.environment).exec();
    // What the kernel misses may be what the file itself names.
    let is_there = error.kind() == std::io::ErrorKind::NotFound && Path::new(program).exists();
    let why = if is_there {
        "it is there, and the interpreter or loader that it names is not".to_owned()
    } else {
        without_numbers(&error.to_string())
    };
    ShimError::NotStarted(format!("cannot run {program}: {why}"))
}

fn answer(stream: &mut UnixStream, answer: &Answer) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}
