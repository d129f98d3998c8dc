//! An agent in its owner's custody: its works wait for a certificate, and so does a result whose certificate lapsed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use agentd_tests::harness::{Daemon, Scratch, Settings, eventually, installed, is_root, lend, skip};
use serde_json::Value;

/// A daemon of an ordinary user, who has an SSH key.
struct Scene {
    daemon: Daemon,
    scratch: Scratch,
    /// None for whoever runs the test.
    uid: Option<u32>,
}

/// Somebody whom the system knows by name: ssh-keygen asks for that.
fn ordinary_user() -> u32 {
    let known = Command::new("id").args(["-u", "daemon"]).output().unwrap();
    String::from_utf8(known.stdout).unwrap().trim().parse().unwrap()
}

impl Scene {
    fn new() -> Self {
        let (scratch, uid) = (Scratch::new(), is_root().then(ordinary_user));
        let mut scene = Self { daemon: Daemon::prepared(Settings::default()), scratch, uid };
        for folder in ["", "bin", "own"] {
            fs::create_dir_all(scene.path(folder)).unwrap();
            fs::set_permissions(scene.path(folder), Permissions::from_mode(0o755)).unwrap();
            chown(scene.path(folder), uid, uid).unwrap();
        }
        for name in ["agentd", "agentd-launch", "agentd-shim", "agentctl"] {
            lend(name, &scene.path("bin").join(name));
        }
        let own = scene.path("own");
        let become_user = uid.map(|uid| format!("setpriv --reuid {uid} --regid {uid} --clear-groups -- "));
        // The first word is the daemon where it was built, which not everybody may reach.
        let daemon = scene.path("bin/agentd");
        let line = format!("shift; exec {}{} \"$@\"", become_user.unwrap_or_default(), daemon.display());
        scene.daemon.settings = Settings {
            config: Some("[limits]\nbackoff = \"10ms\"\n[runs]\nmin_free_percent = 0\n".to_owned()),
            state: Some(scene.path("s")),
            within: ["/bin/sh", "-c", &line, "sh"].map(str::to_owned).to_vec(),
            ..Settings::default()
        }
        .env("HOME", own.to_str().unwrap());
        fs::set_permissions(scene.daemon.file("."), Permissions::from_mode(0o755)).unwrap();
        scene.daemon.run();
        for key in ["owner", "other"] {
            let made = scene.run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", key]);
            assert!(made.status.success(), "{made:?}");
        }
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Runs a program as the user, in the user's folder.
    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = match self.uid.map(|uid| uid.to_string()) {
            Some(uid) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "--", program]);
                command
            }
            None => Command::new(program),
        };
        command.env("AGENTD_ADDRESS", self.daemon.control_socket()).env("AGENTD_STATE", self.daemon.state());
        command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME").env_remove("SSH_AUTH_SOCK");
        command.env("HOME", self.path("own")).current_dir(self.path("own")).stdin(Stdio::null());
        command.args(arguments).output().unwrap()
    }

    fn agentctl(&self, arguments: &[&str]) -> Output {
        self.run(self.path("bin/agentctl").to_str().unwrap(), arguments)
    }

    fn told(&self, arguments: &[&str]) -> String {
        let output = self.agentctl(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "agentctl {arguments:?}: {said}\n{}", self.daemon.log());
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.agentctl(arguments);
        assert!(!output.status.success(), "agentctl {arguments:?} succeeded");
        String::from_utf8(output.stderr).unwrap()
    }

    fn submit(&self) -> String {
        self.told(&["submit", "do it", "--agent", "fixer", "--quiet"]).trim().to_owned()
    }

    fn work(&self, id: &str) -> Value {
        serde_json::from_str(&self.told(&["work", "show", id, "--json"])).unwrap()
    }

    fn until(&self, id: &str, state: &str) -> Value {
        eventually(&format!("{id} is {state}"), || Some(self.work(id)).filter(|work| work["state"] == state))
    }

    fn verified(&self) -> Value {
        let state = self.daemon.state();
        let deep = ["--state", state.to_str().unwrap(), "verify", "--deep", "--json"];
        let output = self.run(self.path("bin/agentd").to_str().unwrap(), &deep);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["deep"].clone()
    }
}

/// An agent whose program ends once a file is there.
fn document(go: &Path) -> String {
    let folder = go.parent().unwrap();
    format!(
        "name = \"fixer\"\ncustody = \"owner\"\n\
         command = [\"/bin/sh\", \"-c\", \"while [ ! -e {} ]; do sleep 0.05; done; echo done\"]\n\
         [sandbox]\nread_only_paths = ['{}']\n",
        go.display(),
        folder.display()
    )
}

