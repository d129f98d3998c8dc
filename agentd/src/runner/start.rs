//! A step is started: its spec on disk first, then the launcher.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use agentd_schemas::launch::{Answer, LaunchSpec, MAX_SPEC_BYTES, Request, UnitState};
use agentd_schemas::unit::name::Slug;
use rustix::process::Pid;
use tokio::sync::watch;

use super::files;
use super::folder::{Folder, Step};
use super::host::Host;
use super::launcher::Launcher;
use super::spec::spec_bytes;
use crate::sys::children::Held;

/// Bytes of what the launcher says, at most, where it refuses.
const MAX_COMPLAINT: u64 = 4096;

/// A step whose start was asked for.
pub struct Launched(Way);

enum Way {
    /// A launcher of our own, which becomes the shim.
    Child(Child),
    /// The launcher's service, which has a unit made.
    Asked(Arc<Asked>),
}

/// What is known of a start that the service was asked for.
struct Asked {
    launcher: Launcher,
    request: Request,
    kill: Request,
    answer: watch::Sender<Option<Result<Option<Held>, String>>>,
}

/// Writes the spec of a step durably and has the launcher start it; `input` is its standard input. What the step ends with
/// says nothing that the record does not; where the launcher refuses, [`Launched::complaint`] says why. Needs a runtime.
pub fn start(
    host: &Host,
    folder: &Folder,
    agent: &Slug,
    step: Step,
    spec: &LaunchSpec,
    input: Option<File>,
) -> io::Result<Launched> {
    let text = spec_bytes(spec);
    if text.len() > MAX_SPEC_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("the launch spec has {} bytes", text.len())));
    }
    files::write(&folder.spec(step), &text, 0o600, true)?;
    match &host.launcher {
        Some(launcher) => Ok(Launched(Way::Asked(ask(launcher, folder, agent, step, input)))),
        None => spawn(host, folder, step, input).map(Launched),
    }
}

fn spawn(host: &Host, folder: &Folder, step: Step, input: Option<File>) -> io::Result<Way> {
    let mut command = Command::new(&host.launch);
    command.arg("start").arg("--runs").arg(&host.runs).arg("--spec").arg(folder.spec(step));
    command.arg("--record").arg(folder.record(step)).arg("--shim").arg(&host.shim);
    // Nothing that asks for a fork: the standard library spawns this without one.
    command.env_clear().stdin(input.map_or_else(Stdio::null, Stdio::from)).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().map(Way::Child)
}

/// Asks on a thread that may wait: the answer comes when the shim began.
fn ask(launcher: &Launcher, folder: &Folder, agent: &Slug, step: Step, input: Option<File>) -> Arc<Asked> {
    let (run, name) = (folder.run(), step.name());
    let asked = Arc::new(Asked {
        launcher: launcher.clone(),
        request: Request::Start { run, agent: agent.clone(), step: name.clone() },
        kill: Request::Kill { run, step: name },
        answer: watch::Sender::default(),
    });
    let asks = asked.clone();
    tokio::task::spawn_blocking(move || {
        let answer = match asks.launcher.ask(&asks.request, input.as_ref().map(|file| file.as_fd())) {
            // The shim may be gone by now: then what it wrote tells.
            Ok((Answer::Started(pid), _)) => Ok(held(pid)),
            Ok((answer, _)) => Err(asks.launcher.unexpected(answer).to_string()),
            Err(error) => Err(error.to_string()),
        };
        asks.answer.send_replace(Some(answer));
    });
    asked
}

fn held(pid: u32) -> Option<Held> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    Held::open(pid).ok()
}

impl Launched {
    /// Whether there is nobody any more who could go on with it.
    pub fn has_ended(&mut self) -> bool {
        match &mut self.0 {
            Way::Child(child) => !matches!(child.try_wait(), Ok(None)),
            Way::Asked(asked) => match &*asked.answer.borrow() {
                None => false,
                Some(Ok(Some(shim))) => !shim.lives(),
                Some(Ok(None) | Err(_)) => true,
            },
        }
    }

    /// The process that becomes the shim, where it is a child of ours.
    pub fn child(&self) -> Option<u32> {
        match &self.0 {
            Way::Child(child) => Some(child.id()),
            Way::Asked(_) => None,
        }
    }

    /// What the launcher said before it gave up.
    pub fn complaint(&mut self) -> String {
        match &mut self.0 {
            Way::Child(child) => said(child),
            Way::Asked(asked) => match &*asked.answer.borrow() {
                Some(Err(reason)) => reason.clone(),
                _ => "its unit ended before it began".to_owned(),
            },
        }
    }

    /// Ends a launcher, or the shim that it became, which ends what it began with it.
    pub fn kill(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Way::Child(child) => child.kill(),
            Way::Asked(asked) => match asked.launcher.ask(&asked.kill, None)? {
                (Answer::Done, _) => Ok(()),
                (answer, _) => Err(asked.launcher.unexpected(answer)),
            },
        }
    }
}

fn said(child: &mut Child) -> String {
    let mut text = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        // What was read before an error is what is told.
        let _ = stderr.take(MAX_COMPLAINT).read_to_end(&mut text);
    }
    let text = String::from_utf8_lossy(&text);
    let text = text.trim().trim_start_matches("agentd-launch: error: ");
    match child.try_wait() {
        _ if !text.is_empty() => text.replace('\n', "; "),
        Ok(Some(status)) => format!("the launcher ended without a word: {status}"),
        _ => "the launcher gave up and said nothing".to_owned(),
    }
}

/// Why the shim of a step is gone, as systemd knows it: `its unit …: oom-kill`. `None` where it knows nothing.
pub fn why_lost(host: &Host, folder: &Folder, step: Step) -> Option<String> {
    let launcher = host.launcher.as_ref()?;
    match launcher.ask(&Request::Unit { run: folder.run(), step: step.name() }, None) {
        Ok((Answer::Unit(Some(UnitState { name, result, status, .. })), _)) if result != "success" => {
            let how = match result.as_str() {
                "signal" | "core-dump" => format!("signal {status}"),
                "exit-code" => format!("exit code {status}"),
                result => result.to_owned(),
            };
            Some(format!("systemd says of {name}: {how}"))
        }
        Ok((Answer::Unit(_), _)) => None,
        Ok((answer, _)) => Some(launcher.unexpected(answer).to_string()),
        Err(error) => Some(error.to_string()),
    }
}
