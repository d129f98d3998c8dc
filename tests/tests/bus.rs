//! agentd on a message bus: the same interfaces, with the callers that the bus knows.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use agentd_tests::harness::{Daemon, Operator, Scratch, Settings, installed, skip};
use serde_json::{Value, json};

/// A bus of the test's own.
struct Bus {
    mode: &'static str,
    child: Child,
    address: String,
    scratch: Scratch,
}

/// Everybody may do everything, as on the bus of a session.
const SESSION: &str = r#"<policy context="default"><allow send_destination="*"/><allow eavesdrop="true"/>
<allow own="*"/></policy>"#;
/// Nobody may own a name or call anybody, as on the bus of a system.
const SYSTEM: &str = r#"<auth>EXTERNAL</auth><policy context="default"><allow user="*"/><deny own="*"/>
<deny send_type="method_call"/><allow send_type="signal"/><allow send_requested_reply="true" send_type="method_return"/>
<allow send_requested_reply="true" send_type="error"/><allow receive_type="method_call"/>
<allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/>
<allow send_destination="org.freedesktop.DBus"/></policy>"#;

impl Bus {
    /// A session bus.
    fn start() -> Option<Self> {
        Self::of("session", SESSION)
    }

    /// A system bus with the policy from the documents, for the user of the test.
    fn system() -> Option<Self> {
        let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/dbus.md")).unwrap();
        let policy = page.split("<busconfig>").nth(1).and_then(|rest| rest.split("</busconfig>").next()).unwrap();
        let user = Command::new("id").arg("-un").output().unwrap();
        let user = String::from_utf8(user.stdout).unwrap();
        Self::of("system", &format!("{SYSTEM}{}", policy.replace("\"root\"", &format!("{:?}", user.trim()))))
    }

    fn of(mode: &'static str, policies: &str) -> Option<Self> {
        if !installed("dbus-daemon") {
            skip("a bus needs dbus-daemon");
            return None;
        }
        let scratch = Scratch::new();
        let config = scratch.join("bus.conf");
        let listen = format!("unix:path={}", scratch.join("bus").display());
        let text = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>{mode}</type><listen>{listen}</listen>{policies}</busconfig>"#
        );
        std::fs::write(&config, text).unwrap();
        let (child, address) = begin(&config);
        Some(Self { mode, child, address, scratch })
    }

    /// The bus dies, with all who are on it.
    fn dies(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// It comes back, at the same path and under another id.
    fn comes_back(&mut self) {
        let _ = std::fs::remove_file(self.scratch.join("bus"));
        (self.child, self.address) = begin(&self.scratch.join("bus.conf"));
    }

    /// Its address for who outlives it: no id of one of its lives is in it.
    fn lasting_address(&self) -> String {
        format!("unix:path={}", self.scratch.join("bus").display())
    }

    fn settings(&self) -> Settings {
        let settings = Settings { config: Some(format!("mode = {:?}\n", self.mode)), ..Settings::default() };
        settings.env(&format!("DBUS_{}_BUS_ADDRESS", self.mode.to_uppercase()), &self.address)
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.dies();
    }
}

/// Starts the bus of a configuration, and has its address.
fn begin(config: &Path) -> (Child, String) {
    let mut command = Command::new("dbus-daemon");
    command.args(["--nofork", "--print-address=1", "--config-file"]).arg(config);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    (child, address.trim().to_owned())
}

/// A daemon that has its name on the bus.
fn on_the_bus(bus: &Bus) -> (Daemon, Operator) {
    let daemon = Daemon::with(bus.settings());
    let operator = Operator::on_bus(&bus.address);
    // The sockets open before the name is there.
    agentd_tests::harness::eventually("the name on the bus", || {
        let driver = Operator::on_bus(&bus.address);
        driver.owns_name().then_some(())
    });
    (daemon, operator)
}

#[test]
fn agentctl_reaches_the_daemon_on_the_session_bus() {
    let Some(bus) = Bus::start() else { return };
    let (daemon, operator) = on_the_bus(&bus);
    let ctl = |arguments: &[&str]| {
        let mut command = daemon.agentctl_command();
        command.env_remove("AGENTD_ADDRESS").env_remove("AGENTD_STATE").env_remove("XDG_RUNTIME_DIR");
        command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent").env("DBUS_SESSION_BUS_ADDRESS", &bus.address);
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let id = ctl(&["submit", "Over the bus", "-q"]);
    let status: Value = serde_json::from_str(&ctl(&["--address", "session", "status", "--json"])).unwrap();
    assert_eq!(status["mode"], "session", "{status}");
    assert_eq!(operator.state(id.trim()), "parked");
    assert_eq!(daemon.operator().state(id.trim()), "parked", "the private socket serves the same");
    let problem = operator.ask("Works", "Submit", &(r#"{"titel": "x"}"#, "")).unwrap_err();
    assert_eq!(problem.code.as_str(), "invalid_document");
}

#[test]
fn a_system_bus_serves_with_the_policy_of_the_documents_and_not_without_it() {
    let Some(bus) = Bus::system() else { return };
    let (daemon, operator) = on_the_bus(&bus);
    let id = operator.submit(&json!({"title": "over the system bus"}));
    assert_eq!(daemon.operator().state(&id), "parked", "the private socket serves the same");
    let mut command = daemon.agentctl_command();
    command.env_remove("AGENTD_ADDRESS").env_remove("AGENTD_STATE").env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address);
    let output = command.args(["--address", "system", "status", "--json"]).output().unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["mode"], "system", "{status}");

    let bare = Bus::of("system", SYSTEM).unwrap();
    let mut refused = Daemon::prepared(bare.settings());
    refused.spawn();
    assert!(!refused.wait().success());
    assert!(refused.log().contains("org.agentd1"), "{}", refused.log());
}

#[test]
fn what_the_bus_shows_of_the_interfaces_is_what_is_checked_in() {
    let Some(bus) = Bus::start() else { return };
    let (_daemon, operator) = on_the_bus(&bus);
    let shown: String = operator.call("org.freedesktop.DBus.Introspectable", "Introspect", &()).unwrap();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/dbus");
    let mut names = 0;
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let name = entry.file_name().to_str().unwrap().trim_end_matches(".xml").to_owned();
        assert_eq!(members(&shown, &name), members(&text, &name), "{name}");
        names += 1;
    }
    assert_eq!(names, 6);
}

