//! What gets out. `escape-probe` runs once without a sandbox and once in each: what it reached without one, it must not
//! reach inside.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::{Child, Stdio};

use agentd_schemas::launch::{Ending, Level, STDERR_FILE, STDOUT_FILE};
use agentd_tests::escapes::{LEAST_UNCONFINED, devices_of_the_host, is_allowed, namespaces_of_the_host};
use serde_json::Value;

use super::scene::{Scene, levels};

const MEMORY: u64 = 256 << 20;
const FILE: u64 = 16 << 20;

/// What lies outside, and ends with the test.
struct Outside {
    arguments: Vec<String>,
    tasks: u64,
    shm: String,
    victim: Child,
    _tcp: TcpListener,
    _udp: UdpSocket,
    _abstract: UnixListener,
    _unix: UnixListener,
}

impl Outside {
    fn new(scene: &Scene) -> Self {
        let (secret, path) = (scene.outside("secret"), scene.outside("socket"));
        let canary = format!("canary of {}", scene.mark);
        fs::write(&secret, &canary).unwrap();
        scene.give(&secret);
        let unix = UnixListener::bind(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        let name = format!("{}-abstract", scene.mark);
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let victim = scene.command(Path::new("sleep")).arg("600").stdin(Stdio::null()).spawn().unwrap();
        let tasks = tasks_of_this_user(scene) + 64;
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let flags = [
            ("--secret", text(&secret)),
            ("--canary", canary),
            ("--outside", text(&scene.outside(""))),
            ("--workspace", text(&scene.work(""))),
            ("--home", text(&scene.outside(""))),
            ("--tcp", tcp.local_addr().unwrap().port().to_string()),
            ("--udp", udp.local_addr().unwrap().port().to_string()),
            ("--abstract", name),
            ("--unix", text(&path)),
            ("--victim", victim.id().to_string()),
            ("--shm-token", scene.mark.clone()),
            ("--memory", (MEMORY + (64 << 20)).to_string()),
            ("--tasks", tasks.to_string()),
            ("--file-bytes", FILE.to_string()),
            ("--host-dev", devices_of_the_host()),
            ("--host-ns", namespaces_of_the_host()),
        ];
        let arguments = flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
        let shm = format!("/dev/shm/agentd-probe-{}", scene.mark);
        Self { arguments, tasks, shm, victim, _tcp: tcp, _udp: udp, _abstract: listener, _unix: unix }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
        let _ = fs::remove_file(&self.shm);
    }
}

/// Where the tests have a user of their own it has none; otherwise all that runs counts against the limit.
fn tasks_of_this_user(scene: &Scene) -> u64 {
    if scene.uid.is_some() {
        return 1;
    }
    let uid = rustix::process::geteuid().as_raw();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let own = entries.filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.uid() == uid));
    own.filter_map(|entry| fs::read_dir(entry.path().join("task")).ok()).map(|tasks| tasks.count() as u64).sum()
}

/// Attempt, and what came of it: outcome and detail.
type Told = BTreeMap<String, (String, String)>;

/// What the probe told, with its counts printed.
fn read(what: &str, output: &[u8]) -> Told {
    let mut told = Told::new();
    for line in output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line: Value = serde_json::from_slice(line).unwrap();
        match line["attempt"].as_str() {
            Some(name) => {
                let word = |field: &str| line[field].as_str().unwrap().to_owned();
                told.insert(name.to_owned(), (word("outcome"), word("detail")));
            }
            None => eprintln!("{what}: {line}"),
        }
    }
    told
}

#[test]
fn what_gets_out_without_a_sandbox_does_not_get_out_of_one() {
    let scene = Scene::new();
    let outside = Outside::new(&scene);
    let probe = scene.bin("escape-probe");
    let bare = scene.command(&probe).args(&outside.arguments).stdin(Stdio::null()).output().unwrap();
    assert!(bare.status.success(), "{bare:?}");
    let bare = read("without a sandbox", &bare.stdout);
    assert!(Path::new(&outside.shm).exists(), "the control run leaves its file");
    fs::remove_file(&outside.shm).unwrap();
    let reached = bare.values().filter(|(outcome, _)| outcome == "escaped").count();
    assert!(reached >= LEAST_UNCONFINED, "only {reached} of {} get out without a sandbox", bare.len());
    let mut wrong = Vec::new();
    for &level in levels() {
        let told = inside(level, &scene, &outside, &probe);
        assert_eq!(told.len(), bare.len(), "{level:?}: every attempt was made");
        if Path::new(&outside.shm).exists() {
            wrong.push(format!("{level:?}: the host sees {}", outside.shm));
        }
        let mut contained = 0;
        for (name, (outcome, detail)) in &told {
            let allowed = is_allowed(level.as_str(), name);
            // An attempt that the bare host does not allow says nothing, unless it gets out of a sandbox.
            contained += usize::from(bare[name].0 == "escaped" && outcome != "escaped");
            if (outcome == "escaped") != allowed {
                wrong.push(format!("{level:?} {name}: {outcome}: {detail}; without a sandbox {:?}", bare[name]));
            }
        }
        eprintln!("{level:?}: contained {contained} of the {reached} that get out without a sandbox");
    }
    assert!(wrong.is_empty(), "not as the list of the allowed has it:\n{}", wrong.join("\n"));
}

/// The probe in a sandbox.
fn inside(level: Level, scene: &Scene, outside: &Outside, probe: &Path) -> Told {
    let words = [probe.to_str().unwrap()].into_iter().chain(outside.arguments.iter().map(String::as_str));
    let mut spec = scene.spec(level, &words.collect::<Vec<_>>());
    spec.limits.memory_bytes = MEMORY;
    spec.limits.file_bytes = FILE;
    spec.limits.tasks = outside.tasks;
    // A record is used once.
    scene.new_record();
    let outcome = scene.run(&spec);
    let complaint = String::from_utf8_lossy(&scene.file(STDERR_FILE)).into_owned();
    assert_eq!(outcome.ending, Ending::Exited(0), "{level:?}: {outcome:?} {complaint}");
    read(level.as_str(), &scene.file(STDOUT_FILE))
}
