//! agentd under a real systemd: PID 1, the system bus, polkit and the journal, in both modes of control groups.
//!
//! The scenes are scripts in `tests/boot/scenes`; each boots a systemd of its own, which leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

use std::path::Path;
use std::process::Command;

use agentd_tests::harness::{Booted, Cgroup, Root, Scratch, eventually, skip};
use rustix::process::{Pid, Signal, kill_process};

/// One test for each scene and mode, on one root or more.
macro_rules! scenes {
    ($roots:tt $($(#[$doc:meta])* $name:ident = $file:literal;)*) => {$(
        $(#[$doc])*
        mod $name {
            use super::*;
            scenes!(@roots $roots $file);
        }
    )*};
    (@roots [machine] $file:literal) => {
        #[test]
        fn hybrid() {
            run(Root::Machine, Cgroup::Hybrid, $file);
        }

        #[test]
        fn unified() {
            run(Root::Machine, Cgroup::Unified, $file);
        }
    };
    (@roots [machine, tree] $file:literal) => {
        scenes!(@roots [machine] $file);

        #[test]
        fn hybrid_in_the_tree() {
            run(Root::Tree, Cgroup::Hybrid, $file);
        }

        #[test]
        fn unified_in_the_tree() {
            run(Root::Tree, Cgroup::Unified, $file);
        }
    };
}

fn run(root: Root, cgroup: Cgroup, scene: &str) {
    if let Some(booted) = Booted::of(root, cgroup) {
        booted.scene(scene);
    }
}

// What a newer systemd may do otherwise is tried with the tree's too.
scenes! { [machine, tree]
    /// systemd, bus, polkit, journal and users are as the other scenes take them.
    smoke = "smoke";
    /// Nor out of the sandbox of a run that agentd starts.
    probe = "probe";
    /// No run ends with the daemon, none is lost, none is begun twice.
    restart = "restart";
    /// As installed, an ordinary user's first call starts the daemon, by each of its sockets and by the bus.
    activation = "activation";
    /// A run is a unit of its own, which operators see, stop and kill.
    units = "units";
    /// polkit proves that an operator is there, and policy allows.
    polkit = "polkit";
    /// Keys at rest: a key-encryption key is provisioned, rotated, lost and brought back.
    credentials = "credentials";
    /// The unit that rotates it, while runs work.
    rotation = "rotation";
    /// Lines of the journal are found by their fields, and the catalog explains them.
    journal = "journal";
    /// What programs say is in a journal of its own.
    output = "output";
}

scenes! { [machine]
    /// People submit over the system bus, and learn nothing of each other.
    bus = "bus";
    /// Each method of each interface, called by somebody without rights.
    methods = "methods";
    /// What gets out without a sandbox does not get out of a hardened transient unit.
    escapes = "escapes";
    /// An agent of a person is started, and its result comes back.
    runs = "runs";
    /// Memory, tasks, processor, time and output of a run end where its agent's document says.
    limits = "limits";
    /// Works that ask for more than the launcher's unit allows wait, until root allows it.
    allowed = "allowed";
    /// A freeze stands, over restarts too, and a thaw lets the same processes go on.
    freeze = "freeze";
    /// Names of agents that would break the name of a unit.
    names = "names";
    /// Who is in none of the groups, an auditor, and two users who learn nothing of each other.
    outsiders = "outsiders";
    /// With the daemon dead, every run ends with their slice.
    slice = "slice";
    /// Who is in the daemon's place asks the launcher for what it must not give.
    hostile = "hostile";
    /// The launcher is killed, taken away, restarted in the middle of starts, and ends by itself; a unit cannot be made.
    launcher = "launcher";
    /// The launcher dies while starts are under way, stays away, and sleeps when nobody needs it.
    starts = "starts";
    /// Systemd is away for moments, over and over, while starts are under way.
    reexec = "reexec";
    /// A daemon that stands still is killed by the watchdog, and its runs go on.
    watchdog = "watchdog";
    /// The bus is gone and comes back; polkit is missing; a unit cannot be started.
    faults = "faults";
    /// A systemd does not know what units of runs ask for.
    refused = "refused";
    /// One user has all connections that the bus gives it.
    crowded = "crowded";
    /// A resident agent is a unit.
    resident = "resident";
    /// A daemon of one user, below that user's own service manager.
    user = "user";
}

/// A script that speaks as scenes do, outside of any systemd: whether it passes, and what it says.
fn spoken(script: &str) -> (bool, String) {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("boot/lib.sh");
    let output = Command::new("bash").args(["-c", &format!(". {}\n{script}", library.display())]).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_scene_passes_when_it_comes_to_its_end_and_every_check_held() {
    for (script, passes) in [
        (
            "check a true\nrefute b false\nequal c 1 1\nsays d x echo x\nsilent e y echo x\nwait_until f 1 true\nend",
            true,
        ),
        ("check a true\ncheck b false\nend", false),
        ("check a true\nrefute b true\nend", false),
        ("equal a 1 2\nend", false),
        ("says a x echo y\nend", false),
        ("silent a x echo x\nend", false),
        ("wait_until a 0 false\nend", false),
        ("need a false\ncheck b true\nend", false),
        ("check a true", false),
        ("check a true\nexit 0", false),
        ("end", false),
    ] {
        let (passed, said) = spoken(script);
        assert_eq!(passed, passes, "{script}\n{said}");
    }
}

#[test]
fn who_has_no_tree_is_told_what_is_left_out_and_who_names_one_has_to_have_it() {
    let test = "smoke::unified_in_the_tree";
    let with_tree = |tree: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test]).env("AGENTD_TEST_TREE", tree).output().unwrap()
    };
    let without = with_tree("");
    let said = String::from_utf8_lossy(&without.stderr).into_owned();
    assert!(without.status.success(), "{said}");
    let told: Vec<&str> = said.lines().filter(|line| line.starts_with("left out: ")).collect();
    assert!(matches!(told[..], [line] if line.contains(test)), "{said}");
    if Booted::available().is_ok() {
        assert!(!with_tree("/nowhere").status.success(), "a tree that is not there is no reason to leave a test out");
    }
}

