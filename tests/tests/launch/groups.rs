//! What a run's control groups hold, each with a control that shows that the attempt would succeed without.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use agentd_schemas::launch::{Ending, LaunchSpec, Level, Outcome};
use agentd_tests::harness::skip;

use super::scene::{Rights, Scene, levels, probe, rights};

/// Rights and levels at which runs have groups with a controller (or, for none, with a freezer).
fn with(controller: &str) -> Vec<(Rights, Level)> {
    let mut found = Vec::new();
    for rights in rights() {
        let groups = &probe(rights).control_groups;
        let has = groups.iter().any(|group| match controller {
            "" => group.freezes,
            name => group.controllers.iter().any(|has| has == name),
        });
        if has {
            found.extend(levels(rights).into_iter().map(|level| (rights, level)));
        } else {
            skip(&format!("as {rights:?} no control group with {controller:?} can be made here"));
        }
    }
    found
}

fn ran(rights: Rights, spec: impl FnOnce(&Scene) -> LaunchSpec) -> (Outcome, Vec<String>, String) {
    let scene = Scene::new(rights);
    let spec = spec(&scene);
    let outcome = scene.run(&spec);
    let lacking = scene.started().map(|started| started.confinement.lacking).unwrap_or_default();
    (outcome, lacking, scene.stdout())
}

const MIB: u64 = 1 << 20;

#[test]
fn memory_is_bounded_for_all_together_and_the_shim_outlives_it() {
    // `tail` keeps what has no line's end. Each has less than one process may have; both have more than the run.
    let eat = "eat() { (head -c 100000000 /dev/zero | tail -n 1 | (sleep 1; cat > /dev/null)) & }; ";
    let table = [("eat; wait; echo done", false), ("eat; eat; wait; echo done", true)];
    for (rights, level) in with("memory") {
        for (script, over) in table {
            let (outcome, lacking, _) = ran(rights, |scene| {
                let mut spec = scene.script(level, &format!("{eat}{script}"));
                spec.limits.memory_bytes = 160 * MIB;
                spec
            });
            assert_eq!(outcome.oom_killed, over, "{level:?}: {outcome:?}");
            assert!(!lacking.iter().any(|line| line.contains("memory")), "{lacking:?}");
            let peak = outcome.usage.peak_bytes;
            assert!(peak > 95 * MIB && peak <= 160 * MIB, "{level:?}: {outcome:?}");
        }
        // The same with room for both.
        let (outcome, ..) = ran(rights, |scene| scene.script(level, &format!("{eat}eat; eat; wait")));
        assert!(!outcome.oom_killed && outcome.usage.peak_bytes > 185 * MIB, "{level:?}: {outcome:?}");
    }
}

#[test]
fn memory_that_no_process_has_counts_too() {
    for (rights, level) in with("memory").into_iter().filter(|(_, level)| *level == Level::Strict) {
        for (bound, over) in [(128, true), (512, false)] {
            let (outcome, _, told) = ran(rights, |scene| {
                let mut spec = scene.script(level, "head -c 200000000 /dev/zero > /dev/shm/x && echo written");
                spec.limits.memory_bytes = bound * MIB;
                spec
            });
            assert_eq!((outcome.oom_killed, told.contains("written")), (over, !over), "{bound}: {outcome:?}");
        }
    }
}

#[test]
fn processes_are_bounded_for_the_run() {
    for (rights, level) in with("pids") {
        let (outcome, lacking, told) = ran(rights, |scene| {
            let mut spec = scene.script(level, "i=0; while [ $i -lt 100 ]; do sleep 2 & i=$((i+1)); done; echo all");
            spec.limits.tasks = 30;
            spec
        });
        assert!(!told.contains("all"), "{level:?}: {outcome:?}");
        assert!(!lacking.iter().any(|line| line.contains("processes are counted")), "{lacking:?}");
        let scene = Scene::new(rights);
        let mut spec = scene.script(level, ": > up; cat; while :; do sleep 0.1; done");
        spec.limits.tasks = 30;
        let mut launched = scene.start(&spec);
        launched.until_work_has("up");
        let bounds: Vec<String> =
            groups_of(&scene).iter().filter_map(|group| fs::read_to_string(group.join("pids.max")).ok()).collect();
        assert_eq!(bounds, ["30\n"], "{level:?}");
        assert_eq!(launched.say("stop cancelled"), "ok ending\n");
        launched.outcome();
    }
}

fn groups_of(scene: &Scene) -> Vec<PathBuf> {
    // The program may be quicker than the record.
    agentd_tests::harness::eventually("the record of the start", || scene.started()).confinement.control_groups
}

