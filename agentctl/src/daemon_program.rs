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

/// `agentd` beside this program, else wherever PATH has it.
pub(crate) fn find() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("agentd")).filter(|path| path.is_file());
    beside.unwrap_or_else(|| PathBuf::from("agentd"))
}