#[test]
fn works_wait_for_a_certificate_and_so_does_a_result_whose_certificate_lapsed() {
    if !installed("ssh-keygen") || !Path::new("/usr/bin/bwrap").exists() {
        return skip("an agent in its owner's custody needs ssh-keygen, its run bubblewrap");
    }
    let scene = Scene::new();
    let (own, go) = (scene.path("own"), scene.path("own/shown/go"));
    fs::create_dir(own.join("shown")).unwrap();
    fs::write(own.join("fixer.toml"), document(&go)).unwrap();
    let without = scene.refused(&["agent", "enroll", "--file", "fixer.toml"]);
    assert!(without.contains("--owner-key"), "{without}");
    scene.told(&["agent", "enroll", "--file", "fixer.toml", "--owner-key", "owner.pub"]);

    // Nothing is handed out, and nothing fails.
    fs::write(&go, "").unwrap();
    let first = scene.submit();
    let why = scene.told(&["why", &first]);
    assert!(why.contains("agent fixer: its owner has not certified its key"), "{why}");
    assert!(scene.told(&["status"]).contains("agentctl agent certify fixer"));
    assert!(scene.told(&["agent", "show", "fixer"]).contains("never"));
    let foreign = scene.refused(&["agent", "certify", "fixer", "--with", "other"]);
    assert!(foreign.contains("was made with the key SHA256:"), "{foreign}");
    let long = scene.refused(&["agent", "certify", "fixer", "--with", "owner", "--for", "31d"]);
    assert!(long.contains("30d at most"), "{long}");
    assert_eq!(scene.work(&first)["state"], "ready");

    // By hand, as where the owner's key is on another machine.
    let line = scene.told(&["agent", "certify", "fixer"]);
    fs::write(own.join("fixer.pub"), line).unwrap();
    let asked: Value = serde_json::from_str(&scene.told(&["agent", "certify", "fixer", "--json"])).unwrap();
    let command = asked["command"].as_str().unwrap().replace("OWNER_KEY", "owner");
    let made = scene.run("/bin/sh", &["-c", &command]);
    assert!(made.status.success(), "{command}: {made:?}");
    scene.told(&["agent", "certify", "fixer", "--certificate", "fixer-cert.pub"]);
    scene.until(&first, "completed");
    assert!(scene.told(&["agent", "show", "fixer"]).contains("until "));

    // A certificate that lapses while the program runs.
    fs::remove_file(&go).unwrap();
    let second = scene.submit();
    eventually("a run under a short certificate", || {
        scene.told(&["agent", "certify", "fixer", "--with", "owner", "--for", "2s"]);
        Some(()).filter(|()| scene.work(&second)["state"] == "running")
    });
    let third = scene.submit();
    let lapsed = |work: &str| scene.told(&["why", work]).contains("agent fixer: its certificate lapsed on ");
    eventually("the certificate lapses", || lapsed(&second).then_some(()));
    fs::write(&go, "").unwrap();
    eventually("the program ends", || (!scene.work(&second)["runs"][0]["program"].is_null()).then_some(()));
    assert!(lapsed(&third), "the next work waits as well");
    assert_eq!(scene.work(&second)["state"], "running", "no result is taken, and none fails");
    scene.told(&["agent", "certify", "fixer", "--with", "owner"]);
    let completed = scene.until(&second, "completed");
    assert_eq!(completed["runs"].as_array().unwrap().len(), 1, "{completed}");
    scene.until(&third, "completed");

    // Another key is not certified by the certificate of the one before.
    scene.told(&["agent", "rotate-key", "fixer", "--reason", "yearly"]);
    let last = scene.submit();
    let why = scene.told(&["why", &last]);
    assert!(why.contains("agent fixer: its owner has not certified its key"), "{why}");
    scene.told(&["agent", "certify", "fixer", "--with", "owner"]);
    scene.until(&last, "completed");

    let deep = scene.verified();
    assert_eq!((&deep["statements"], &deep["custody"]["owner"]), (&4.into(), &1.into()), "{deep}");
    assert!(deep["certificates"].as_u64() >= Some(4) && deep["possessions"] == 3, "{deep}");
    scene.told(&["ledger", "export", "ledger.jsonl"]);
    let key = scene.told(&["ledger", "checkpoint", "--key"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("verify/verify.py");
    let export = own.join("ledger.jsonl");
    let outside = Command::new("python3").arg(script).arg("export").arg(export).arg(key.trim()).output().unwrap();
    assert!(outside.status.success(), "{outside:?}");
}
