//! A run is no operator, although it has the operator's uid: it is heard at its own socket alone.

use std::fs;

use agentd_schemas::launch::{Level, Probe};
use agentd_tests::harness::skip;

use super::scene::{Scene, everybody};

/// Speaks at the doors: as the person, as one whose process ended, and as an agent. Then it waits to be judged.
const TRIES: &str = r#"exec 2>&1
ctl=CTL/agentctl
socket=$(cat SOCKET)
for try in "accept $(cat WAITING) --note mine" "submit another" "status"; do
    AGENTD_ADDRESS=$socket $ctl $try && echo "REACHED by $try"
done
python3 - "$socket" "${socket%/*}/agents.sock" <<'END'
import os, socket, sys
def at(path, words):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(path)
    s.sendall(words)
    return s.recv(65536)
print(at(sys.argv[2], b"GET /v1/health HTTP/1.1\r\nhost: a\r\n\r\n"))
# Another process connects and ends, and the connection lives on in this one.
ours, theirs = socket.socketpair(socket.AF_UNIX)
child = os.fork()
if child == 0:
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[2])
    socket.send_fds(theirs, [b"x"], [s.fileno()])
    os._exit(0)
os.waitpid(child, 0)
_, fds, _, _ = socket.recv_fds(ours, 1, 1)
s = socket.socket(fileno=fds[0])
s.settimeout(20)
s.sendall(b"GET /v1/health HTTP/1.1\r\nhost: a\r\n\r\n")
print("orphan", s.recv(65536))
END
$ctl run show && echo SPOKE
echo tried
"#;

/// Whether a run can be at level landlock here.
fn can_landlock(scene: &Scene) -> bool {
    let told = scene.command(scene.bin("agentd-launch").to_str().unwrap()).arg("probe").output().unwrap();
    let probe: Probe = serde_json::from_slice(&told.stdout).unwrap();
    let can = probe.levels.iter().any(|level| level.level == Level::Landlock && level.works);
    if !can {
        skip("level landlock needs version 6 of Landlock");
    }
    can
}

#[test]
fn a_run_that_reaches_the_sockets_is_heard_at_its_own_alone() {
    for who in everybody() {
        let mut scene = Scene::prepared(who, "least_level = \"landlock\"");
        if !can_landlock(&scene) {
            return;
        }
        scene.write(&scene.control("weak"), "");
        scene.daemon.run();
        // Its modes keep nobody out: what does is who it is.
        scene.open_to_others();
        let agents = scene.daemon.control_socket().with_file_name("agents.sock");
        fs::set_permissions(&agents, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        let (ctl, told) = (scene.path("ctl"), scene.path("told"));
        scene.write(&told.join("socket"), scene.daemon.control_socket().to_str().unwrap());
        let waiting = scene.submit("nobody", &["--accept-by-person"]);
        scene.write(&told.join("waiting"), &waiting);
        let script = TRIES.replace("CTL", ctl.to_str().unwrap());
        let script = script.replace("SOCKET", told.join("socket").to_str().unwrap());
        let script = script.replace("WAITING", told.join("waiting").to_str().unwrap());
        let more = format!("sandbox = {{ level = \"landlock\", read_only_paths = [{ctl:?}, {told:?}] }}");
        scene.agent("climber", &more, &script);
        let before = scene.operator().count("WorkSubmitted");
        let id = scene.submit("climber", &["--max-attempts", "1"]);
        let work = scene.until(&id, "completed");
        let said = work["runs"][0]["result"].as_str().unwrap();
        assert_eq!(work["runs"][0]["confinement"]["level"], "landlock", "{work:#}");
        assert!(said.contains("tried") && said.contains("SPOKE"), "{said}");
        assert!(!said.contains("REACHED"), "{who:?}: {said}");
        assert_eq!(said.matches("a run is not heard at the operators' door").count(), 3, "{said}");
        assert!(said.contains("a run is not heard at the agents"), "{said}");
        let orphan = said.split("orphan").nth(1).unwrap();
        assert!(orphan.contains("403 Forbidden"), "{said}");
        assert_eq!(scene.operator().count("WorkSubmitted"), before + 1);
        // It is on record, and the person is heard all the while.
        let events = scene.operator().events();
        let denied = |event: &&serde_json::Value| event.to_string().contains("run.speaks_for_itself");
        assert!(events.iter().filter(denied).count() > 3, "{}", scene.daemon.log());
        scene.told(&["status"]);
        scene.told(&["cancel", &waiting, "--reason", "nobody comes"]);
        scene.ends_well();
    }
}
