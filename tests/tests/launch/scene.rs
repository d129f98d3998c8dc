//! A folder of runs with one run in it, and a launcher that has root's rights or none.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use agentd_schemas::id::{RunId, WorkId};
use agentd_schemas::launch::{
    CONTROL_SOCKET, Input, LAUNCH_VERSION, LaunchSpec, Level, Mount, Network, OUTCOME_FILE, Outcome, Probe, RUN_UIDS,
    RunAs, RunLimits, STARTED_FILE, Started,
};
use agentd_tests::harness::{Scratch, eventually, is_root, lend, skip};

/// Whose rights the launcher has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    /// Root's: the run gets a user of its own.
    Root,
    /// None: the run is the launcher's user's.
    Ordinary,
}

/// The rights that a launcher can have here.
pub(crate) fn rights() -> Vec<Rights> {
    if is_root() {
        return vec![Rights::Root, Rights::Ordinary];
    }
    skip("to launch as root needs root");
    vec![Rights::Ordinary]
}

pub(crate) struct Scene {
    scratch: Scratch,
    rights: Rights,
    pub(crate) run: RunId,
    /// The user of the run.
    pub(crate) uid: u32,
    /// A word that nothing else on this machine has in its arguments.
    pub(crate) mark: String,
}

impl Scene {
    pub(crate) fn new(rights: Rights) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut bytes = [7; 10];
        bytes[..4].copy_from_slice(&process.to_be_bytes());
        bytes[4..8].copy_from_slice(&count.to_be_bytes());
        let place = (process % 10_000) * 100 + count % 100;
        let uid = match (rights, is_root()) {
            (Rights::Root, _) => RUN_UIDS.start() + place,
            (Rights::Ordinary, true) => 200_000 + place,
            (Rights::Ordinary, false) => rustix::process::geteuid().as_raw(),
        };
        let run = RunId { work: WorkId::from_bytes(bytes), attempt: 1 };
        let scene = Self { scratch: Scratch::new(), rights, run, uid, mark: format!("agentd-run-{process}-{count}-x") };
        fs::set_permissions(scene.scratch.path(), Permissions::from_mode(0o755)).unwrap();
        for folder in [scene.path("own"), scene.runs(), scene.folder("")] {
            fs::create_dir(&folder).unwrap();
            fs::set_permissions(&folder, Permissions::from_mode(0o711)).unwrap();
            scene.give_to_launcher(&folder);
        }
        for name in ["agentd-launch", "agentd-shim"] {
            lend(name, &scene.own(name));
        }
        scene
    }

    fn give_to_launcher(&self, path: &Path) {
        if self.rights == Rights::Ordinary && is_root() {
            chown(path, Some(self.uid), Some(self.uid)).unwrap();
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().canonicalize().unwrap().join(name)
    }

    fn own(&self, name: &str) -> PathBuf {
        self.path("own").join(name)
    }

    pub(crate) fn runs(&self) -> PathBuf {
        self.path("runs")
    }

    /// A path in the run's folder.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.runs().join(self.run.to_string());
        if name.is_empty() { folder } else { folder.join(name) }
    }

    pub(crate) fn record(&self, name: &str) -> PathBuf {
        self.folder("program").join(name)
    }

    /// A file of the run's workspace.
    pub(crate) fn work(&self, name: &str) -> PathBuf {
        self.folder("workspace").join(name)
    }

    /// A shell script with its workspace; `$0` is the mark.
    pub(crate) fn script(&self, level: Level, script: &str) -> LaunchSpec {
        let program = ["sh", "-c", script, &self.mark];
        let work = self.folder("workspace");
        let user = RunAs { uid: self.uid, gid: self.uid };
        LaunchSpec {
            version: LAUNCH_VERSION,
            run: self.run,
            program: program.iter().map(|&word| word.to_owned()).collect(),
            environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            directory: work.clone(),
            input: Input::Text(String::new()),
            level,
            mounts: vec![Mount {
                source: work.clone(),
                target: work.clone(),
                access: agentd_schemas::launch::Access::Write,
            }],
            run_as: (self.rights == Rights::Root).then_some(user),
            network: Network::None,
            folders: vec![work],
            keep_out: Vec::new(),
            limits: RunLimits {
                wall_ms: 60_000,
                grace_ms: 200,
                output_bytes: 1 << 20,
                memory_bytes: 1 << 30,
                file_bytes: 1 << 30,
                tasks: 4096,
                open_files: 256,
                cpu_percent: None,
            },
        }
    }

    /// A command with the launcher's rights.
    pub(crate) fn command(&self, program: &Path) -> Command {
        if self.rights == Rights::Root || !is_root() {
            return Command::new(program);
        }
        self.as_user(program)
    }

    /// A command as the run's user, where the tests can give it one.
    pub(crate) fn as_user(&self, program: &Path) -> Command {
        if !is_root() {
            return Command::new(program);
        }
        let uid = self.uid.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "--"]).arg(program);
        command
    }

    pub(crate) fn launcher(&self) -> Command {
        let mut command = self.command(&self.own("agentd-launch"));
        command.env("NOT_FOR_THE_PROGRAM", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Writes the spec where a daemon would.
    pub(crate) fn write(&self, spec: &LaunchSpec) -> PathBuf {
        let path = self.folder("program.json");
        fs::write(&path, serde_json::to_vec(spec).unwrap()).unwrap();
        self.give_to_launcher(&path);
        path
    }

    /// The command that starts what lies at a path.
    pub(crate) fn start_command(&self, spec: &Path, record: &Path) -> Command {
        let mut command = self.launcher();
        command.arg("start").arg("--runs").arg(self.runs());
        command.arg("--spec").arg(spec).arg("--record").arg(record);
        command
    }

    pub(crate) fn start(&self, spec: &LaunchSpec) -> Launched<'_> {
        self.start_with(spec, |_| {})
    }

    pub(crate) fn start_with(&self, spec: &LaunchSpec, change: impl FnOnce(&mut Command)) -> Launched<'_> {
        let mut command = self.start_command(&self.write(spec), &self.folder("program"));
        change(&mut command);
        Launched { scene: self, child: command.spawn().unwrap() }
    }

    /// Runs a spec to its outcome.
    pub(crate) fn run(&self, spec: &LaunchSpec) -> Outcome {
        self.start(spec).outcome()
    }

    pub(crate) fn remove(&self) -> Output {
        self.launcher()
            .arg("remove")
            .arg("--runs")
            .arg(self.runs())
            .arg("--run")
            .arg(self.run.to_string())
            .output()
            .unwrap()
    }

    /// Removes the run, which must succeed, and looks whether anything is left of it.
    pub(crate) fn removes(&self) {
        let removed = self.remove();
        assert!(removed.status.success(), "{removed:?}");
        assert!(!self.folder("").exists());
        assert!(self.groups().is_empty(), "{:?}", self.groups());
    }

    /// Control groups with the run's name, wherever they are.
    pub(crate) fn groups(&self) -> Vec<PathBuf> {
        let (mut open, mut found) = (vec![PathBuf::from("/sys/fs/cgroup")], Vec::new());
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    if entry.file_name().to_str() == Some(&self.run.to_string()) {
                        found.push(entry.path());
                    }
                    open.push(entry.path());
                }
            }
        }
        found
    }

    pub(crate) fn started(&self) -> Option<Started> {
        serde_json::from_slice(&fs::read(self.record(STARTED_FILE)).ok()?).ok()
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        serde_json::from_slice(&fs::read(self.record(OUTCOME_FILE)).ok()?).ok()
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(fs::read(self.record("stdout")).unwrap()).unwrap()
    }

    /// Ids of the living processes with the scene's mark in their arguments.
    pub(crate) fn marked(&self) -> Vec<i32> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()));
        let has_mark = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.windows(self.mark.len()).any(|part| part == self.mark.as_bytes())
        };
        pids.filter(has_mark).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Control groups outlive a folder, and a test that failed may leave a living shim.
        if let Ok(mut stream) = std::os::unix::net::UnixStream::connect(self.record(CONTROL_SOCKET)) {
            let _ = std::io::Write::write_all(&mut stream, b"stop shutdown\n");
        }
        for _ in 0..100 {
            if self.remove().status.code() != Some(2) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

/// A launcher that became a shim, or did not.
pub(crate) struct Launched<'a> {
    scene: &'a Scene,
    pub(crate) child: Child,
}

