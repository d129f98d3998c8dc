//! A step is started: its spec on disk first, then the launcher.

use std::fs::File;
use std::io;
use std::process::{Child, Command, Stdio};

use agentd_schemas::launch::{LaunchSpec, MAX_SPEC_BYTES};

use super::files;
use super::folder::{Folder, Step};
use super::host::Host;
use super::spec::spec_bytes;

/// Writes the spec of a step durably and starts the launcher on it; `input` is its standard input. The child becomes the
/// shim: it is to be waited for, and what it ends with says nothing that the record does not.
/// Where it refuses, its standard error says why.
pub fn start(host: &Host, folder: &Folder, step: Step, spec: &LaunchSpec, input: Option<File>) -> io::Result<Child> {
    let text = spec_bytes(spec);
    if text.len() > MAX_SPEC_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("the launch spec has {} bytes", text.len())));
    }
    files::write(&folder.spec(step), &text, 0o600, true)?;
    let mut command = Command::new(&host.launch);
    command.arg("start").arg("--runs").arg(&host.runs).arg("--spec").arg(folder.spec(step));
    command.arg("--record").arg(folder.record(step)).arg("--shim").arg(&host.shim);
    // Nothing that asks for a fork: the standard library spawns this without one.
    command.env_clear().stdin(input.map_or_else(Stdio::null, Stdio::from)).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn()
}
