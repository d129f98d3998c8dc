//! Keys at rest under a key-encryption key: what a service manager hands over in `$CREDENTIALS_DIRECTORY`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use agentd_tests::harness::{Daemon, Scratch, Settings, binary, skip};
use serde_json::json;

const CURRENT: &str = "agentd.kek";
const PREVIOUS: &str = "agentd.kek.previous";

/// A directory of credentials with keys of these bytes.
fn credentials(of: &[(&str, &str)]) -> Scratch {
    let credentials = Scratch::new();
    for (name, byte) in of {
        let path = credentials.join(name);
        std::fs::write(&path, byte.repeat(32)).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o400)).unwrap();
    }
    credentials
}

fn with(daemon: &mut Daemon, credentials: &Scratch) {
    daemon.settings.env.clear();
    let directory = credentials.path().to_str().unwrap().to_owned();
    daemon.settings.env.push(("CREDENTIALS_DIRECTORY".to_owned(), directory));
}

/// The texts of the host's keys, and that no file beside them has anything of a plain one.
fn keys(state: &Path) -> Vec<String> {
    ["authority", "issuer", "log"].map(|name| std::fs::read_to_string(state.join("keys").join(name)).unwrap()).into()
}

fn holds_plain_key(state: &Path) -> bool {
    std::fs::read_dir(state.join("keys"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .any(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("PRIVATE KEY")))
}

/// What a daemon says that must not start.
fn refusal(daemon: &mut Daemon) -> String {
    daemon.spawn();
    assert!(!daemon.wait().success(), "it started: {}", daemon.log());
    daemon.log().lines().last().unwrap().to_owned()
}

#[test]
fn plain_keys_are_encrypted_at_the_first_start_with_a_key_and_sign_on() {
    let mut daemon = Daemon::start();
    daemon.operator().submit(&json!({"title": "before"}));
    daemon.stop();
    let plain = keys(&daemon.state());
    let (old, rotated) = (credentials(&[(CURRENT, "0a")]), credentials(&[(CURRENT, "0b"), (PREVIOUS, "0a")]));
    with(&mut daemon, &old);
    daemon.run();
    daemon.operator().submit(&json!({"title": "under a key"}));
    daemon.stop();
    assert!(plain.iter().all(|text| text.contains("PRIVATE KEY")) && !holds_plain_key(&daemon.state()));
    let under_old = keys(&daemon.state());
    with(&mut daemon, &rotated);
    daemon.run();
    daemon.operator().submit(&json!({"title": "after the rotation"}));
    daemon.stop();
    let under_new = keys(&daemon.state());
    assert!(under_old.iter().zip(&under_new).all(|(old, new)| old != new));
    daemon.verifies();

    for lost in [&old, &Scratch::new()] {
        with(&mut daemon, lost);
        let refusal = refusal(&mut daemon);
        let id = under_new[0].lines().next().unwrap().split_once("kek=").unwrap().1;
        for word in ["keys/authority", id, CURRENT, "bring the credential of that id back"] {
            assert!(refusal.contains(word), "{word}: {refusal}");
        }
    }
    assert_eq!(keys(&daemon.state()), under_new, "no key is made anew");
    with(&mut daemon, &rotated);
    daemon.run();
}

#[test]
fn a_death_at_any_step_of_the_encryption_loses_no_key() {
    let (old, rotated) = (credentials(&[(CURRENT, "0a")]), credentials(&[(CURRENT, "0b"), (PREVIOUS, "0a")]));
    for (before, after) in [(&Scratch::new(), &old), (&old, &rotated)] {
        for (point, count) in ["secret.publish", "secret.wipe"].iter().flat_map(|p| [1, 2, 3].map(|n| (p, n))) {
            let mut daemon = Daemon::prepared(Settings::default());
            with(&mut daemon, before);
            daemon.run();
            daemon.stop();
            with(&mut daemon, after);
            daemon.settings.env.push(("AGENTD_FAILPOINT".to_owned(), format!("{point}:{count}")));
            daemon.spawn();
            assert!(!daemon.wait().success(), "{point}:{count} was not reached");
            daemon.settings.env.pop();
            daemon.run();
            daemon.operator().submit(&json!({"title": "after all"}));
            daemon.stop();
            daemon.verifies();
            assert!(!holds_plain_key(&daemon.state()), "{point}:{count}");
            let left = std::fs::read_dir(daemon.state().join("keys")).unwrap();
            assert_eq!(left.count(), 3, "{point}:{count}");
        }
    }
}

/// `agentd credentials` for a state directory, with the real systemd-creds and a host key of the test's own; none where
/// this machine has no systemd-creds, or the test is not root.
struct Store {
    place: Scratch,
    state: PathBuf,
}

impl Store {
    fn of(state: &Path) -> Option<Self> {
        let there = Command::new("systemd-creds").arg("--version").output().is_ok_and(|output| output.status.success());
        if !there || !rustix::process::geteuid().is_root() {
            skip("systemd-creds encrypts for the host as root alone");
            return None;
        }
        Some(Self { place: Scratch::new(), state: state.to_owned() })
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("SYSTEMD_CREDENTIAL_SECRET", self.place.join("host.secret"));
        command
    }

    fn credentials(&self, action: &str, env: &[(&str, &str)]) -> Output {
        let mut command = self.command(binary("agentd"));
        command.arg("--state").arg(&self.state).args(["credentials", action, "--directory"]);
        command.arg(self.place.join("store")).envs(env.iter().copied()).output().unwrap()
    }

    fn does(&self, action: &str) -> String {
        let output = self.credentials(action, &[]);
        assert!(output.status.success(), "{action}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refuses(&self, action: &str) -> String {
        let output = self.credentials(action, &[]);
        assert!(!output.status.success(), "{action} did not fail");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The credentials as systemd hands them over.
    fn handed_over(&self) -> Scratch {
        let handed = Scratch::new();
        for name in [CURRENT, PREVIOUS].into_iter().filter(|name| self.place.join("store").join(name).exists()) {
            let file = self.place.join("store").join(name);
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            let mut decrypt = self.command("systemd-creds");
            let output = decrypt.arg("decrypt").arg(file).arg(handed.join(name)).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            std::fs::set_permissions(handed.join(name), std::fs::Permissions::from_mode(0o400)).unwrap();
        }
        handed
    }
}

#[test]
fn a_key_is_provisioned_once_and_rotated_when_all_is_under_it() {
    let mut daemon = Daemon::prepared(Settings::default());
    let Some(store) = Store::of(&daemon.state()) else { return };
    assert!(store.refuses("rotate").contains("agentd credentials provision"));
    assert!(store.does("provision").contains("made key-encryption key"));
    let file = store.place.join("store").join(CURRENT);
    let made = std::fs::read(&file).unwrap();
    store.does("provision");
    assert_eq!(std::fs::read(&file).unwrap(), made, "what is there stays");

    let first = store.handed_over();
    with(&mut daemon, &first);
    daemon.run();
    daemon.stop();
    store.does("rotate");
    let refused = store.refuses("rotate");
    assert!(refused.contains("systemctl restart agentd"), "the keys are still under the first: {refused}");
    let second = store.handed_over();
    with(&mut daemon, &second);
    daemon.run();
    daemon.operator().submit(&json!({"title": "after the rotation"}));
    daemon.stop();
    daemon.verifies();
    with(&mut daemon, &first);
    assert!(refusal(&mut daemon).contains(CURRENT));

    std::fs::remove_file(&file).unwrap();
    let refused = store.refuses("provision");
    assert!(refused.contains("bring it back") && !file.exists(), "another key opens none of them: {refused}");
}

#[test]
fn a_rotation_that_was_interrupted_is_made_up_for_by_the_next() {
    let mut daemon = Daemon::prepared(Settings::default());
    let Some(store) = Store::of(&daemon.state()) else { return };
    store.does("provision");
    with(&mut daemon, &store.handed_over());
    daemon.run();
    daemon.stop();
    for point in ["secret.publish:1", "credentials.rotate", "secret.publish:2"] {
        assert!(!store.credentials("rotate", &[("AGENTD_FAILPOINT", point)]).status.success(), "{point}");
        let handed = store.handed_over();
        with(&mut daemon, &handed);
        daemon.run();
        daemon.stop();
        store.does("rotate");
        let left = std::fs::read_dir(store.place.join("store")).unwrap();
        assert_eq!(left.count(), 2, "{point}: nothing but the two keys");
        let handed = store.handed_over();
        with(&mut daemon, &handed);
        daemon.run();
        daemon.stop();
    }
    daemon.verifies();
}

#[test]
fn without_systemd_creds_provisioning_says_so_and_stops_no_service() {
    let scratch = Scratch::new();
    let Some(store) = Store::of(scratch.path()) else { return };
    let output = store.credentials("provision", &[("PATH", "/nowhere")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("systemd-creds is not there"), "{said}");
    assert!(!store.place.join("store").join(CURRENT).exists());
}
