//! An engine with open doors, and shims whose programs speak at them.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use agentd::domain::Defaults;
use agentd::domain::command::RunRef;
use agentd::engine::doors::{DOOR_FOLDER, DOOR_SOCKET, OpenDoor};
use agentd::engine::{self, Engine, Settings};
use agentd::policy::Caller;
use agentd::sys::children::Held;
use agentd::sys::process::effective_uid;
use agentd_schemas::document::request::Enrolment;
use agentd_schemas::http::ClaimRequest;
use agentd_schemas::key::openssh::PrivateKey;
use agentd_schemas::key::possession::{Possession, PossessionKind};
use agentd_schemas::launch::{
    Access, Input, LAUNCH_VERSION, LaunchSpec, Level, Mount, Network, OUTCOME_FILE, Outcome, RunLimits, SPEC_FILE,
    STDOUT_FILE,
};
use agentd_schemas::unit::name::Slug;
use rustix::process::{Pid, Signal};
use tokio::sync::watch;

/// curl as programs call it: the answer on stdout, also that of a refusal, which is exit code 22.
pub(crate) const ASK: &str = "curl --silent --fail-with-body --unix-socket $AGENTD_RUN_SOCKET";

/// Scenes of this process.
static SCENES: AtomicU32 = AtomicU32::new(0);

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(mode: u32) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("agentd-door-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) struct Scene {
    pub(crate) engine: Engine,
    /// The user of runs; `None` for whoever runs the tests.
    pub(crate) uid: Option<u32>,
    enrolled: AtomicU8,
    place: Folder,
    _state: Folder,
    _stop: watch::Sender<bool>,
}

/// One run: its door is open.
pub(crate) struct Run {
    pub(crate) named: RunRef,
    pub(crate) folder: PathBuf,
    pub(crate) record: PathBuf,
    pub(crate) work: PathBuf,
    shim: watch::Sender<Option<Arc<Held>>>,
}

impl Run {
    /// What the program wrote.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(self.record.join(STDOUT_FILE)).unwrap()
    }
}

fn owner() -> Caller {
    Caller::person(1000, false, false)
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let (place, state) = (Folder::new(0o755), Folder::new(0o700));
        let settings = Settings {
            mode: "private",
            state: state.0.clone(),
            agents_socket: state.0.join("agents.sock"),
            trust_domain: None,
            zone: jiff::tz::TimeZone::UTC,
            configuration: None,
            defaults: Arc::new(Defaults::default()),
            policies: None,
            keks: Arc::default(),
            journal: false,
            runs: None,
        };
        let engine = engine::start(settings).await.unwrap();
        let (stop, stopped) = watch::channel(false);
        engine.ready_artefacts().unwrap();
        tokio::spawn(agentd::api::run::serve(engine.clone(), stopped));
        let own = place.0.join("agentd-shim");
        fs::copy(env!("CARGO_BIN_EXE_agentd-shim"), &own).unwrap();
        // Each scene counts its own tasks, so each has a user of its own.
        let nth = std::process::id() * 16 + SCENES.fetch_add(1, Ordering::Relaxed);
        let uid = (effective_uid() == 0).then(|| 60_000 + nth % 5_000);
        Self { engine, uid, enrolled: AtomicU8::new(0), place, _state: state, _stop: stop }
    }

    /// Claims a work and opens the door of its run.
    pub(crate) async fn run(&self) -> Run {
        let work = serde_json::from_value(serde_json::json!({ "title": "Count the sheep" })).unwrap();
        self.engine.submit(&owner(), vec![work], None, b"").await.unwrap();
        // A new agent has one work at a time, so each run has an agent of its own.
        let agent = enrol(&self.engine, self.enrolled.fetch_add(1, Ordering::Relaxed)).await;
        let agent = Caller::agent(agent, 1000);
        let claim = self.engine.claim(&agent, &ClaimRequest::default()).await.unwrap().unwrap();
        let run = RunRef { work: claim.work, attempt: claim.attempt, fence: claim.fence };
        let folder = self.place.0.join(claim.work.to_string());
        let (record, work) = (folder.join("program"), folder.join("work"));
        for path in [&folder, &record, &work] {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, Permissions::from_mode(if *path == folder { 0o711 } else { 0o700 })).unwrap();
        }
        for path in [&record, &work] {
            self.give(path);
        }
        let shim = watch::Sender::new(None);
        let door = OpenDoor {
            run,
            agent: agent.agent_name().unwrap().clone(),
            owner: 1000,
            uid: self.uid.unwrap_or_else(effective_uid),
            folder: folder.clone(),
            shim: shim.subscribe(),
        };
        self.engine.open_door(door).unwrap();
        Run { named: run, folder, record, work, shim }
    }

    /// The shim of an earlier start of the run's program has ended, and the door knows of no other.
    pub(crate) fn had_a_shim(run: &Run) {
        let mut earlier = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(earlier.id()).unwrap()).unwrap();
        run.shim.send_replace(Some(Arc::new(Held::open(pid).unwrap())));
        drop(earlier.stdin.take());
        earlier.wait().unwrap();
    }

    fn give(&self, path: &Path) {
        if self.uid.is_some() {
            chown(path, self.uid, self.uid).unwrap();
        }
    }

    /// Waits until the run waits for a person.
    pub(crate) async fn until_asked(&self, run: &Run) {
        let mut size = self.engine.size();
        let work = run.named.work.to_string();
        let asked = async {
            while self.engine.work(&owner(), &work).unwrap().row.state != "waiting" {
                size.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asked).await.unwrap();
    }

    /// A person answers.
    pub(crate) async fn answer(&self, run: &Run, text: &str) {
        self.engine.answer(&owner(), &run.named.work.to_string(), text).await.unwrap();
    }

    /// How many were not who they should be.
    pub(crate) fn refused(&self) -> u64 {
        self.engine.status(&Caller::person(0, true, false)).unwrap().denials.unauthenticated
    }

    fn command(uid: Option<u32>, program: &Path) -> Command {
        let Some(uid) = uid.map(|uid| uid.to_string()) else { return Command::new(program) };
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "--"]).arg(program);
        command
    }

    /// Asks at the door of a run from outside.
    pub(crate) fn outside(run: &Run, uid: Option<u32>) -> String {
        let mut command = Self::command(uid, Path::new("/usr/bin/curl"));
        command.args(["--silent", "--include", "--unix-socket"]).arg(run.folder.join(DOOR_FOLDER).join(DOOR_SOCKET));
        String::from_utf8(command.arg("http://agentd/v1/run").output().unwrap().stdout).unwrap()
    }

    /// Starts a shim whose program is this script.
    pub(crate) fn start<'a>(&self, run: &'a Run, level: Level, script: &str) -> Shim<'a> {
        self.start_at(run, run, level, script)
    }

    /// The same, with the door of another run in its sandbox.
    pub(crate) fn start_at<'a>(&self, run: &'a Run, door: &Run, level: Level, script: &str) -> Shim<'a> {
        let shim = self.start_unknown(run, door, level, script);
        shim.is_known();
        shim
    }

    /// The same, and the door does not learn of the shim.
    pub(crate) fn start_unknown<'a>(&self, run: &'a Run, door: &Run, level: Level, script: &str) -> Shim<'a> {
        let outside = door.folder.join(DOOR_FOLDER);
        let inside = if level >= Level::Strict { PathBuf::from("/run/door") } else { outside.clone() };
        let spec = LaunchSpec {
            version: LAUNCH_VERSION,
            run: "w-aaaaaaaaaaaaaaaa.1".parse().unwrap(),
            program: ["sh", "-c", &format!("door=http://agentd; export door; {script}")].map(str::to_owned).to_vec(),
            environment: BTreeMap::from([
                ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
                ("AGENTD_RUN_SOCKET".to_owned(), inside.join(DOOR_SOCKET).display().to_string()),
            ]),
            directory: run.work.clone(),
            input: Input::Text(String::new()),
            level,
            mounts: vec![
                Mount { source: run.work.clone(), target: run.work.clone(), access: Access::Write },
                Mount { source: outside, target: inside, access: Access::Read },
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
        };
        let path = run.record.join(SPEC_FILE);
        fs::write(&path, serde_json::to_vec(&spec).unwrap()).unwrap();
        self.give(&path);
        let mut command = Self::command(self.uid, &self.place.0.join("agentd-shim"));
        let child = command.arg("--record").arg(&run.record).stdin(Stdio::null()).spawn().unwrap();
        Shim { run, child }
    }
}

