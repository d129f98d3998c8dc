//! What a process takes away from itself before it becomes an agent's program: privileges, files, network, system
//! calls. Each step holds for the process and all that come from it, and none can be taken back.

mod landlock;
mod limits;
mod seccomp;

use std::path::PathBuf;

pub use landlock::kernel_abi as landlock_abi;
pub use limits::ProcessLimits;

/// Least version of the Landlock interface that confines at all: the first that knows of TCP.
pub const MIN_LANDLOCK_ABI: u32 = 4;
/// Least version that keeps signals and abstract sockets of others out of reach, which a sandbox without namespaces
/// needs.
pub const MIN_LANDLOCK_ABI_ALONE: u32 = 6;

/// What a process may still reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Paths below which it may read and execute.
    pub read: Vec<PathBuf>,
    /// Paths below which it may also write, create and remove.
    pub write: Vec<PathBuf>,
    /// Whose namespaces it is in.
    pub namespaces: Namespaces,
    /// Whether it may use a network that is not its own.
    pub network: bool,
    /// How much one process may use.
    pub limits: ProcessLimits,
}

/// Whose network, System V memory and processes a process would reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespaces {
    /// Its own: TCP and UDP, memory and queues with names, and ids of processes reach nothing but itself.
    Own,
    /// The host's: it may make unix sockets alone, unless it is given the network, and do to processes by their ids what Landlock holds.
    Host,
}

/// Why a process could not confine itself. It must not go on then.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The kernel refused a step.
    #[error("cannot {step}: {reason}")]
    Refused {
        /// What was attempted.
        step: &'static str,
        /// What the kernel, or the library before it, answered.
        reason: String,
    },
    /// The kernel can do less than is needed.
    #[error("the kernel enforces version {has} of Landlock, and version {needs} is needed")]
    Landlock {
        /// What it enforces; 0 for nothing.
        has: u32,
        /// What is needed.
        needs: u32,
    },
}

fn refused<E: std::fmt::Display>(step: &'static str) -> impl FnOnce(E) -> ConfineError {
    move |error| ConfineError::Refused { step, reason: error.to_string() }
}

/// Confines this process and gives the version of Landlock that holds. `least_abi` is what must.
///
/// # Errors
///
/// The first step that failed; those before it hold.
pub fn confine(reach: &Reach, least_abi: u32) -> Result<u32, ConfineError> {
    close_on_exec()?;
    reach.limits.apply()?;
    rustix::thread::set_no_new_privs(true).map_err(refused("give up new privileges"))?;
    let abi = landlock::restrict(reach)?;
    if abi < least_abi {
        return Err(ConfineError::Landlock { has: abi, needs: least_abi });
    }
    seccomp::filter(reach.namespaces, reach.network)?;
    Ok(abi)
}

/// Takes this process, which must have one thread, into a user namespace of its own and there into a mount namespace,
/// as a sandbox begins. Where only the second fails, the host gives user namespaces that nothing can be done in.
#[allow(unsafe_code)]
pub fn try_user_namespace() -> std::io::Result<()> {
    for flag in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS] {
        // SAFETY: the call takes an integer and changes this process alone; no memory is passed.
        if unsafe { libc::unshare(flag) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Marks every descriptor above standard error to be closed by exec, whoever left it open.
#[allow(unsafe_code)]
pub(super) fn close_on_exec() -> Result<(), ConfineError> {
    // SAFETY: the call takes three integers and changes a flag of this process's descriptors; no memory is passed.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 { Ok(()) } else { Err(refused("close descriptors")(std::io::Error::last_os_error())) }
}
