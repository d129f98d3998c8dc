//! The program `agentd`, for what needs the store itself: it is executed, never linked.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use crate::error::{Failure, said};

/// Becomes `agentd` with these arguments; comes back only with a failure.
pub(crate) fn become_it(arguments: &[OsString]) -> Failure {
    let program = find();
    let error = std::process::Command::new(&program).args(arguments).exec();
    Failure::local(format!("cannot start {}: {}", program.display(), said(&error)))
        .hint("agentd is looked for beside agentctl, then in PATH")
}

/// What `agentd` with these arguments prints; a failure where it does not succeed.
pub(crate) fn output(arguments: &[OsString]) -> Result<String, Failure> {
    let program = find();
    let output = std::process::Command::new(&program).args(arguments).output().map_err(|error| {
        Failure::local(format!("cannot start {}: {}", program.display(), said(&error)))
            .hint("agentd is looked for beside agentctl, then in PATH")
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = |word: &str| told.lines().find_map(|line| line.strip_prefix(word)).map(str::to_owned);
    let failure = Failure::local(line("error: ").unwrap_or_else(|| told.trim().to_owned()));
    Err(match line("hint: ") {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}

/// `agentd` beside this program, else wherever PATH has it.
pub(crate) fn find() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("agentd")).filter(|path| path.is_file());
    beside.unwrap_or_else(|| PathBuf::from("agentd"))
}

/// A program of agentd's own, which nobody calls by its name: beside `agentd`, else where an installed one has it.
pub(crate) fn helper(name: &str) -> PathBuf {
    let daemon = find();
    let beside = daemon.with_file_name(name);
    let prefix = daemon.parent().filter(|folder| folder.is_absolute()).and_then(std::path::Path::parent);
    let installed = prefix.map(|prefix| prefix.join("libexec/agentd").join(name));
    installed.filter(|path| !beside.is_file() && path.is_file()).unwrap_or(beside)
}
