//! A host of its own, a run on it, and real shims on records that are laid out as agentd-launch lays them out.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use agentd::runner::{
    Collected, Context, Folder, Host, Job, Look, Output, RunDefaults, Step, collected, lay_out, look, output, prepared,
    spec,
};
use agentd_schemas::document::{Acceptance, Runtime, WorkspaceDocument};
use agentd_schemas::launch::{Ending, LaunchSpec, Level, Outcome, RunAs, SPEC_FILE};

/// A work in the tests.
pub(crate) const WORK: &str = "w-aaaaaaaaaaaaaaaa";

pub(crate) struct Scene {
    root: PathBuf,
    pub(crate) host: Host,
    pub(crate) job: Job,
    pub(crate) context: Mutex<Context>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = Command::new("chmod").args(["-R", "u+rwX"]).arg(&self.root).stderr(Stdio::null()).status();
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Scene {
    /// A run whose program is this script.
    pub(crate) fn new(level: Level, script: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (count, process) = (COUNT.fetch_add(1, Ordering::Relaxed), std::process::id());
        let root = std::env::temp_dir().join(format!("agentd-runner-{process}-{count}"));
        fs::create_dir(&root).unwrap();
        for name in ["runs", "own"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        for path in [root.clone(), root.join("runs"), root.join("own")] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        // By a process of its own: a child of another test could hold it open for writing, and nobody could start it.
        let copied =
            Command::new("cp").arg(env!("CARGO_BIN_EXE_agentd-shim")).arg(root.join("own/agentd-shim")).status();
        assert!(copied.unwrap().success());
        let host = Host {
            runs: root.join("runs"),
            content: root.join("content"),
            artefacts: root.join("artefacts"),
            launch: "/nonexistent".into(),
            launch_socket: None,
            shim: root.join("own/agentd-shim"),
            keep_out: Vec::new(),
            profiles: BTreeMap::new(),
            defaults: RunDefaults { step_ms: 60_000, tasks: 4096, min_free_percent: 0, ..RunDefaults::default() },
            uids: None,
        };
        let uid = 50_000 + (process * 64 + count) % 5_000;
        let runtime: Runtime = serde_json::from_value(serde_json::json!({ "command": ["sh", "-c", script] })).unwrap();
        let claim = serde_json::from_value(serde_json::json!({
            "work": WORK, "run": format!("{WORK}.1"), "fence": "1.1", "lease_s": 60, "epoch": 1, "attempt": 1,
            "max_attempts": 3, "title": "Make it pass", "instructions": "All of it.", "required_skills": [],
            "judged_by_person": false, "acceptance": "",
        }));
        let job = Job {
            run: format!("{WORK}.1").parse().unwrap(),
            agent: "fixer".parse().unwrap(),
            level,
            run_as: is_root().then_some(RunAs { uid, gid: uid }),
            runtime,
            files: Vec::new(),
            workspace: None,
            checks: Vec::new(),
            claim: claim.unwrap(),
            timeout_ms: 60_000,
            uid_owner: 0,
        };
        Self { root, host, job, context: Mutex::default() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn folder(&self) -> Folder {
        Folder::of(&self.host, self.job.run)
    }

    pub(crate) fn bundle_workspace(&mut self, base: &str) {
        self.workspace(&serde_json::json!({ "kind": "git", "sha256": "", "bytes": 0, "base": base }));
    }

    pub(crate) fn tar_workspace(&mut self) {
        self.workspace(&serde_json::json!({ "kind": "tar", "sha256": "", "bytes": 0 }));
    }

    fn workspace(&mut self, content: &serde_json::Value) {
        let document: WorkspaceDocument = serde_json::from_value(serde_json::json!({ "content": content })).unwrap();
        self.job.workspace = Some(document);
    }

    pub(crate) fn accept(&mut self, criterion: serde_json::Value) {
        self.job.checks.push(Some(serde_json::from_value::<Acceptance>(criterion).unwrap()));
    }

    /// What agentd-launch does: folders and record for the run's user, then the shim as that user.
    pub(crate) fn launch(&self, step: Step, spec: &LaunchSpec, input: Option<&Path>) -> Outcome {
        let folder = self.folder();
        fs::write(folder.spec(step), serde_json::to_vec(spec).unwrap()).unwrap();
        for path in spec.folders.iter().chain([&folder.record(step)]) {
            if fs::create_dir(path).is_ok() {
                fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
                self.give(path);
            }
        }
        let copy = folder.record(step).join(SPEC_FILE);
        fs::copy(folder.spec(step), &copy).unwrap();
        self.give(&copy);
        let mut command = match self.job.run_as.map(|user| user.uid.to_string()) {
            None => Command::new(&self.host.shim),
            Some(uid) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "--"]).arg(&self.host.shim);
                command
            }
        };
        let input = input.map_or_else(Stdio::null, |path| File::open(path).unwrap().into());
        let status = command.arg("--record").arg(folder.record(step)).stdin(input).status().unwrap();
        assert!(status.success(), "the shim of {step}: {status}");
        match look(&folder, step).unwrap() {
            Look::Ended(outcome) => outcome,
            other => panic!("{step}: {other:?}"),
        }
    }

    fn give(&self, path: &Path) {
        if let Some(user) = self.job.run_as {
            chown(path, Some(user.uid), Some(user.gid)).unwrap();
        }
    }

    pub(crate) fn run(&self, step: Step, input: Option<&Path>) -> Outcome {
        lay_out(&self.host, &self.job).unwrap();
        let spec = spec(&self.host, &self.job, step, &self.context.lock().unwrap()).unwrap();
        self.launch(step, &spec, input)
    }

    /// A step that must succeed.
    pub(crate) fn done(&self, step: Step, input: Option<&Path>) -> Outcome {
        let outcome = self.run(step, input);
        assert_eq!(outcome.ending, Ending::Exited(0), "{step}: {}", self.said(step));
        outcome
    }

    /// A step that must not; what it said.
    pub(crate) fn fails(&self, step: Step, input: Option<&Path>) -> String {
        let outcome = self.run(step, input);
        assert_ne!(outcome.ending, Ending::Exited(0), "{step}: {}", self.said(step));
        self.said(step)
    }

    /// Standard error of a step, and its standard output.
    pub(crate) fn said(&self, step: Step) -> String {
        let read = |stream| output(&self.folder(), step, stream, 0, 1 << 20).unwrap().0;
        let text = [read(Output::Stderr), read(Output::Stdout)].concat();
        String::from_utf8_lossy(&text).into_owned()
    }

    pub(crate) fn prepare(&self, content: &Path) -> String {
        self.done(Step::Prepare, Some(content));
        let base = prepared(&self.folder()).unwrap().base;
        self.context.lock().unwrap().base = Some(base.clone());
        base
    }

    /// From what was handed in to what was collected.
    pub(crate) fn up_to_collected(&self, content: &Path) -> Collected {
        self.prepare(content);
        self.done(Step::Program(1), None);
        self.done(Step::Collect, None);
        collected(&self.folder()).unwrap()
    }

    /// The command in this place on what was collected.
    pub(crate) fn check(&self, place: u32, collected: &Collected) -> Outcome {
        self.context.lock().unwrap().tree = Some(collected.tree_for(place).to_owned());
        self.run(Step::Check(place), None)
    }
}

/// A git repository of a person.
pub(crate) struct Repository(pub(crate) PathBuf);

impl Repository {
    pub(crate) fn new(scene: &Scene, name: &str, format: &str) -> Self {
        let path = scene.path(name);
        fs::create_dir(&path).unwrap();
        let repository = Self(path);
        repository.git(&["init", "-q", "-b", "main", &format!("--object-format={format}")]);
        repository
    }

