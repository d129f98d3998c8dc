//! The units in `systemd/`, as systemd's own tools judge them: each is verified without a word, and no service is more
//! exposed than its figure.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test: what is missing is the failure, and what is left out is said"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use agentd_tests::harness::skip;

/// Exposure of a service, at most, in tenths (`systemd-analyze security`).
const EXPOSURE: u32 = 10;

/// Services that cannot be that closed, with their figure and the reason.
const MORE_EXPOSED: &[(&str, u32, &str)] = &[
    (
        "agentd-launch.service",
        16,
        "it has root's uid, gives files of runs to their users, and sees what runs are shown below /tmp",
    ),
    ("agentd-credentials.service", 11, "it has root's uid, and the TPM where there is one"),
    ("agentd-credentials-rotate.service", 11, "the same"),
];

/// Programs that units name, and that are there once the package is installed.
const PROGRAMS: &[&str] = &[
    "usr/bin/agentd",
    "usr/bin/agentctl",
    "usr/bin/kill",
    "usr/bin/sh",
    "usr/bin/systemctl",
    "usr/libexec/agentd/agentd-launch",
    "usr/libexec/agentd/agentd-shim",
];

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd")
}

/// Whether systemd's tools are here. Where nothing may be left out they are (`AGENTD_TEST_ALL`).
fn systemd_is_here() -> bool {
    let here = Command::new("systemd-analyze").arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(here || std::env::var_os("AGENTD_TEST_ALL").is_none(), "systemd-analyze is missing");
    if !here {
        skip("units are judged by systemd-analyze");
    }
    here
}