/// The lines of one interface, without their indentation.
fn members<'a>(xml: &'a str, interface: &str) -> Vec<&'a str> {
    let begin = format!("<interface name=\"{interface}\">");
    let lines: Vec<&str> = xml.lines().map(str::trim).skip_while(|line| *line != begin).collect();
    let end = lines.iter().position(|line| *line == "</interface>").unwrap_or(0);
    assert!(end > 1, "{interface} is empty or missing");
    lines[..end].to_vec()
}

#[test]
fn a_second_daemon_on_the_bus_is_told_who_has_the_name() {
    let Some(bus) = Bus::start() else { return };
    let (first, operator) = on_the_bus(&bus);
    let mut second = Daemon::prepared(bus.settings());
    second.spawn();
    assert!(!second.wait().success());
    let told = second.log();
    assert!(told.contains("org.agentd1") && told.contains(&first.pid().to_string()), "{told}");
    operator.submit(&json!({"title": "the first serves on"}));
}

#[test]
fn a_bus_that_is_not_there_is_named() {
    let settings = Settings { config: Some("mode = \"session\"\n".to_owned()), ..Settings::default() };
    let mut daemon = Daemon::prepared(settings.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus"));
    daemon.spawn();
    assert!(!daemon.wait().success());
    assert!(daemon.log().contains("session bus"), "{}", daemon.log());
}

/// The health lines about the bus, as the private socket tells them.
fn complaints(daemon: &Daemon) -> Vec<String> {
    let status: Value = serde_json::from_str(&daemon.told(&["status", "--json"])).unwrap();
    let lines: Vec<String> = serde_json::from_value(status["health"].clone()).unwrap();
    lines.into_iter().filter(|line| line.contains("system bus")).collect()
}

/// Waits until the daemon has its name on the bus, and asks it there.
fn serves(bus: &Bus, title: &str) -> String {
    let operator = Operator::on_bus(&bus.address);
    agentd_tests::harness::eventually("the name on the bus", || operator.owns_name().then_some(()));
    operator.submit(&json!({ "title": title }))
}

#[test]
fn a_system_bus_that_is_absent_dies_and_comes_back_is_served_whenever_it_is_there() {
    let Some(mut bus) = Bus::system() else { return };
    bus.dies();
    let settings = Settings { config: Some("mode = \"system\"\n".to_owned()), ..Settings::default() };
    let daemon = Daemon::with(settings.env("DBUS_SYSTEM_BUS_ADDRESS", bus.lasting_address()));
    agentd_tests::harness::eventually("a complaint", || (!complaints(&daemon).is_empty()).then_some(()));
    let absent = complaints(&daemon);
    assert!(absent[0].contains("is not served and is tried again, the sockets are open: "), "{absent:?}");
    for life in ["its first life", "its second life", "its third life"] {
        bus.comes_back();
        let id = serves(&bus, life);
        assert_eq!(daemon.operator().state(&id), "parked", "{life}");
        assert_eq!(complaints(&daemon), Vec::<String>::new(), "{life}");
        bus.dies();
        agentd_tests::harness::eventually("a complaint", || (!complaints(&daemon).is_empty()).then_some(()));
        daemon.operator().submit(&json!({"title": "while there is no bus"}));
    }
}

#[test]
fn a_system_bus_that_is_full_is_tried_until_it_has_room() {
    let limit = format!(
        "{SYSTEM}<policy context=\"default\"><allow own=\"*\"/><allow send_destination=\"org.agentd1\"/></policy>\
        <limit name=\"max_completed_connections\">1</limit>"
    );
    let Some(bus) = Bus::of("system", &limit) else { return };
    // Whoever is first has the only place.
    let first = Operator::on_bus(&bus.address);
    let settings = Settings { config: Some("mode = \"system\"\n".to_owned()), ..Settings::default() };
    let mut daemon = Daemon::prepared(settings.env("DBUS_SYSTEM_BUS_ADDRESS", bus.lasting_address()));
    daemon.spawn();
    agentd_tests::harness::eventually("the sockets", || daemon.control_socket().exists().then_some(()));
    agentd_tests::harness::eventually("a complaint", || (!complaints(&daemon).is_empty()).then_some(()));
    drop(first);
    agentd_tests::harness::eventually("the bus", || complaints(&daemon).is_empty().then_some(()));
}
