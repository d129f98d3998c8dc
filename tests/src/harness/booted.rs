//! A systemd that boots as PID 1, with the binaries of this workspace in it: `tests/boot`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{Scratch, binary, is_root, skip};

/// Seconds that a scene may take; one that installs packages has more of them.
const LIMIT: u32 = 240;
const LIMIT_WITH_PACKAGES: u32 = 900;
/// Lines of the journal that a failure shows.
const JOURNAL: usize = 150;

const NO_TREE: &str = "there is no tree of a newer systemd: tests/boot/tree.sh makes it";

/// Where the scenes are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("boot").canonicalize().unwrap()
}

/// Which control groups the systemd inside has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cgroup {
    /// Controllers of version 1, and version 2 beside them: limits hold.
    Hybrid,
    /// Version 2 alone: units freeze.
    Unified,
}

impl Cgroup {
    /// As with-systemd takes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Unified => "unified",
        }
    }
}

/// What the systemd that boots is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// The machine itself.
    Machine,
    /// The tree of a newer distribution that `tests/boot/tree.sh` made.
    Tree,
}

/// A systemd to boot.
#[derive(Debug)]
pub struct Booted {
    cgroup: Cgroup,
    tree: Option<PathBuf>,
}

impl Booted {
    /// Whether this machine can boot one at all; if not, why.
    ///
    /// # Errors
    ///
    /// The reason, with what would help.
    pub fn available() -> Result<(), String> {
        if !is_root() {
            return Err("booting a systemd needs root".to_owned());
        }
        for (file, package) in [("/lib/systemd/systemd", "systemd"), ("/usr/bin/dbus-daemon", "dbus")] {
            if !Path::new(file).exists() {
                return Err(format!("booting a systemd needs {file} (package {package})"));
            }
        }
        let trial = Command::new("unshare").args(["--mount", "--pid", "--cgroup", "--net", "--fork", "true"]).output();
        match trial {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(format!("namespaces cannot be made: {}", String::from_utf8_lossy(&output.stderr).trim())),
            Err(error) => Err(format!("unshare (package util-linux) cannot be started: {error}")),
        }
    }

    /// One in this mode, or `None`, and why is said, where it cannot be. Where nothing may be left out (`AGENTD_TEST_ALL`) that is a failure, unless it is the kernel that
    /// has no such mode.
    pub fn of(root: Root, cgroup: Cgroup) -> Option<Self> {
        if let Err(why) = Self::available() {
            assert!(
                std::env::var_os("AGENTD_TEST_ALL").is_none(),
                "left out, and nothing may be (AGENTD_TEST_ALL): {why}"
            );
            skip(&why);
            return None;
        }
        let modes = Command::new(folder().join("with-systemd")).arg("--modes").output().unwrap();
        if !String::from_utf8_lossy(&modes.stdout).lines().any(|mode| mode == cgroup.as_str()) {
            skip(&format!("this host has no {} control groups", cgroup.as_str()));
            return None;
        }
        match root {
            Root::Machine => Some(Self { cgroup, tree: None }),
            Root::Tree => tree().map(|tree| Self { cgroup, tree: Some(tree) }),
        }
    }

    /// Runs a scene of `tests/boot/scenes`; the test ends when it fails, and shows what it said, and the journal.
    pub fn scene(&self, name: &str) {
        self.scene_with(name, &[]);
    }

    /// A scene that finds more in `/agentd`: each of these under its name.
    pub fn scene_with(&self, name: &str, more: &[(&Path, &str)]) {
        let scratch = Scratch::new();
        let log = scratch.join("journal");
        let output = self.run(name, &log, more);
        let said = String::from_utf8_lossy(&output.stdout);
        let wrong = String::from_utf8_lossy(&output.stderr);
        let journal = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = journal.lines().collect();
        let journal = lines[lines.len().saturating_sub(JOURNAL)..].join("\n");
        let how = self.cgroup.as_str();
        assert!(output.status.success(), "{name} ({how}), {}:\n{said}{wrong}\njournal:\n{journal}", output.status);
        println!("{name} ({how}):\n{said}");
    }

    fn run(&self, name: &str, log: &Path, more: &[(&Path, &str)]) -> Output {
        let folder = folder();
        let scene = folder.join("scenes").join(format!("{name}.sh"));
        assert!(scene.exists(), "there is no scene {}", scene.display());
        let bind = |from: &Path, to: &str| format!("{}:/agentd/{to}", from.display());
        let source = folder.parent().and_then(Path::parent).unwrap();
        let binaries = binary("agentd").parent().unwrap().to_owned();
        let limit = if more.is_empty() { LIMIT } else { LIMIT_WITH_PACKAGES };
        // It ends with this test, also with one that is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]).arg(folder.join("with-systemd"));
        command.args(["--users", "--cgroup", self.cgroup.as_str(), "--timeout", &limit.to_string()]);
        command.arg("--keep-log").arg(log).args(["--ro", &bind(&folder, "boot"), "--ro", &bind(&binaries, "bin")]);
        for part in ["systemd", "packaging", "schemas"] {
            let from = source.join(part);
            if from.exists() {
                command.args(["--ro", &bind(&from, &format!("source/{part}"))]);
            }
        }
        for (from, to) in more {
            command.args(["--ro", &bind(from, to)]);
        }
        if let Some(tree) = &self.tree {
            command.arg("--root").arg(tree);
        }
        command.args(["--env", &format!("AGENTD_CGROUP={}", self.cgroup.as_str())]);
        command.args(["--", "bash", &format!("/agentd/boot/scenes/{name}.sh")]);
        command.stdin(Stdio::null()).output().unwrap()
    }
}

/// The tree that `AGENTD_TEST_TREE` names, or that `tree.sh` left beside the target folder, this one or that of CI. An empty name is
/// for none.
fn tree() -> Option<PathBuf> {
    let is_one = |tree: &Path| tree.join("etc/agentd-tree").exists();
    if let Some(named) = std::env::var_os("AGENTD_TEST_TREE").map(PathBuf::from) {
        if named.as_os_str().is_empty() {
            skip(NO_TREE);
            return None;
        }
        assert!(
            is_one(&named),
            "AGENTD_TEST_TREE: there is no tree in {}: tests/boot/tree.sh makes it",
            named.display()
        );
        return Some(named);
    }
    let target = binary("agentd").parent().and_then(Path::parent).unwrap().to_owned();
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache"))).unwrap_or_default();
    let beside = |folder: PathBuf| {
        let mut name = folder.into_os_string();
        name.push("-tools/trixie");
        PathBuf::from(name)
    };
    let tree = [beside(target), beside(cache.join("agentd-target"))].into_iter().find(|tree| is_one(tree));
    if tree.is_none() {
        skip(NO_TREE);
    }
    tree
}