#[test]
fn nothing_is_bound_that_a_systemd_empties_when_it_boots() {
    if let Err(why) = Booted::available() {
        return skip(&why);
    }
    let scratch = Scratch::new();
    let own = scratch.path().to_str().unwrap();
    let through = format!("/mnt:{own}");
    let up = "/usr:/usr/../tmp";
    for bind in ["/", "/tmp", "/var", "/var/tmp", own, &through, up, "/usr:/run/x", "/usr:/", "/nowhere-at-all"] {
        for how in ["--bind", "--ro"] {
            let output = with_systemd().args([how, bind, "--", "true"]).output().unwrap();
            assert_eq!(output.status.code(), Some(64), "{how} {bind}: {output:?}");
            assert!(String::from_utf8_lossy(&output.stderr).contains("cannot be bound"), "{how} {bind}: {output:?}");
        }
    }
}

#[test]
fn what_is_bound_is_as_it_was_and_nothing_is_left_of_a_systemd_that_was_ended() {
    let Some(_booted) = Booted::of(Root::Machine, Cgroup::Unified) else { return };
    let scratch = Scratch::new();
    std::fs::write(scratch.join("kept"), "x").unwrap();
    let bind = format!("{}:/scratch", scratch.path().display());
    let mut command = with_systemd();
    command.args(["--cgroup", "unified", "--bind", &bind, "--"]);
    let mut ended = command.args(["sh", "-c", "echo y > /scratch/begun; exec sleep 600"]).spawn().unwrap();
    let stage = format!("/run/agentd-boot.{}", ended.id());
    eventually("the command inside", || scratch.join("begun").exists().then_some(()));
    assert!(Path::new(&stage).exists());
    kill_process(Pid::from_raw(i32::try_from(ended.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
    assert_eq!(ended.wait().unwrap().code(), Some(143));
    assert!(!Path::new(&stage).exists(), "{stage} is left");
    assert_eq!(std::fs::read_to_string(scratch.join("kept")).unwrap(), "x");

    let limited =
        with_systemd().args(["--cgroup", "unified", "--timeout", "1", "--", "sleep", "600"]).output().unwrap();
    assert_eq!(limited.status.code(), Some(124), "{limited:?}");
    let coded = with_systemd().args(["--cgroup", "unified", "--", "sh", "-c", "exit $((3 + 4))"]).output().unwrap();
    assert_eq!(coded.status.code(), Some(7), "{coded:?}");
}

fn with_systemd() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("boot/with-systemd"))
}
