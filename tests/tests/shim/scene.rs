//! A record in a fresh folder, a shim on it, and the user that both belong to.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use agentd_schemas::launch::{
    Access, CONTROL_SOCKET, Ending, Input, LAUNCH_VERSION, LaunchSpec, Level, Mount, Network, OUTCOME_FILE, Outcome,
    RunLimits, SPEC_FILE, STARTED_FILE, Started,
};
use agentd_tests::harness::{Scratch, eventually, is_root, lend, skip};

/// A scene; every path in it is reachable by its user.
pub(crate) struct Scene {
    scratch: Scratch,
    /// The user that the shim and the program have; `None` for whoever runs the tests.
    pub(crate) uid: Option<u32>,
    /// A word that nothing else on this machine has in its arguments.
    pub(crate) mark: String,
}

impl Scene {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        // Each scene counts its own tasks, so each has a user of its own.
        let uid = is_root().then(|| 60_000 + (process * 64 + count) % 5_000);
        let scene = Self { scratch: Scratch::new(), uid, mark: format!("agentd-mark-{process}-{count}-x") };
        fs::set_permissions(scene.scratch.path(), Permissions::from_mode(0o755)).unwrap();
        for name in ["bin", "own", "work", "outside"] {
            fs::create_dir(scene.scratch.join(name)).unwrap();
        }
        for (name, to) in [("agentd-shim", scene.shim_binary()), ("escape-probe", scene.bin("escape-probe"))] {
            lend(name, &to);
        }
        for folder in [scene.work(""), scene.outside("")] {
            scene.give(&folder);
        }
        scene.new_record();
        scene
    }

    /// An empty record, in the place of the last one.
    pub(crate) fn new_record(&self) {
        let _ = fs::remove_dir_all(self.record());
        fs::create_dir(self.record()).unwrap();
        fs::set_permissions(self.record(), Permissions::from_mode(0o700)).unwrap();
        self.give(&self.record());
    }

    /// Makes a file the user's.
    pub(crate) fn give(&self, path: &Path) {
        if self.uid.is_some() {
            chown(path, self.uid, self.uid).unwrap();
        }
    }

    pub(crate) fn bin(&self, name: &str) -> PathBuf {
        self.scratch.join("bin").join(name)
    }

    /// The shim, in a folder that no program is given.
    pub(crate) fn shim_binary(&self) -> PathBuf {
        self.scratch.join("own").join("agentd-shim")
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.scratch.join("record")
    }

    /// A place that the program may write to.
    pub(crate) fn work(&self, name: &str) -> PathBuf {
        self.scratch.join("work").join(name)
    }

    /// A place that it does not see.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.scratch.join("outside").join(name)
    }

    /// A spec that is good at each level. `$0` of a shell script is the mark.
    pub(crate) fn script(&self, level: Level, script: &str) -> LaunchSpec {
        self.spec(level, &["sh", "-c", script, &self.mark])
    }

    pub(crate) fn spec(&self, level: Level, program: &[&str]) -> LaunchSpec {
        let work = self.scratch.join("work");
        let bin = self.scratch.join("bin");
        LaunchSpec {
            version: LAUNCH_VERSION,
            run: "w-aaaaaaaaaaaaaaaa.1".parse().unwrap(),
            program: program.iter().map(|&word| word.to_owned()).collect(),
            environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            directory: work.clone(),
            input: Input::Text(String::new()),
            level,
            mounts: vec![
                Mount { source: work.clone(), target: work, access: Access::Write },
                Mount { source: bin.clone(), target: bin, access: Access::Read },
            ],
            run_as: None,
            network: Network::None,
            folders: Vec::new(),
            keep_out: Vec::new(),
            limits: RunLimits {
                wall_ms: 60_000,
                grace_ms: 300,
                output_bytes: 1 << 20,
                memory_bytes: 1 << 30,
                file_bytes: 1 << 30,
                tasks: 4096,
                open_files: 256,
                cpu_percent: None,
            },
        }
    }

    /// A command as the scene's user.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let Some(uid) = self.uid.map(|uid| uid.to_string()) else { return Command::new(program) };
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "--"]).arg(program);
        command
    }

    pub(crate) fn write_spec(&self, spec: &LaunchSpec) {
        self.write_raw_spec(&serde_json::to_vec(spec).unwrap());
    }

    pub(crate) fn write_raw_spec(&self, text: &[u8]) {
        let path = self.record().join(SPEC_FILE);
        fs::write(&path, text).unwrap();
        self.give(&path);
    }

    fn shim(&self) -> Command {
        let mut command = self.command(&self.shim_binary());
        // What the shim has in its environment is not the program's.
        command.arg("--record").arg(self.record()).env("NOT_FOR_THE_PROGRAM", "1").stdin(Stdio::null());
        command
    }

    /// A shim on the record as it is, to its end.
    pub(crate) fn shim_to_its_end(&self) -> Output {
        self.shim().output().unwrap()
    }

    /// Starts a shim on a new spec.
    pub(crate) fn start(&self, spec: &LaunchSpec) -> Shim<'_> {
        self.write_spec(spec);
        Shim { scene: self, child: self.shim().stderr(Stdio::piped()).spawn().unwrap() }
    }

    /// Runs a spec to its outcome.
    pub(crate) fn run(&self, spec: &LaunchSpec) -> Outcome {
        self.start(spec).outcome()
    }

    pub(crate) fn started(&self) -> Option<Started> {
        let text = fs::read(self.record().join(STARTED_FILE)).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    pub(crate) fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.record().join(name)).unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.record().join(name).exists()
    }
}