/// A living shim; it ends with the test.
pub(crate) struct Shim<'a> {
    run: &'a Run,
    child: Child,
}

impl Shim<'_> {
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// The door learns of it.
    pub(crate) fn is_known(&self) {
        self.run.shim.send_replace(Some(Arc::new(Held::open(Pid::from_raw(self.pid()).unwrap()).unwrap())));
    }

    /// Waits for a file of the program.
    pub(crate) fn until(&self, name: &str) {
        eventually(|| self.run.work.join(name).exists().then_some(()));
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Outcome {
        assert!(self.child.wait().unwrap().success());
        serde_json::from_slice(&fs::read(self.run.record.join(OUTCOME_FILE)).unwrap()).unwrap()
    }

    pub(crate) fn stop(self) {
        rustix::process::kill_process(Pid::from_raw(self.pid()).unwrap(), Signal::TERM).unwrap();
        self.end();
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Shim<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn enrol(engine: &Engine, nth: u8) -> Slug {
    let (key, name) = (PrivateKey::from_seed(&[nth + 1; 32]), format!("fixer-{nth}"));
    let name = name.as_str();
    let (public_key, nonce) = (key.public_key(), engine.challenge(&owner(), name).unwrap());
    let trust_domain = &engine.host().trust_domain;
    let possession =
        Possession { kind: PossessionKind::Enroll, trust_domain, name, nonce: &nonce, public_key: &public_key };
    let signature = data_encoding::BASE64.encode(&key.sign(&possession.message().unwrap()));
    let agent = serde_json::from_value(serde_json::json!({ "name": name })).unwrap();
    let enrolment = Enrolment { agent, public_key: public_key.to_string(), nonce, signature, declared: None };
    engine.enrol(&owner(), enrolment).await.unwrap();
    name.parse().unwrap()
}

/// Waits until there is something, within half a minute.
pub(crate) fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..3000 {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it did not come");
}

/// The levels that this machine can do; of the others it is told why not.
pub(crate) fn levels() -> Vec<Level> {
    [Level::Landlock, Level::Strict].into_iter().filter(|level| can(*level)).collect()
}

fn can(level: Level) -> bool {
    let bwrap = Path::new("/usr/bin/bwrap");
    let arguments = ["--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"];
    let uid = (effective_uid() == 0).then_some(60_000);
    let works = || Scene::command(uid, bwrap).args(arguments).output().is_ok_and(|tried| tried.status.success());
    let can = level < Level::Strict || (bwrap.exists() && works());
    if !can {
        eprintln!("skipped: level strict needs bubblewrap and user namespaces");
    }
    can
}

/// The command line, where it was built beside the shim: a test of agentd alone does not build it.
pub(crate) fn agentctl() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_BIN_EXE_agentd-shim")).with_file_name("agentctl");
    if !path.exists() {
        eprintln!("skipped: agentctl is not built; cargo build --workspace builds it");
    }
    path.exists().then_some(path)
}
