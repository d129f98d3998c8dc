//! Metrics on a unix socket: who gets them, what they say, and whether Prometheus reads them and the alerts.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]
#![allow(clippy::float_cmp, reason = "counts are whole numbers, which floats hold exactly")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use agentd_tests::harness::{Daemon, Scratch, Settings, skip};

fn get(socket: &Path, path: &str) -> (String, String) {
    let mut stream = UnixStream::connect(socket).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// A daemon with metrics in a place of its own.
fn daemon(scratch: &Scratch) -> (Daemon, PathBuf) {
    let socket = scratch.join("metrics.sock");
    let config = format!("[sockets]\nmetrics = {:?}\n", socket.to_str().unwrap());
    (Daemon::with(Settings { config: Some(config), ..Settings::default() }), socket)
}

/// The samples of a text, by name and labels. Each has its family with HELP and TYPE before it.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let (mut found, mut families) = (BTreeMap::new(), BTreeMap::new());
    let mut last = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(help.ends_with('.') && families.insert(name.to_owned(), String::new()).is_none(), "{line}");
            name.clone_into(&mut last);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(name == last && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            families.insert(last.clone(), kind.to_owned());
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let bare = name.split('{').next().unwrap();
            let parts = ["_bucket", "_sum", "_count"];
            let of = parts.iter().find_map(|part| bare.strip_suffix(part)).filter(|of| families.contains_key(*of));
            assert_eq!(of.unwrap_or(bare), last, "{line}");
            assert!(bare.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{line}");
            assert!(found.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{line} is there twice");
        }
    }
    assert!(families.values().all(|kind| !kind.is_empty()));
    found
}

#[test]
fn what_happens_is_counted_and_no_content_is_told() {
    let scratch = Scratch::new();
    let (daemon, socket) = daemon(&scratch);
    let before = samples(&get(&socket, "/metrics").1);
    daemon.told(&["submit", "Title-of-nobody", "--skill", "secret-skill", "--label", "team=secret-team"]);
    daemon.told(&["submit", "Another", "--skill", "secret-skill"]);
    daemon.told(&["cancel", "@", "--reason", "no more"]);
    let (head, text) = get(&socket, "/metrics");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    let after = samples(&text);
    let grew = |name: &str| after[name] - before[name];
    assert!(grew("agentd_ledger_events_total") >= 3.0);
    assert!(grew("agentd_commit_duration_seconds_count") >= 3.0);
    assert_eq!(grew("agentd_works{state=\"parked\"}"), 1.0);
    assert_eq!(grew("agentd_works_ended_total{outcome=\"cancelled\"}"), 1.0);
    assert_eq!(
        after["agentd_commit_duration_seconds_bucket{le=\"+Inf\"}"],
        after["agentd_commit_duration_seconds_count"]
    );
    assert_eq!(after["agentd_ledger_signed_events"], after["agentd_ledger_events_total"]);
    assert_eq!(after["agentd_door_connections{door=\"metrics\"}"], 1.0);
    assert!(after["agentd_last_beat_timestamp_seconds"] > 1.7e9 && after["process_resident_memory_bytes"] > 1e6);
    for secret in ["Title-of-nobody", "secret-skill", "secret-team", "w-"] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert!(get(&socket, "/").0.starts_with("HTTP/1.1 404"));
}

#[test]
fn the_socket_is_asked_for_in_private_mode_and_who_holds_all_places_shuts_nobody_out_for_long() {
    let plain = Daemon::start();
    assert!(!plain.state().join("run/metrics.sock").exists());
    let scratch = Scratch::new();
    let (daemon, socket) = daemon(&scratch);
    let held: Vec<UnixStream> = (0..40).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    // Those beyond the share are closed without a word, and the daemon goes on.
    let closed = held.iter().filter(|stream| {
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
        matches!((&mut &**stream).read(&mut [0; 1]), Ok(0))
    });
    // Who may read them has all places, and those beside.
    assert_eq!(closed.count(), 20);
    drop(held);
    agentd_tests::harness::eventually("a place", || {
        let mut stream = UnixStream::connect(&socket).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(())
    });
    drop(daemon);
}

#[test]
fn who_may_not_see_everything_gets_no_numbers() {
    if !rustix::process::geteuid().is_root() {
        return skip("another user can be played by root alone");
    }
    let scratch = Scratch::new();
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    let (daemon, socket) = daemon(&scratch);
    // As in mode system, where everybody reaches it.
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666)).unwrap();
    let curl = ["curl", "-s", "-w", "%{http_code}", "http://agentd/metrics", "--unix-socket"];
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).args(curl).arg(&socket);
    let Ok(output) = nobody.output() else { return skip("setpriv comes with the package util-linux") };
    if output.status.code() == Some(127) {
        return skip("curl is a package");
    }
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.ends_with("403") && said.contains("uid:65534 may not read the host's metrics"), "{said}");
    let denied = || daemon.told(&["ledger", "log", "--type", "AccessDenied"]);
    agentd_tests::harness::eventually("the record", || denied().contains("host.measure").then_some(()));
}

