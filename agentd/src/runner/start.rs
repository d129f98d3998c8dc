//! A step is started: its spec on disk first, then the launcher.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use agentd_schemas::launch::{Answer, LaunchSpec, MAX_SPEC_BYTES, Request, UnitState};
use agentd_schemas::unit::name::Slug;
use tokio::sync::watch;

use super::files;
use super::folder::{Folder, Step};
use super::host::Host;
use super::launcher::Launcher;
use super::spec::spec_bytes;
use crate::sys::children::Held;
use crate::sys::failpoint;

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
    input: Option<File>,
    answer: watch::Sender<Option<Said>>,
    /// A request to end it is under way.
    killing: watch::Sender<bool>,
}

/// What the service said of a start.
enum Said {
    /// Its shim began; none where it is gone already, and what it wrote tells.
    Began(Option<Held>),
    /// It does not begin, for this reason.
    Refused(String),
    /// Nothing.
    Nothing(Silence),
}

/// A start of which no answer came. That is no refusal: it may have begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Why there is none.
    pub reason: String,
    /// Whoever was asked may live, and do it yet.
    pub is_late: bool,
}

/// Writes the spec of a step durably.
pub fn write_spec(folder: &Folder, step: Step, spec: &LaunchSpec) -> io::Result<()> {
    let text = spec_bytes(spec);
    if text.len() > MAX_SPEC_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("the launch spec has {} bytes", text.len())));
    }
    failpoint::check("spec.write")?;
    files::write(&folder.spec(step), &text, 0o600, true)
}

