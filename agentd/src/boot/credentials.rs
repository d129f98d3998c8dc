//! `agentd credentials`: root makes and rotates the key-encryption key of the service. systemd-creds encrypts it for this
//! host (its key, its TPM, or both), and systemd hands it to the service alone.
//!
//! Invariant: at each moment there is a key for every secret file of the state directory, so a call that was interrupted is
//! made up for by the next one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use zeroize::Zeroizing;

use super::args::{Args, Credentials, CredentialsAction};
use super::paths;
use crate::identity::kek::{CURRENT, Kek, KekId, PREVIOUS};
use crate::identity::key_files;
use crate::sys::directory::{Directory, Visibility};
use crate::sys::secret_file::{self, Existing};
use crate::sys::{failpoint, process};

/// What encrypts credentials.
const TOOL: &str = "systemd-creds";

/// Does what was asked for.
pub(super) fn run(args: &Args, wanted: &Credentials) -> anyhow::Result<()> {
    failpoint::arm_from_environment().context("the failpoint in the environment")?;
    if process::effective_uid() != 0 {
        bail!("credentials of a host are root's: sudo agentd credentials {}", wanted.action.as_str());
    }
    process::set_private_umask();
    process::forbid_core_dumps()?;
    let directory = std::path::absolute(&wanted.directory)?;
    Directory::ensure(&directory, Visibility::Private)?;
    let one_at_a_time = File::open(&directory).and_then(|directory| directory.lock().map(|()| directory));
    let _lock = one_at_a_time.with_context(|| format!("directory {} cannot be locked", directory.display()))?;
    secret_file::remove_unfinished(&directory, &|name| [CURRENT, PREVIOUS].contains(&name))?;
    let state = paths::state(args)?;
    match wanted.action {
        CredentialsAction::Provision => provision(&directory, &state),
        CredentialsAction::Rotate => rotate(&directory, &state),
    }
}

/// Makes a key where there is none, and where no secret waits for one that was lost.
fn provision(directory: &Path, state: &Path) -> anyhow::Result<()> {
    let path = directory.join(CURRENT);
    if path.exists() {
        println!("there is a key-encryption key: {}", path.display());
        return Ok(());
    }
    if !has_tool()? {
        eprintln!(
            "note: {TOOL} is not there, systemd 250 and later have it: no key-encryption key is made, and keys stay plain"
        );
        return Ok(());
    }
    let mut needed = key_files::ids_in_use(state)?;
    if !needed.is_empty() && directory.join(PREVIOUS).exists() {
        needed.remove(&decrypt(directory, PREVIOUS)?.1);
    }
    if let Some(id) = needed.first() {
        bail!(
            "secrets in {} are encrypted under key-encryption key {id}, and {} is missing: bring it back; another key opens \
             none of them",
            state.display(),
            path.display()
        );
    }
    let id = make(directory, Existing::Refuse)?;
    println!("made key-encryption key {id}: {}; agentd encrypts its keys under it when it starts", path.display());
    Ok(())
}

/// The key becomes the previous one, and a new one takes its place.
fn rotate(directory: &Path, state: &Path) -> anyhow::Result<()> {
    let path = directory.join(CURRENT);
    if !path.exists() {
        bail!("there is no {}: agentd credentials provision", path.display());
    }
    if !has_tool()? {
        bail!("{TOOL} is not there: systemd 250 and later have it");
    }
    let (key, old) = decrypt(directory, CURRENT)?;
    let others: BTreeSet<KekId> = key_files::ids_in_use(state)?.into_iter().filter(|id| *id != old).collect();
    if let Some(other) = others.first() {
        // The previous key gives way to this one, and there would be none for them.
        bail!(
            "secrets in {} are still encrypted under key-encryption key {other}, and the present one is {old}: start agentd \
             anew first (systemctl restart agentd)",
            state.display()
        );
    }
    write(directory, PREVIOUS, &key, Existing::Replace)?;
    failpoint::hit("credentials.rotate");
    let id = make(directory, Existing::Replace)?;
    println!("key-encryption key {id} follows {old}; agentd takes it when it starts anew: systemctl restart agentd");
    Ok(())
}

fn make(directory: &Path, existing: Existing) -> anyhow::Result<KekId> {
    let hex = Kek::make_hex()?;
    let kek = Kek::from_hex(hex.as_bytes()).context("a new key is no key")?;
    write(directory, CURRENT, hex.as_bytes(), existing)?;
    Ok(kek.id())
}

/// Whether systemd-creds is installed.
fn has_tool() -> anyhow::Result<bool> {
    let mut command = Command::new(TOOL);
    match command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status() {
        Ok(status) => Ok(status.success()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).context(format!("{TOOL} cannot be started")),
    }
}

/// Encrypts a key for this host and this name; the file is there whole or not at all.
fn write(directory: &Path, name: &str, key: &[u8], existing: Existing) -> anyhow::Result<()> {
    let encrypted = tool(&["encrypt", "--with-key=auto", &format!("--name={name}"), "-", "-"], key)?;
    Ok(secret_file::write(&directory.join(name), &encrypted, existing)?)
}

fn decrypt(directory: &Path, name: &str) -> anyhow::Result<(Zeroizing<Vec<u8>>, KekId)> {
    let path = directory.join(name);
    let text = path.to_str().with_context(|| format!("{} is no text", path.display()))?;
    let key = tool(&["decrypt", &format!("--name={name}"), text, "-"], b"")
        .with_context(|| format!("{} does not open on this host", path.display()))?;
    let kek = Kek::from_hex(&key).with_context(|| format!("{} holds no key of 64 hex digits", path.display()))?;
    Ok((key, kek.id()))
}

/// Runs systemd-creds: the key goes and comes through pipes, never through arguments or files.
fn tool(arguments: &[&str], input: &[u8]) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut command = Command::new(TOOL);
    let child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("{TOOL} cannot be started"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who ended early has said why, and its exit status counts.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output()?;
    let said = Zeroizing::new(output.stdout);
    if !output.status.success() {
        bail!("{TOOL} {} failed, {}; what it said is above", arguments[0], output.status);
    }
    Ok(said)
}