#[test]
fn strangers_of_several_uids_do_not_shut_out_who_scrapes() {
    if !rustix::process::geteuid().is_root() {
        return skip("another user can be played by root alone");
    }
    let scratch = Scratch::new();
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    let (daemon, socket) = daemon(&scratch);
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666)).unwrap();
    // Each holds its share, and all together every place that is for anybody.
    let hold = "import socket, sys, time
held = [socket.socket(socket.AF_UNIX) for _ in range(4)]
for one in held: one.connect(sys.argv[1])
print('held', flush=True)
time.sleep(60)";
    let mut strangers: Vec<_> = (0..5)
        .map(|n| {
            let mut stranger = Command::new("setpriv");
            let uid = (64_000 + n).to_string();
            stranger.args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "/usr/bin/python3", "-c", hold]);
            let mut child = stranger.arg(&socket).stdout(Stdio::piped()).spawn().unwrap();
            child.stdout.as_mut().unwrap().read_exact(&mut [0; 4]).unwrap();
            child
        })
        .collect();
    for _ in 0..3 {
        assert!(get(&socket, "/metrics").0.starts_with("HTTP/1.1 200"));
    }
    for stranger in &mut strangers {
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
    drop(daemon);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn promtool() -> bool {
    Command::new("promtool").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

#[test]
fn prometheus_finds_nothing_to_complain_of() {
    if !promtool() {
        return skip("promtool comes with the package prometheus");
    }
    let scratch = Scratch::new();
    let (_daemon, socket) = daemon(&scratch);
    let text = get(&socket, "/metrics").1;
    let mut check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rules = root().join("systemd/usr/share/agentd/prometheus");
    let tested = Command::new("promtool").args(["test", "rules", "agentd.rules.test.yml"]).current_dir(rules).output();
    let tested = tested.unwrap();
    let said = [tested.stdout, tested.stderr].concat();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn every_alert_asks_for_metrics_that_are_there_and_every_metric_stands_in_the_page() {
    let scratch = Scratch::new();
    let (_daemon, socket) = daemon(&scratch);
    let text = get(&socket, "/metrics").1;
    let families: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let rules = root().join("systemd/usr/share/agentd/prometheus/agentd.rules.yml");
    let rules = std::fs::read_to_string(rules).unwrap();
    let mut asked = 0;
    for line in rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")) {
        for word in line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            // The bus is there where one is served.
            if word.starts_with("agentd_") && word != "agentd_bus_connected" {
                assert!(families.contains(word), "{word} of {line}");
                asked += 1;
            }
        }
    }
    assert!(asked > 8);
    // By way of the textfile collector agentd has no `up`, and would be down for ever.
    assert!(!rules.contains("absent(up"), "an alert on an absent up");
    let alerts = rules.matches("- alert: ").count();
    assert_eq!((rules.matches("runbook: ").count(), rules.matches("severity: ").count() >= alerts), (alerts, true));
    let page = std::fs::read_to_string(root().join("docs/monitoring.md")).unwrap();
    for family in families {
        assert!(page.contains(&format!("`{family}`")), "{family} is not in docs/monitoring.md");
    }
}