impl Launched<'_> {
    pub(crate) fn until_work_has(&mut self, name: &str) {
        eventually(name, || {
            let gone = self.child.try_wait().unwrap();
            let log = || fs::read_to_string(self.scene.record("shim.log")).unwrap_or_default();
            assert!(gone.is_none(), "{gone:?}: {} {:?}", log(), self.scene.outcome());
            self.scene.work(name).exists().then_some(())
        });
    }

    pub(crate) fn say(&self, line: &str) -> String {
        use std::io::{Read as _, Write as _};
        let mut stream = std::os::unix::net::UnixStream::connect(self.scene.record(CONTROL_SOCKET)).unwrap();
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub(crate) fn wait(mut self) -> Output {
        eventually("the end of the launcher", || self.child.try_wait().unwrap());
        self.child.wait_with_output().unwrap()
    }

    pub(crate) fn outcome(self) -> Outcome {
        let scene = self.scene;
        let told = self.wait();
        let log = fs::read_to_string(scene.record("shim.log")).unwrap_or_default();
        assert!(told.status.success(), "{told:?} {log}");
        scene.outcome().unwrap()
    }
}

/// What this machine can do, as the probe has it with root's rights or none.
pub(crate) fn probe(rights: Rights) -> &'static Probe {
    static PROBES: [OnceLock<Probe>; 2] = [OnceLock::new(), OnceLock::new()];
    PROBES[usize::from(rights == Rights::Root)].get_or_init(|| {
        let scene = Scene::new(rights);
        let told = scene.launcher().arg("probe").output().unwrap();
        assert!(told.status.success(), "{told:?}");
        assert!(told.stderr.is_empty(), "{told:?}");
        serde_json::from_slice(&told.stdout).unwrap()
    })
}

/// The levels that this machine can do.
pub(crate) fn levels(rights: Rights) -> Vec<Level> {
    let (works, not): (Vec<_>, Vec<_>) = probe(rights).levels.iter().partition(|probe| probe.works);
    for probe in not {
        skip(&format!("level {}: {:?}", probe.level.as_str(), probe.reason));
    }
    works.into_iter().map(|probe| probe.level).collect()
}