/// A root that has the units of this tree, those of the host, and the programs that ours name.
struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("units-{name}-{}", std::process::id()));
        let root = Self(root);
        for kind in ["system", "user"] {
            let to = root.0.join("usr/lib/systemd").join(kind);
            fs::create_dir_all(&to).expect("a folder for units");
            for from in [PathBuf::from("/usr/lib/systemd").join(kind), tree().join("usr/lib/systemd").join(kind)] {
                copy_files(&from, &to);
            }
        }
        for link in ["bin", "lib"] {
            std::os::unix::fs::symlink(format!("usr/{link}"), root.0.join(link)).expect("a link");
        }
        for program in PROGRAMS {
            let path = root.0.join(program);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for programs");
            fs::write(&path, "#!/bin/sh\n").expect("a program");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
        }
        root
    }

    /// Verifies units of the system. Their names are looked up in this root.
    fn verify(&self, units: &[String]) -> Output {
        let mut command = Command::new("systemd-analyze");
        command.args(["verify", "--man=no", "--recursive-errors=yes", &format!("--root={}", self.0.display())]);
        command.args(units).output().expect("systemd-analyze starts")
    }

    /// Verifies a unit of users: their managers know no other root, so it names the programs in this one.
    fn verify_of_users(&self, unit: &str) -> Output {
        let file = self.0.join("usr/lib/systemd/user").join(unit);
        let text = fs::read_to_string(&file).expect("a unit");
        let programs = format!("={}/usr/bin/", self.0.display());
        fs::write(&file, text.replace("=/usr/bin/", &programs)).expect("the unit");
        let mut command = Command::new("systemd-analyze");
        command.args(["verify", "--user", "--man=no", "--recursive-errors=yes"]).arg(&file);
        command.env("XDG_RUNTIME_DIR", &self.0).env("HOME", &self.0);
        command.output().expect("systemd-analyze starts")
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn copy_files(from: &Path, to: &Path) {
    let Ok(entries) = fs::read_dir(from) else { return };
    for entry in entries {
        let entry = entry.expect("an entry");
        let path = entry.path();
        // Links of the host may lead nowhere in another root: aliases and masks are not needed.
        if entry.file_type().expect("its type").is_file() {
            fs::copy(&path, to.join(entry.file_name())).expect("a copy");
        }
    }
}

/// The units of one kind of manager, by name; a template as one of its instances.
fn units(kind: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(tree().join("usr/lib/systemd").join(kind)) else { return Vec::new() };
    let files = entries.map(|entry| entry.expect("an entry")).filter(|entry| entry.path().is_file());
    let mut names: Vec<String> =
        files.map(|entry| entry.file_name().into_string().expect("a name").replace("@.", "@fixer.")).collect();
    names.sort();
    names
}

/// What systemd only warns of, such as an option that it does not know, ends with 0 too.
fn silent(output: &Output) -> Result<(), String> {
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let said = String::from_utf8_lossy(&said);
    if output.status.success() && said.trim().is_empty() { Ok(()) } else { Err(format!("{}\n{said}", output.status)) }
}

#[test]
fn every_unit_is_verified_without_a_word() {
    if !systemd_is_here() {
        return;
    }
    let root = Root::new("verify");
    assert!(units("system").len() >= 8, "{:?}", units("system"));
    silent(&root.verify(&units("system"))).unwrap_or_else(|said| panic!("{said}"));
    for unit in units("user") {
        silent(&root.verify_of_users(&unit)).unwrap_or_else(|said| panic!("user unit {unit}: {said}"));
    }
    // The control: a mistake is told.
    let wrong = root.0.join("usr/lib/systemd/system/agentd-wrong.service");
    fs::write(&wrong, "[Service]\nExecStart=/usr/bin/agentd\nProtectSytem=strict\n").expect("a wrong unit");
    silent(&root.verify(&["agentd-wrong.service".to_owned()])).expect_err("a mistake is told");
}

#[test]
fn no_service_is_more_exposed_than_its_figure() {
    if !systemd_is_here() {
        return;
    }
    let mut judged = 0;
    for unit in units("system").iter().filter(|unit| unit.ends_with(".service")) {
        let figure = MORE_EXPOSED.iter().find(|(name, ..)| name == unit).map_or(EXPOSURE, |(_, figure, _)| *figure);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("exposure-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join(unit);
        fs::copy(tree().join("usr/lib/systemd/system").join(unit.replace("@fixer.", "@.")), &file).expect("the unit");
        let security = |threshold: u32| {
            let mut command = Command::new("systemd-analyze");
            command.args(["security", "--offline=true", "--no-pager", &format!("--threshold={threshold}")]);
            command.arg(&file).output().expect("systemd-analyze starts")
        };
        let output = security(figure);
        assert!(output.status.success(), "{unit}: {}", String::from_utf8_lossy(&output.stdout));
        // The control: the figure is held against something.
        assert!(!security(1).status.success(), "{unit} is said to be exposed to nothing");
        fs::remove_dir_all(&folder).expect("the folder goes");
        judged += 1;
    }
    assert!(judged >= 2, "{judged} services");
}

/// What `systemctl start` gives the daemon by name is what it knows: one socket of each name, all for one service.
#[test]
fn each_socket_has_its_name_and_the_service_that_asks_for_it() {
    let read = |unit: &str| fs::read_to_string(tree().join("usr/lib/systemd/system").join(unit)).expect("a unit");
    let service = read("agentd.service");
    for (unit, name) in
        [("agentd.socket", "control"), ("agentd-agents.socket", "agents"), ("agentd-metrics.socket", "metrics")]
    {
        let socket = read(unit);
        for line in [
            format!("ListenStream=/run/agentd/{name}.sock"),
            format!("FileDescriptorName={name}"),
            "Service=agentd.service".to_owned(),
        ] {
            assert!(socket.lines().any(|have| have == line), "{unit} has no line {line}");
        }
        let named = |key: &str| {
            let words = service.lines().filter_map(|line| line.strip_prefix(key)).flat_map(str::split_whitespace);
            words.collect::<Vec<_>>().contains(&unit)
        };
        assert!(named("Sockets="), "agentd.service does not take {unit}");
        assert!(named("Also="), "agentd.service does not enable {unit}");
    }
}
