//! The places that the manager names, and the sockets that it passes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use serde_json::Value;

use crate::manager::Managed;

#[test]
fn a_system_service_lives_where_the_manager_says() {
    let mut managed = Managed::started("mode = \"private\"\n[limits]\nmax_attempts = 7\n");
    let status: Value = serde_json::from_str(&managed.ctl(&["status", "--json"])).unwrap();
    assert_eq!(status["mode"], "system", "--system goes before the file");
    assert!(managed.scratch.join("state/ledger.db").exists());
    assert!(!managed.scratch.join("elsewhere").exists(), "the first of a list is meant");
    let mode = |name: &str| fs::metadata(managed.scratch.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("state"), mode("state/ledger.db"), mode("run/control.sock")), (0o711, 0o600, 0o666));
    let id = managed.ctl(&["submit", "Anything", "-q"]);
    let shown: Value = serde_json::from_str(&managed.ctl(&["work", "show", id.trim(), "--json"])).unwrap();
    assert_eq!(shown["max_attempts"], 7, "{shown}");
    assert!(managed.health().iter().any(|line| line.contains("the system bus is not served")));
    assert!(managed.daemon.stop().success());
    assert!(!managed.run("control.sock").exists(), "what it opened it removes");
}

#[test]
fn passed_sockets_are_served_and_stay_when_the_daemon_stops() {
    let mut managed = Managed::prepared("");
    let (control, agents) = (managed.scratch.join("c.sock"), managed.scratch.join("a.sock"));
    let metrics = managed.scratch.join("m.sock");
    let sockets = format!("metrics={} agents={} control={}", metrics.display(), agents.display(), control.display());
    managed = managed.env("AGENTD_TEST_SOCKETS", &sockets);
    managed.start();
    let mut command = managed.ctl_command();
    let output = command.env("AGENTD_ADDRESS", &control).args(["doctor", "--json"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains(&format!("answers at {}", control.display())), "{said}");
    assert!(said.contains(agents.to_str().unwrap()), "where the agents' door is, is told: {said}");
    UnixStream::connect(&agents).unwrap();
    assert!(!managed.run("control.sock").exists() && !managed.run("agents.sock").exists());
    assert!(managed.daemon.stop().success());
    for socket in [&control, &agents, &metrics] {
        assert!(socket.exists(), "{} is the manager's", socket.display());
    }
}

#[test]
fn a_socket_that_nobody_knows_is_refused_by_its_name() {
    let mut managed = Managed::prepared("");
    let sockets = format!("agentd.socket={}", managed.scratch.join("c.sock").display());
    managed = managed.env("AGENTD_TEST_SOCKETS", &sockets);
    managed.daemon.spawn();
    assert!(!managed.daemon.wait().success());
    let log = managed.daemon.log();
    for part in ["\"agentd.socket\"", "control, agents, metrics", "FileDescriptorName="] {
        assert!(log.contains(part), "{part}: {log}");
    }
}
