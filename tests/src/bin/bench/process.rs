//! Programs that the benchmark starts: in a session of their own, ended when the benchmark ends.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};

use anyhow::{Context as _, bail};
use rustix::process::{Signal, set_parent_process_death_signal, setsid};

/// Takes a session and the priority that is allowed, then becomes the program. A session is a group of its own for the
/// scheduler, so that other jobs on the machine weigh as one.
pub(crate) fn in_session(words: &[OsString]) -> anyhow::Result<()> {
    let (program, args) = words.split_first().context("session of which program?")?;
    set_parent_process_death_signal(Some(Signal::TERM)).context("the signal at the end of the benchmark")?;
    // Refused without the right to it, and where groups are not scheduled: then it is measured as it is.
    let _ = setsid();
    let _ = std::fs::write("/proc/self/autogroup", "-10");
    let error = Command::new(program).args(args).exec();
    Err(error).with_context(|| format!("{} cannot be started", program.display()))
}

/// A command in a session of its own.
pub(crate) fn command(program: impl AsRef<Path>) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("the place of the benchmark")?);
    command.arg("session").arg(program.as_ref());
    Ok(command)
}

/// Runs the benchmark proper, in its session.
pub(crate) fn again(words: impl Iterator<Item = OsString>) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("the place of the benchmark")?;
    let status = command(own)?.arg("measure").args(words).status().context("the benchmark in its session")?;
    if !status.success() {
        bail!("the benchmark ended early");
    }
    Ok(())
}

/// Asks a program to end, and waits for it.
pub(crate) fn stop(mut child: Child, signal: Signal) -> anyhow::Result<()> {
    let id = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).context("a process id")?;
    rustix::process::kill_process(id, signal).context("stopping a program of the benchmark")?;
    child.wait().context("waiting for a program of the benchmark")?;
    Ok(())
}

/// The standard output of a program that succeeds.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{command:?}"))
}
