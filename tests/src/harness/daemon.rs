//! One `agentd` process and its directory.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Operator, PATIENCE, Scratch, eventually, faketime};

/// A binary of this workspace, built beside the test: `target/debug/NAME`.
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let built = own.parent().and_then(Path::parent).unwrap().join(name);
    assert!(built.exists(), "{} is not there: cargo build --workspace --features agentd/failpoints", built.display());
    built
}

/// Puts a binary of this workspace where other users reach it, which its own folder may not be.
pub fn lend(name: &str, to: &Path) {
    if std::fs::hard_link(binary(name), to).is_err() {
        std::fs::copy(binary(name), to).unwrap();
    }
}

/// Where the threads of a process stand, and those of its children, for who looks why it does not end.
fn threads(pid: u32) -> String {
    let pid = pid.to_string();
    let mut command = Command::new("ps");
    command.args(["-L", "-o", "pid,ppid,tid,stat,wchan:32,args", "-p", &pid, "--ppid", &pid]);
    command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// How a daemon is started.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Text of `agentd.toml`; backoffs are short unless it says otherwise.
    pub config: Option<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// State directory; one of its own by default.
    pub state: Option<PathBuf>,
    /// A command that becomes the daemon: it is given the daemon's own as its last arguments.
    pub within: Vec<String>,
}

impl Settings {
    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// A wall clock that stands in a file, as libfaketime reads it: `+1d`, `@2026-03-28 12:00:00` in UTC. Boot time goes on.
    #[must_use]
    pub fn false_clock(self, file: &Path) -> Self {
        self.env("LD_PRELOAD", faketime().unwrap())
            .env("DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap())
            .env("TZ", "UTC")
    }
}

/// A daemon; it is killed when it is dropped.
#[derive(Debug)]
pub struct Daemon {
    scratch: Scratch,
    child: Option<Child>,
    /// How it is started the next time.
    pub settings: Settings,
}

impl Daemon {
    /// Starts one with defaults.
    pub fn start() -> Self {
        Self::with(Settings::default())
    }

    /// Starts one.
    pub fn with(settings: Settings) -> Self {
        let mut daemon = Self::prepared(settings);
        daemon.run();
        daemon
    }

    /// A daemon that does not run yet.
    pub fn prepared(settings: Settings) -> Self {
        Self { scratch: Scratch::new(), child: None, settings }
    }

    /// Starts the process and waits until both doors are open.
    pub fn run(&mut self) {
        self.spawn();
        eventually("the daemon's doors", || {
            if let Some(status) = self.exited() {
                panic!("agentd ended with {status}:\n{}", self.log());
            }
            let open = |name: &str| UnixStream::connect(self.state().join("run").join(name)).is_ok();
            (open("control.sock") && open("agents.sock")).then_some(())
        });
    }

    /// Starts the process.
    pub fn spawn(&mut self) {
        let config = self.config();
        std::fs::write(&config, self.settings.config.as_deref().unwrap_or("[limits]\nbackoff = \"10ms\"\n")).unwrap();
        let log = File::options().create(true).append(true).open(self.scratch.join("agentd.log")).unwrap();
        let line = self.settings.within.iter().map(PathBuf::from).chain([binary("agentd")]).collect::<Vec<_>>();
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).arg("--state").arg(self.state()).arg("--config").arg(config);
        command.envs(self.settings.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    /// How the process ended, if it did.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().unwrap())
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.exited() {
                break status;
            }
            assert!(Instant::now() < until, "the daemon does not end:\n{}\n{}", threads(self.pid()), self.log());
            std::thread::sleep(Duration::from_millis(5));
        };
        self.child = None;
        status
    }

    /// Ends the process at once, as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            // A child that it was about to start has its sockets until it is executed.
            eventually("nobody to listen any more", || {
                let is_open = |name: &str| UnixStream::connect(self.state().join("run").join(name)).is_ok();
                (!is_open("control.sock") && !is_open("agents.sock")).then_some(())
            });
        }
    }

    /// Ends the process in order.
    pub fn stop(&mut self) -> ExitStatus {
        let pid = self.pid();
        kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::TERM).unwrap();
        self.wait()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the daemon runs").id()
    }

    /// Its configuration, which is written anew with each start.
    pub fn config(&self) -> PathBuf {
        self.scratch.join("agentd.toml")
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.settings.state.clone().unwrap_or_else(|| self.scratch.join("s"))
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.state().join("ledger.db")
    }

    /// Agents' door.
    pub fn agents_socket(&self) -> PathBuf {
        self.state().join("run/agents.sock")
    }

    /// Operators' door.
    pub fn control_socket(&self) -> PathBuf {
        self.state().join("run/control.sock")
    }

    /// A path for files of the test.
    pub fn file(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// What the daemon wrote to its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.join("agentd.log")).unwrap_or_default()
    }

    /// A connection to the operators' door.
    pub fn operator(&self) -> Operator {
        Operator::connect(&self.control_socket())
    }

    /// `agentctl` with these arguments, as this user, for this daemon.
    pub fn agentctl_command(&self) -> Command {
        let mut command = Command::new(binary("agentctl"));
        command.env("AGENTD_ADDRESS", self.control_socket()).env("AGENTD_STATE", self.state());
        command.env("XDG_CONFIG_HOME", self.scratch.join("config")).env("XDG_STATE_HOME", self.scratch.join("cli"));
        command.current_dir(self.scratch.path()).stdin(Stdio::null());
        command
    }

    /// Runs `agentctl`.
    pub fn agentctl(&self, arguments: &[&str]) -> Output {
        self.agentctl_command().args(arguments).output().unwrap()
    }

    /// Runs `agentctl`, which must succeed; what it printed.
    pub fn told(&self, arguments: &[&str]) -> String {
        let output = self.agentctl(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "agentctl {arguments:?}: {said}\n{}", self.log());
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `agentd SUBCOMMAND` on this state directory.
    pub fn tool(&self, arguments: &[&str]) -> Output {
        Command::new(binary("agentd")).arg("--state").arg(self.state()).args(arguments).output().unwrap()
    }

    /// The ledger must verify, deeply.
    pub fn verifies(&self) -> Value {
        let output = self.tool(&["verify", "--deep", "--json"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "verify --deep: {said}\n{}", self.log());
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
