//! A service manager in a few lines of Python: it opens sockets, listens to `sd_notify`, and becomes `agentd --system`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use agentd_tests::harness::{Daemon, Scratch, Settings, eventually};

/// Binds the sockets of `AGENTD_TEST_SOCKETS` (`name=path`, separated by blanks) and passes them on. The daemon gets no
/// arguments but `--system`.
const BECOME: &str = "
import os, socket, sys
pairs = [pair.split('=') for pair in os.environ.pop('AGENTD_TEST_SOCKETS', '').split()]
kept = []
for at, (_, path) in enumerate(pairs):
    one = socket.socket(socket.AF_UNIX)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    one.bind(path)
    os.chmod(path, 0o666)
    one.listen()
    os.dup2(one.detach(), 50 + at)
for at in range(len(pairs)):
    os.dup2(50 + at, 3 + at)
    os.close(50 + at)
if pairs:
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(pairs)))
    os.environ['LISTEN_FDNAMES'] = ':'.join(name for name, _ in pairs)
if 'WATCHDOG_USEC' in os.environ:
    os.environ['WATCHDOG_PID'] = str(os.getpid())
os.execv(sys.argv[1], [sys.argv[1], '--system'])
";

/// A daemon that a manager starts, and what it tells the manager.
pub(crate) struct Managed {
    pub(crate) daemon: Daemon,
    pub(crate) scratch: Scratch,
    notify: UnixDatagram,
}

impl Managed {
    /// One that is not started; it has its places below a folder of its own, and no bus.
    pub(crate) fn prepared(config: &str) -> Self {
        let scratch = Scratch::new();
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
        for folder in ["state", "run", "etc"] {
            fs::create_dir(scratch.join(folder)).unwrap();
            fs::set_permissions(scratch.join(folder), Permissions::from_mode(0o755)).unwrap();
        }
        fs::set_permissions(scratch.join("state"), Permissions::from_mode(0o711)).unwrap();
        fs::write(scratch.join("etc/agentd.toml"), config).unwrap();
        let notify = UnixDatagram::bind(scratch.join("notify")).unwrap();
        notify.set_nonblocking(true).unwrap();
        let at = |name: &str| scratch.join(name).display().to_string();
        let within = ["python3", "-c", BECOME].map(str::to_owned).to_vec();
        let settings = Settings { state: Some(scratch.join("state")), within, ..Settings::default() }
            .env("STATE_DIRECTORY", format!("{}:{}", at("state"), at("elsewhere")))
            .env("RUNTIME_DIRECTORY", at("run"))
            .env("CONFIGURATION_DIRECTORY", at("etc"))
            .env("NOTIFY_SOCKET", at("notify"))
            .env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", at("bus")));
        Self { daemon: Daemon::prepared(settings), scratch, notify }
    }

    /// Adds an environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.daemon.settings = self.daemon.settings.clone().env(name, value);
        self
    }

    /// Starts it, and waits until it says that it is ready.
    pub(crate) fn start(&mut self) {
        self.daemon.spawn();
        self.is_told("READY=1");
    }

    /// One that is ready.
    pub(crate) fn started(config: &str) -> Self {
        let mut managed = Self::prepared(config);
        managed.start();
        managed
    }

    /// What the manager is told next, if anything was.
    pub(crate) fn told(&self) -> Option<String> {
        let mut buffer = [0; 4096];
        let length = self.notify.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    /// Waits until the manager is told something that begins so; what was told before it is passed over.
    pub(crate) fn is_told(&mut self, beginning: &str) -> String {
        eventually(beginning, || {
            if let Some(status) = self.daemon.exited() {
                panic!("agentd ended with {status}:\n{}", self.daemon.log());
            }
            std::iter::from_fn(|| self.told()).find(|told| told.starts_with(beginning))
        })
    }

    /// A path in the runtime directory.
    pub(crate) fn run(&self, name: &str) -> PathBuf {
        self.scratch.join("run").join(name)
    }

    /// `agentctl` by the operators' socket, as root or whoever runs the test; what it printed.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> String {
        let output = self.ctl_command().args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "agentctl {arguments:?}: {said}\n{}", self.daemon.log());
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, not run yet.
    pub(crate) fn ctl_command(&self) -> std::process::Command {
        let mut command = self.daemon.agentctl_command();
        command.env("AGENTD_ADDRESS", self.run("control.sock"));
        command
    }

    /// The health lines of the status.
    pub(crate) fn health(&self) -> Vec<String> {
        let status: serde_json::Value = serde_json::from_str(&self.ctl(&["status", "--json"])).unwrap();
        serde_json::from_value(status["health"].clone()).unwrap()
    }
}
