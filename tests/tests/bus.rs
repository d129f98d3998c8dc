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
    _scratch: Scratch,
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
        let mut child = Command::new("dbus-daemon")
            .args(["--nofork", "--print-address=1", "--config-file"])
            .arg(&config)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Some(Self { mode, child, address: address.trim().to_owned(), _scratch: scratch })
    }

    fn settings(&self) -> Settings {
        let settings = Settings { config: Some(format!("mode = {:?}\n", self.mode)), ..Settings::default() };
        settings.env(&format!("DBUS_{}_BUS_ADDRESS", self.mode.to_uppercase()), &self.address)
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
