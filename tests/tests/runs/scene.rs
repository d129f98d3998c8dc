//! A daemon with the rights of somebody, a home, agents that are scripts, and repositories.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use agentd_tests::harness::{Daemon, Operator, Scratch, Settings, installed, is_root, lend, skip};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Whose rights the daemon has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// A user's: runs are that user's as well.
    Ordinary,
    /// Root's: each run has a user of its own.
    Root,
}

/// Whose rights a daemon can have here.
pub(crate) fn everybody() -> Vec<Who> {
    if is_root() {
        return vec![Who::Ordinary, Who::Root];
    }
    skip("users for runs need root");
    vec![Who::Ordinary]
}

/// What stands between the daemon and its launcher: it holds a step, and lets it die at a failpoint. Names of files:
/// `hold-STEP`, `point-STEP`; each start of a launcher is a line in `launched`. With `weak`, the host can do no more than
/// level landlock; with `hold-probe`, what it can do is not known as long as that is there.
const LAUNCHER: &str = r#"#!/bin/sh
there=THERE
if [ "$1" = start ]; then
    step=${7##*/}
    echo "$7" >>"$there/launched"
    while [ -e "$there/hold-$step" ]; do sleep 0.02; done
    if [ -e "$there/point-$step" ]; then
        read -r AGENTD_FAILPOINT <"$there/point-$step"
        export AGENTD_FAILPOINT
        rm "$there/point-$step"
    fi
fi
while [ "$1" = probe ] && [ -e "$there/hold-probe" ]; do sleep 0.02; done
if [ "$1" = probe ] && [ -e "$there/weak" ]; then
    BIN/agentd-launch "$@" | sed 's/"level":"strict","works":true,"reason":null/"level":"strict","works":false,"reason":"no bubblewrap"/
        s/"level":"landlock","works":false/"level":"landlock","works":true/'
    exit
fi
exec BIN/agentd-launch "$@"
"#;

pub(crate) struct Scene {
    pub(crate) daemon: Daemon,
    scratch: Scratch,
    /// The user of the daemon and of who calls it; none for whoever runs the tests.
    pub(crate) uid: Option<u32>,
    /// A word that nothing else on this machine has in its arguments.
    pub(crate) mark: String,
}

impl Scene {
    pub(crate) fn new(who: Who) -> Self {
        Self::with(who, "")
    }

    /// A daemon with more lines in `[runs]`.
    pub(crate) fn with(who: Who, runs: &str) -> Self {
        let mut scene = Self::prepared(who, runs);
        scene.daemon.run();
        scene
    }

    /// A daemon that does not run yet.
    pub(crate) fn prepared(who: Who, runs: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let uid = (is_root() && who == Who::Ordinary).then(|| 70_000 + (process * 64 + count) % 5_000);
        let scratch = Scratch::new();
        let (daemon, mark) = (Daemon::prepared(Settings::default()), format!("agentd-e2e-{process}-{count}-x"));
        let mut scene = Self { daemon, scratch, uid, mark };
        for folder in ["", "bin", "ctl", "home", "own", "agents", "repo"] {
            fs::create_dir_all(scene.path(folder)).unwrap();
            fs::set_permissions(scene.path(folder), Permissions::from_mode(0o755)).unwrap();
            scene.give(&scene.path(folder));
        }
        for name in ["agentd", "agentd-launch", "agentd-shim"] {
            lend(name, &scene.bin(name));
        }
        // Apart from them: programs may see it, and never the folder of the shim.
        lend("agentctl", &scene.path("ctl/agentctl"));
        let there = scene.path("own");
        let launcher = LAUNCHER.replace("THERE", there.to_str().unwrap());
        let launcher = launcher.replace("BIN", scene.path("bin").to_str().unwrap());
        scene.script(&scene.bin("launch"), &launcher);
        scene.configure(runs);
        let home = scene.path("home");
        let state = scene.path("s");
        let become_user = match scene.uid {
            Some(uid) => format!("exec setpriv --reuid {uid} --regid {uid} --clear-groups -- "),
            None => "exec ".to_owned(),
        };
        // The first word is the daemon where it was built, which not everybody may reach.
        let line = format!("shift; {become_user} {} \"$@\"", scene.bin("agentd").display());
        scene.daemon.settings.within = ["/bin/sh", "-c", &line, "sh"].map(str::to_owned).to_vec();
        scene.daemon.settings.state = Some(state);
        scene.daemon.settings.env.push(("HOME".to_owned(), home.to_str().unwrap().to_owned()));
        // The log and the configuration are beside the state, and read by the daemon.
        fs::set_permissions(scene.daemon.file("."), Permissions::from_mode(0o755)).unwrap();
        scene
    }

    /// Writes the configuration for the next start.
    pub(crate) fn configure(&mut self, runs: &str) {
        let launcher = self.bin("launch");
        let free = if runs.contains("min_free_percent") { "" } else { "min_free_percent = 0\n" };
        let max = if runs.contains("max = ") { "" } else { "max = 4\n" };
        self.daemon.settings.config = Some(format!(
            "[limits]\nbackoff = \"10ms\"\n[runs]\n{max}launcher = '{}'\nshim = '{}'\n{free}{runs}\n",
            launcher.display(),
            self.bin("agentd-shim").display()
        ));
    }

    /// Makes a file the user's.
    pub(crate) fn give(&self, path: &Path) {
        if self.uid.is_some() {
            chown(path, self.uid, self.uid).unwrap();
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    pub(crate) fn bin(&self, name: &str) -> PathBuf {
        self.path("bin").join(name)
    }

    /// Whether and where the launcher of a step is held or dies.
    pub(crate) fn control(&self, name: &str) -> PathBuf {
        self.path("own").join(name)
    }

    /// Writes a file of the user's; folders above are made.
    pub(crate) fn write(&self, path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self.give(path);
        self.give(path.parent().unwrap());
    }

    pub(crate) fn script(&self, path: &Path, text: &str) {
        self.write(path, text);
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    /// A command as the user that calls.
    pub(crate) fn command(&self, program: &str) -> Command {
        self.command_as(self.uid, program)
    }

    pub(crate) fn command_as(&self, uid: Option<u32>, program: &str) -> Command {
        let mut command = match uid.map(|uid| uid.to_string()) {
            Some(uid) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "--", program]);
                command
            }
            None => Command::new(program),
        };
        command.env("HOME", self.path("home")).env("GIT_CONFIG_NOSYSTEM", "1").current_dir(self.path("repo"));
        command.stdin(Stdio::null());
        command
    }

    /// `agentctl` as the user, in the repository.
    pub(crate) fn agentctl(&self, arguments: &[&str]) -> Output {
        self.agentctl_as(self.uid, arguments)
    }

    pub(crate) fn agentctl_as(&self, uid: Option<u32>, arguments: &[&str]) -> Output {
        let mut command = self.command_as(uid, self.path("ctl/agentctl").to_str().unwrap());
        command.env("AGENTD_ADDRESS", self.daemon.control_socket()).env("AGENTD_STATE", self.daemon.state());
        command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME");
        command.args(arguments).output().unwrap()
    }

    /// Lets other users in at the operators' door, as it is where agentd is the system's.
    pub(crate) fn open_to_others(&self) {
        let state = self.daemon.state();
        for (path, mode) in [(state.clone(), 0o711), (state.join("run"), 0o711), (self.daemon.control_socket(), 0o666)]
        {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
    }

    /// `agentctl`, which must succeed; what it printed.
    pub(crate) fn told(&self, arguments: &[&str]) -> String {
        self.taken(&self.agentctl(arguments), arguments)
    }

    pub(crate) fn taken(&self, output: &Output, arguments: &[&str]) -> String {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "agentctl {arguments:?}: {said}\n{}", self.daemon.log());
        String::from_utf8(output.stdout.clone()).unwrap()
    }

    /// Runs a command in the repository, which must succeed.
    pub(crate) fn run(&self, line: &str) -> String {
        Self::run_by(self.command("/bin/sh"), line)
    }

    /// The same as whoever runs the tests: ssh-keygen wants a user that has a name.
    pub(crate) fn run_by_name(&self, line: &str) -> String {
        let mut command = self.command_as(None, "/bin/sh");
        let safe = [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "safe.directory"), ("GIT_CONFIG_VALUE_0", "*")];
        command.envs(safe);
        Self::run_by(command, line)
    }

    fn run_by(mut command: Command, line: &str) -> String {
        let output = command.args(["-euc", line]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A repository with `value`, and a test that wants it to be `good`.
    pub(crate) fn repository(&self) {
        self.run(
            "git init -q -b main . && git config user.name P && git config user.email p@example.org
            mkdir tests && printf 'grep -qx good value || { echo value is not good; exit 1; }\n' >tests/run.sh
            echo bad >value && git add -A && git commit -q -m start",
        );
    }

    /// Enrols an agent whose program is a script; its first argument is the mark. Its skill is its name.
    pub(crate) fn agent(&self, name: &str, more: &str, script: &str) {
        let folder = self.path("agents").join(name);
        self.script(&folder.join("run.sh"), &format!("#!/bin/sh\n{script}\n"));
        self.enrol(name, &format!("command = [\"./run.sh\", {:?}]\n{more}", self.mark));
    }

    /// Enrols an agent by lines of its document.
    pub(crate) fn enrol(&self, name: &str, lines: &str) {
        self.enrol_as(self.uid, name, lines);
    }

    pub(crate) fn enrol_as(&self, uid: Option<u32>, name: &str, lines: &str) {
        let document = self.path("agents").join(name).join("agent.toml");
        self.write(&document, &format!("name = {name:?}\nskills = [{name:?}]\n{lines}\n"));
        let arguments = ["agent", "enroll", "--file", document.to_str().unwrap()];
        self.taken(&self.agentctl_as(uid, &arguments), &arguments);
        // Who is on probation has one run at a time.
        self.told(&["agent", "activate", name, "--reason", "known"]);
    }

    /// Submits a work for an agent; its id.
    pub(crate) fn submit(&self, agent: &str, more: &[&str]) -> String {
        let title = format!("for {agent}");
        let arguments = [&["submit", &title, "--skill", agent, "--quiet"], more].concat();
        self.whole(self.told(&arguments).trim())
    }

    /// The same by another user.
    pub(crate) fn submit_as(&self, uid: u32, agent: &str) -> String {
        let arguments = ["submit", "one more", "--skill", agent, "--quiet"];
        let id = self.taken(&self.agentctl_as(Some(uid), &arguments), &arguments);
        self.whole(id.trim())
    }

    /// The whole id of a work.
    pub(crate) fn whole(&self, id: &str) -> String {
        self.work(id)["id"].as_str().unwrap().to_owned()
    }

    /// The same with the repository and its test.
    pub(crate) fn submit_repository(&self, agent: &str, more: &[&str]) -> String {
        let test = ["--repo", ".", "--accept", "sh tests/run.sh", "--protect", "tests/**"];
        self.submit(agent, &[&test[..], more].concat())
    }

    pub(crate) fn operator(&self) -> Operator {
        self.daemon.operator()
    }

    pub(crate) fn work(&self, id: &str) -> Value {
        self.operator().work(id)
    }

    /// Kills the daemon, and starts it again once the ledger is seen to be whole.
    pub(crate) fn crash(&mut self) {
        self.daemon.kill();
        self.daemon.verifies();
        self.daemon.run();
    }

    /// Stops the daemon in order; the ledger must be whole.
    pub(crate) fn ends_well(&mut self) {
        self.daemon.stop();
        self.daemon.verifies();
    }
}

impl Drop for Scene {
    /// What a test leaves running ends with it: shims outlive their daemon.
    fn drop(&mut self) {
        self.daemon.kill();
        let runs = self.daemon.state().join("runs");
        for run in fs::read_dir(runs).into_iter().flatten().flatten() {
            for step in fs::read_dir(run.path()).into_iter().flatten().flatten() {
                let Ok(text) = fs::read(step.path().join("started.json")) else { continue };
                let started: Value = serde_json::from_slice(&text).unwrap_or_default();
                let over = step.path().join("outcome.json").exists();
                if let Some(shim) = started["shim"].as_i64().filter(|_| !over)
                    && is_shim(shim)
                {
                    let _ = kill_process(Pid::from_raw(i32::try_from(shim).unwrap()).unwrap(), Signal::TERM);
                }
            }
        }
    }
}

fn is_shim(pid: i64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "agentd-shim")
}

/// Kills a process of a run at once.
pub(crate) fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

/// Whether the machine has what level strict needs; where not, it is told.
pub(crate) fn can_start() -> bool {
    let can = installed("git") && Path::new("/usr/bin/bwrap").exists();
    if !can {
        skip("runs with a workspace need git and bubblewrap");
    }
    can
}
