//! What gets out of runs as agentd itself starts them: the probe of the shim's own tests, sent the whole way.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

use agentd_tests::escapes::{LEAST_UNCONFINED, devices_of_the_host, is_allowed, namespaces_of_the_host};
use agentd_tests::harness::{binary, is_root, lend, skip};
use serde_json::Value;

use super::scene::{Scene, Who, everybody};

const MEMORY: u64 = 256 << 20;
const FILE: u64 = 16 << 20;
const TASKS: u64 = 256;

/// A launcher on a host that can do no more than `landlock`.
const NO_STRICT: &str = "#!/bin/sh
if [ \"$1\" = probe ]; then
    BIN \"$@\" | python3 -c \"
import json, sys
probe = json.load(sys.stdin)
for each in probe['levels']:
    if each['level'] != 'landlock':
        each.update(works=False, reason='not in this test')
json.dump(probe, sys.stdout)\"
    exit
fi
exec BIN \"$@\"
";

/// A daemon whose runs are of this level; none where the machine cannot do it.
fn scene(who: Who, level: &str) -> Option<Scene> {
    let mut scene = Scene::prepared(who, "least_level = \"landlock\"");
    if level == "landlock" {
        let launcher = scene.bin("agentd-launch");
        let script = NO_STRICT.replace("BIN", launcher.to_str().unwrap());
        scene.script(&scene.bin("launch"), &script);
    }
    let mut probe = scene.command(scene.bin("launch").to_str().unwrap());
    let found = probe.arg("probe").arg("--shim").arg(scene.bin("agentd-shim")).output().unwrap();
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let mut levels = found["levels"].as_array().unwrap().iter();
    if !levels.any(|each| each["level"] == level && each["works"] == true) {
        skip(&format!("level {level} cannot be done here"));
        return None;
    }
    scene.daemon.run();
    Some(scene)
}

/// The probe as a run, with what lies outside of it; attempts that got out, and all of them.
fn probed(scene: &Scene, level: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let outside = scene.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::set_permissions(&outside, Permissions::from_mode(0o777)).unwrap();
    let (secret, socket, canary) =
        (outside.join("secret"), outside.join("socket"), format!("canary of {}", scene.mark));
    scene.write(&secret, &canary);
    let _unix = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, Permissions::from_mode(0o777)).unwrap();
    let name = format!("{}-abstract", scene.mark);
    let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut victim = scene.command("sleep").arg("600").spawn().unwrap();
    // Not in a folder of the daemon's programs, which no run may see.
    let probe = scene.path("probe/escape-probe");
    fs::create_dir(scene.path("probe")).unwrap();
    lend("escape-probe", &probe);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let flags = [
        ("--secret", text(&secret)),
        ("--canary", canary),
        ("--outside", text(&outside)),
        ("--workspace", "{{ workspace }}".to_owned()),
        ("--home", text(&outside)),
        ("--tcp", tcp.local_addr().unwrap().port().to_string()),
        ("--udp", udp.local_addr().unwrap().port().to_string()),
        ("--abstract", name),
        ("--unix", text(&socket)),
        ("--victim", victim.id().to_string()),
        ("--shm-token", scene.mark.clone()),
        ("--memory", (MEMORY + (64 << 20)).to_string()),
        ("--tasks", TASKS.to_string()),
        ("--file-bytes", FILE.to_string()),
        ("--host-dev", devices_of_the_host()),
        ("--host-ns", namespaces_of_the_host()),
    ];
    let words: Vec<String> = [text(&probe)]
        .into_iter()
        .chain(flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]))
        .collect();
    unconfined(scene, &words);
    let lines = format!(
        "command = {words:?}\nsandbox.level = \"landlock\"\nsandbox.read_only_paths = ['{}']\n\
         resources = {{ memory_max = \"256M\", tasks_max = {TASKS}, workspace_max = \"16M\" }}",
        scene.path("probe").display()
    );
    scene.enrol("prober", &lines);
    let id = scene.submit("prober", &["--max-attempts", "1"]);
    let work = scene.until(&id, "completed");
    assert_eq!(work["runs"][0]["confinement"]["level"], level, "{work:#}");
    let shm = format!("/dev/shm/agentd-probe-{}", scene.mark);
    let seen = Path::new(&shm).exists();
    let _ = fs::remove_file(&shm);
    assert!(!seen, "{level}: the host sees {shm}");
    victim.kill().unwrap();
    victim.wait().unwrap();
    told(level, work["runs"][0]["result"].as_str().unwrap())
}

/// The control: the same words without a run around them get out in many ways, by the user whose runs they will be. As root
/// nobody tries.
fn unconfined(scene: &Scene, words: &[String]) {
    if scene.uid.is_none() && is_root() {
        return;
    }
    let place = scene.path("home/unconfined");
    scene.write(&place.join("value"), "");
    let words: Vec<String> =
        words.iter().map(|word| word.replace("{{ workspace }}", place.to_str().unwrap())).collect();
    let ran = scene.command(&words[0]).args(&words[1..]).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let _ = fs::remove_file(format!("/dev/shm/agentd-probe-{}", scene.mark));
    let (escaped, all) = told("without a run", std::str::from_utf8(&ran.stdout).unwrap());
    assert!(escaped.len() >= LEAST_UNCONFINED, "only {} of {} get out without a run", escaped.len(), all.len());
}

/// What the probe said: attempts that got out, and all of them.
fn told(level: &str, said: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut escaped, mut all) = (BTreeSet::new(), BTreeSet::new());
    for line in said.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let Some(attempt) = line["attempt"].as_str() else { continue };
        all.insert(attempt.to_owned());
        if line["outcome"] == "escaped" {
            eprintln!("{level}: {line}");
            escaped.insert(attempt.to_owned());
        }
    }
    (escaped, all)
}

#[test]
fn nothing_gets_out_of_a_run_that_does_not_get_out_of_its_sandbox() {
    let listed = std::process::Command::new(binary("escape-probe")).arg("--list").output().unwrap();
    let listed: BTreeSet<String> = String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["attempt"].as_str().unwrap().to_owned())
        .collect();
    for who in everybody() {
        for level in ["landlock", "strict"] {
            let Some(mut scene) = scene(who, level) else { continue };
            let (escaped, all) = probed(&scene, level);
            assert_eq!(all, listed, "{who:?} {level}: every attempt is made");
            let allowed: BTreeSet<String> = listed.iter().filter(|name| is_allowed(level, name)).cloned().collect();
            assert_eq!(escaped, allowed, "{who:?} {level}");
            scene.ends_well();
        }
    }
}