/// A living shim. It is asked to end with the test, and takes its program with it.
pub(crate) struct Shim<'a> {
    scene: &'a Scene,
    child: Child,
}

impl Shim<'_> {
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Waits for a file of the program's working directory.
    pub(crate) fn until_work_has(&self, name: &str) {
        eventually(name, || self.scene.work(name).exists().then_some(()));
    }

    /// Says a line on the control socket and gives the answer.
    pub(crate) fn say(&self, line: &str) -> String {
        say(&self.scene.record().join(CONTROL_SOCKET), line).unwrap()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_raw(self.pid()).unwrap(), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the end of the shim", || self.child.try_wait().unwrap())
    }

    pub(crate) fn outcome(mut self) -> Outcome {
        let status = self.wait();
        let mut told = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert!(status.success(), "{status}: {told}");
        serde_json::from_slice(&self.scene.file(OUTCOME_FILE)).unwrap()
    }
}

impl Drop for Shim<'_> {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal(rustix::process::Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

/// One line to a control socket, and its answer.
pub(crate) fn say(socket: &Path, line: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    // Whoever was refused already may have gone before the line came.
    let _ = stream.write_all(format!("{line}\n").as_bytes()).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The levels that this machine can do; of the others it is told why not.
pub(crate) fn levels() -> &'static [Level] {
    static LEVELS: OnceLock<Vec<Level>> = OnceLock::new();
    LEVELS.get_or_init(|| [Level::Landlock, Level::Strict].into_iter().filter(|level| can(*level)).collect())
}

/// Whether level strict can be tried; where not, it is told.
pub(crate) fn strict() -> bool {
    levels().contains(&Level::Strict)
}

fn can(level: Level) -> bool {
    let scene = Scene::new();
    if level == Level::Strict {
        let bwrap = Path::new("/usr/bin/bwrap");
        if !bwrap.exists() {
            skip("level strict needs the package bubblewrap");
            return false;
        }
        let arguments = ["--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"];
        let tried = scene.command(bwrap).args(arguments).output().unwrap();
        if !tried.status.success() {
            skip(&format!("level strict needs user namespaces: {}", String::from_utf8_lossy(&tried.stderr)));
            return false;
        }
    }
    // An old kernel is the only reason of the shim that is believed.
    match scene.run(&scene.spec(level, &["true"])).ending {
        Ending::NotStarted(reason) if reason.contains("of Landlock, and version") => {
            skip(&format!("level {}: {reason}", level.as_str()));
            false
        }
        _ => true,
    }
}