#[test]
fn processor_time_is_bounded_for_all_together() {
    let busy = "busy() { while :; do :; done; }; busy & busy & sleep 2; kill %1 %2";
    for (rights, level) in with("cpu") {
        let used = |percent: Option<u32>| {
            let (outcome, lacking, _) = ran(rights, |scene| {
                let mut spec = scene.script(level, busy);
                spec.limits.cpu_percent = percent;
                spec
            });
            assert!(!lacking.iter().any(|line| line.contains("processor")), "{lacking:?}");
            outcome.usage.user_us + outcome.usage.system_us
        };
        let (bounded, free) = (used(Some(10)), used(None));
        assert!(bounded < 700_000, "{level:?}: {bounded} of {free}");
        assert!(free > bounded * 2, "{level:?}: {bounded} of {free}");
    }
}

/// Time passes, as another process measures it.
fn pass(seconds: &str) {
    assert!(Command::new("sleep").arg(seconds).status().unwrap().success());
}

#[test]
fn a_freeze_holds_who_forks_without_end() {
    let storm = "storm() { while :; do sh -c 'echo x >> beat' & wait; done; }; storm & storm & storm & : > up; wait";
    for (rights, level) in with("") {
        let scene = Scene::new(rights);
        let mut launched = scene.start(&scene.script(level, storm));
        launched.until_work_has("beat");
        let beats = || fs::metadata(scene.work("beat")).unwrap().len();
        for _ in 0..3 {
            let answer = launched.say("freeze");
            assert!(answer.starts_with("ok ") && answer.ends_with(" processes stand still\n"), "{answer}");
            let before = beats();
            pass("0.3");
            assert_eq!(beats(), before, "{level:?}");
            assert_eq!(launched.say("thaw"), "ok going on\n");
            agentd_tests::harness::eventually("it goes on", || (beats() > before).then_some(()));
        }
        assert!(!scene.started().unwrap().confinement.lacking.iter().any(|line| line.contains("freezing")));
        // Frozen, it can be stopped.
        assert!(launched.say("freeze").starts_with("ok "));
        assert_eq!(launched.say("stop cancelled"), "ok ending\n");
        launched.outcome();
        assert_eq!(scene.marked(), [0; 0]);
        scene.removes();
    }
}

#[test]
fn no_program_leaves_its_group_or_touches_it() {
    for (rights, level) in with("") {
        let scene = Scene::new(rights);
        let script = ": > up; while [ ! -e paths ]; do sleep 0.02; done; cat /proc/self/cgroup > own; \
            for path in $(cat paths); do { echo 0 > $path; } 2>/dev/null && echo wrote $path; done; \
            mkdir /sys/fs/cgroup/x /sys/fs/cgroup/*/x 2>/dev/null && echo made; exit 0";
        let mut launched = scene.start(&scene.script(level, script));
        launched.until_work_has("up");
        let groups = groups_of(&scene);
        assert!(!groups.is_empty());
        let mut paths = Vec::new();
        for group in &groups {
            for file in
                ["cgroup.procs", "../shim/cgroup.procs", "../../../cgroup.procs", "cgroup.freeze", "freezer.state"]
            {
                paths.push(group.join(file));
            }
            // Who is in the sandbox is in the group.
            let inside = fs::read_to_string(group.join("cgroup.procs")).unwrap();
            assert!(inside.lines().count() >= 1, "{group:?}");
            let shim = launched.child.id().to_string();
            assert!(!inside.lines().any(|pid| pid == shim), "the shim is not");
        }
        // The control: the same user outside of the sandbox may do that.
        let freezer = groups.iter().map(|group| group.join("cgroup.freeze")).find(|path| path.exists());
        if let Some(path) = freezer {
            let line = format!("echo 0 > {}", path.display());
            assert!(scene.as_user(Path::new("sh")).arg("-c").arg(line).status().unwrap().success());
        }
        let text: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
        fs::write(scene.work("paths.new"), text.join("\n")).unwrap();
        fs::set_permissions(scene.work("paths.new"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        fs::rename(scene.work("paths.new"), scene.work("paths")).unwrap();
        assert_eq!(launched.outcome().ending, Ending::Exited(0), "{level:?}");
        assert_eq!(scene.stdout(), "", "{rights:?} {level:?}");
    }
}

#[test]
fn a_host_without_groups_is_said_to_lack_them() {
    for rights in rights().into_iter().filter(|rights| probe(*rights).control_groups.is_empty()) {
        for level in levels(rights) {
            let (outcome, lacking, _) = ran(rights, |scene| {
                let mut spec = scene.script(level, "true");
                spec.limits.cpu_percent = Some(50);
                spec
            });
            assert_eq!(outcome.ending, Ending::Exited(0));
            for word in ["freezing", "memory", "processes are counted", "cpu_percent"] {
                assert!(lacking.iter().any(|line| line.contains(word)), "{word}: {lacking:?}");
            }
        }
    }
}