    pub(crate) fn git(&self, words: &[&str]) -> String {
        let output = self.try_git(words);
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    pub(crate) fn try_git(&self, words: &[&str]) -> std::process::Output {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.0).args(["-c", "user.name=A Person", "-c", "user.email=person@example.org"]);
        command.args(["-c", "protocol.file.allow=always", "-c", "safe.directory=*"]);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").args(words).output().unwrap()
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Commits everything and gives the id.
    pub(crate) fn commit(&self) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Bundles HEAD as agentctl does.
    pub(crate) fn bundle(&self, scene: &Scene) -> PathBuf {
        let path = scene.path("in.bundle");
        self.git(&["update-ref", "refs/agentd/base", "HEAD"]);
        self.git(&["bundle", "create", "-q", path.to_str().unwrap(), "refs/agentd/base"]);
        path
    }
}

/// The levels that this machine can do.
pub(crate) fn levels() -> &'static [Level] {
    static LEVELS: OnceLock<Vec<Level>> = OnceLock::new();
    LEVELS.get_or_init(|| {
        let can = |level: &Level| {
            let scene = Scene::new(*level, "true");
            let outcome = scene.run(Step::Program(1), None);
            let can = outcome.ending == Ending::Exited(0);
            if !can {
                eprintln!("skipped: level {}: {:?}", level.as_str(), outcome.ending);
            }
            can
        };
        let levels: Vec<Level> = [Level::Landlock, Level::Strict].into_iter().filter(can).collect();
        assert!(!levels.is_empty(), "no level can be done here");
        levels
    })
}