/// Has the launcher start a step, whose spec is written; `input` is its standard input. What the step ends with says nothing
/// that the record does not; where the launcher refuses, [`Launched::complaint`] says why. Needs a runtime.
pub fn start(host: &Host, folder: &Folder, agent: &Slug, step: Step, input: Option<File>) -> io::Result<Launched> {
    match &host.launcher {
        Some(launcher) => {
            let asked = Arc::new(Asked::new(launcher, folder, agent, step, input));
            ask(&asked);
            Ok(Launched(Way::Asked(asked)))
        }
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

/// A start that another daemon asked the service for: what came of it nobody told this one. `None` where a child was to start
/// it, which is gone with that daemon.
pub fn asked_by_another(
    host: &Host,
    folder: &Folder,
    agent: &Slug,
    step: Step,
    input: Option<File>,
) -> Option<Launched> {
    let asked = Asked::new(host.launcher.as_ref()?, folder, agent, step, input);
    let reason = "the daemon ended while it was being started".to_owned();
    asked.answer.send_replace(Some(Said::Nothing(Silence { reason, is_late: true })));
    Some(Launched(Way::Asked(Arc::new(asked))))
}

impl Asked {
    fn new(launcher: &Launcher, folder: &Folder, agent: &Slug, step: Step, input: Option<File>) -> Self {
        let (run, name) = (folder.run(), step.name());
        Self {
            launcher: launcher.clone(),
            request: Request::Start { run, agent: agent.clone(), step: name.clone() },
            kill: Request::Kill { run, step: name },
            input,
            answer: watch::Sender::default(),
            killing: watch::Sender::default(),
        }
    }

    fn start(&self) -> Said {
        if let Some(mut input) = self.input.as_ref()
            && let Err(error) = input.rewind()
        {
            return Said::Refused(format!("its input cannot be read: {error}"));
        }
        match self.launcher.ask(&self.request, self.input.as_ref().map(|file| file.as_fd())) {
            // The shim may be gone by now: then what it wrote tells.
            Ok((Answer::Started(pid), shim)) => Said::Began(shim.and_then(|shim| Held::of(pid, shim))),
            Ok((Answer::Unavailable(reason), _)) => Said::Nothing(Silence { reason, is_late: false }),
            Ok((answer, _)) => Said::Refused(self.launcher.unexpected(answer).to_string()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Said::Refused(error.to_string()),
            Err(error) => {
                let is_late = error.kind() == io::ErrorKind::TimedOut;
                Said::Nothing(Silence { reason: error.to_string(), is_late })
            }
        }
    }
}

/// Asks on a thread that may wait: the answer comes when the shim began.
fn ask(asked: &Arc<Asked>) {
    asked.answer.send_replace(None);
    let asks = asked.clone();
    tokio::task::spawn_blocking(move || asks.answer.send_replace(Some(asks.start())));
}

impl Launched {
    /// Whether there is nobody any more who could go on with it.
    pub fn has_ended(&mut self) -> bool {
        match &mut self.0 {
            Way::Child(child) => !matches!(child.try_wait(), Ok(None)),
            Way::Asked(asked) => match &*asked.answer.borrow() {
                None => false,
                Some(Said::Began(Some(shim))) => !shim.lives(),
                Some(Said::Began(None) | Said::Refused(_) | Said::Nothing(_)) => true,
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
                Some(Said::Refused(reason)) => reason.clone(),
                _ => "its unit ended before it began".to_owned(),
            },
        }
    }

    /// That no answer came to what was asked for, where that is so.
    pub fn silence(&self) -> Option<Silence> {
        let Way::Asked(asked) = &self.0 else { return None };
        match &*asked.answer.borrow() {
            Some(Said::Nothing(silence)) => Some(silence.clone()),
            _ => None,
        }
    }

    /// Asks once more for a start that was not answered. Only for a step that never began, and whose unit is gone.
    pub fn ask_again(&self) {
        if let Way::Asked(asked) = &self.0 {
            ask(asked);
        }
    }

    /// Ends a launcher, or the shim that it became, which ends what it began with it. Nobody waits for a service that has to
    /// do it: where that fails, `failed` is told. One that is asked already is not asked again.
    pub fn kill(&mut self, failed: impl FnOnce(io::Error) + Send + 'static) {
        match &mut self.0 {
            Way::Child(child) => {
                if let Err(error) = child.kill() {
                    failed(error);
                }
            }
            Way::Asked(asked) => {
                if asked.killing.send_replace(true) {
                    return;
                }
                let asked = asked.clone();
                tokio::task::spawn_blocking(move || {
                    let done = asked.launcher.ask(&asked.kill, None).and_then(|(answer, _)| match answer {
                        Answer::Done => Ok(()),
                        answer => Err(asked.launcher.unexpected(answer)),
                    });
                    asked.killing.send_replace(false);
                    if let Err(error) = done {
                        failed(error);
                    }
                });
            }
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

/// What systemd knows of the unit of a step; `None` where it has none, and where no service starts steps.
pub fn unit(host: &Host, folder: &Folder, step: Step) -> io::Result<Option<UnitState>> {
    let Some(launcher) = &host.launcher else { return Ok(None) };
    match launcher.ask(&Request::Unit { run: folder.run(), step: step.name() }, None)? {
        (Answer::Unit(unit), _) => Ok(unit),
        (answer, _) => Err(launcher.unexpected(answer)),
    }
}

/// How a unit ended that did not end well, in systemd's words: `systemd says of …: oom-kill`.
pub fn how_it_failed(unit: &UnitState) -> Option<String> {
    let UnitState { name, result, status, .. } = unit;
    let how = match result.as_str() {
        "success" => return None,
        "signal" | "core-dump" => format!("signal {status}"),
        "exit-code" => format!("exit code {status}"),
        result => result.to_owned(),
    };
    Some(format!("systemd says of {name}: {how}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixListener;

    use super::super::host::trial_host;
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn a_step_is_ended_by_one_request_at_a_time() {
        let scratch = Scratch::new();
        let listener = UnixListener::bind(scratch.join("launch.sock")).unwrap();
        let host = Host { launcher: Some(Launcher::at(scratch.join("launch.sock"))), ..trial_host() };
        let folder = Folder::of(&host, "w-7kq3x2mbnd5fa6uz.1".parse().unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        let _entered = runtime.enter();
        let agent = "fixer".parse().unwrap();
        let mut launched = asked_by_another(&host, &folder, &agent, Step::Collect, None).unwrap();
        let kill = |launched: &mut Launched| launched.kill(|error| panic!("{error}"));
        let answer = |listener: &UnixListener| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            stream.read_to_string(&mut request).unwrap();
            assert!(request.contains("\"kill\""), "{request}");
            stream.write_all(b"\"done\"\n").unwrap();
        };
        for _ in 0..3 {
            for _ in 0..100 {
                kill(&mut launched);
            }
            answer(&listener);
            let Way::Asked(asked) = &launched.0 else { panic!("a service was asked") };
            // Whoever asked has its answer.
            runtime.block_on(asked.killing.subscribe().wait_for(|killing| !killing)).unwrap();
            listener.set_nonblocking(true).unwrap();
            assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "nobody else asked");
            listener.set_nonblocking(false).unwrap();
        }
    }
}
