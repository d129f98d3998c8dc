//! What a launcher makes, and what it becomes.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;

use agentd_schemas::launch::{Ending, Input, SHIM_LOG_FILE, SPEC_FILE};

use super::scene::{Rights, Scene, levels, rights};

/// User and mode of a file.
fn whose(path: &std::path::Path) -> (u32, u32) {
    let stat = fs::metadata(path).unwrap();
    (stat.uid(), stat.mode() & 0o7777)
}

#[test]
fn a_run_has_its_user_its_record_and_its_folders_and_nothing_of_the_launcher() {
    for rights in rights() {
        for level in levels(rights) {
            let scene = Scene::new(rights);
            let script = "id -u; id -g; id -G; umask; env | sort; cat /proc/self/oom_score_adj; : > up; \
                while [ ! -e go ]; do sleep 0.02; done";
            let spec = scene.script(level, script);
            // An open file that is not the run's business, and an end of children that nobody is told of.
            let mut launched = scene.start_with(&spec, |command| {
                let line = format!("exec 7</etc/hostname; trap '' TERM HUP; exec \"$0\" {}", "\"$@\"");
                let words: Vec<_> =
                    std::iter::once(command.get_program()).chain(command.get_args()).map(ToOwned::to_owned).collect();
                let mut shell = std::process::Command::new("sh");
                shell.arg("-c").arg(line).args(words).env("NOT_FOR_THE_PROGRAM", "1");
                shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
                *command = shell;
            });
            launched.until_work_has("up");
            let status = fs::read_to_string(format!("/proc/{}/status", launched.child.id())).unwrap();
            let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
            let uid = scene.uid;
            assert_eq!(line("Uid:"), format!("{uid}\t{uid}\t{uid}\t{uid}"), "{rights:?} {level:?}");
            for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
                assert_eq!(line(set), "0000000000000000", "{set}");
            }
            if rights == Rights::Root {
                assert_eq!((line("Groups:"), line("Gid:")), (String::new(), format!("{uid}\t{uid}\t{uid}\t{uid}")));
            }
            let ignored = u64::from_str_radix(&line("SigIgn:"), 16).unwrap();
            // The shim's own is that of broken pipes; two that the C library has for itself nobody can set.
            assert_eq!(ignored & !(0b11 << 31), 1 << 12, "what the parent ignored is not ignored");
            // As root one can look: what the shim has open is its own.
            let links = fs::read_dir(format!("/proc/{}/fd", launched.child.id())).unwrap().flatten();
            let open: Vec<_> = links.filter_map(|link| fs::read_link(link.path()).ok()).collect();
            assert!(!open.iter().any(|path| path.ends_with("hostname")), "{open:?}");
            fs::write(scene.work("go"), "").unwrap();
            assert_eq!(launched.outcome().ending, Ending::Exited(0), "{rights:?} {level:?}");
            let told = scene.stdout();
            let mut lines = told.lines();
            for expected in [uid, uid, uid] {
                assert_eq!(lines.next().map(str::parse), Some(Ok(expected)), "{told}");
            }
            assert_eq!(lines.next(), Some("0077"));
            assert!(!told.contains("NOT_FOR_THE_PROGRAM"), "{told}");
            assert_eq!(whose(&scene.record("")), (uid, 0o700));
            assert_eq!(whose(&scene.folder("workspace")), (uid, 0o700));
            assert_eq!(whose(&scene.record(SPEC_FILE)), (uid, 0o600));
            assert_eq!(whose(&scene.record(SHIM_LOG_FILE)), (uid, 0o600));
            assert_eq!(fs::read(scene.record(SPEC_FILE)).unwrap(), fs::read(scene.folder("program.json")).unwrap());
            assert_eq!(fs::read_to_string(scene.record(SHIM_LOG_FILE)).unwrap(), "");
            // A second step finds the folder of the first.
            let second = scene.start_command(&scene.folder("program.json"), &scene.folder("again")).output().unwrap();
            assert!(second.status.success(), "{second:?}");
            scene.removes();
        }
    }
}

#[test]
fn what_the_launcher_reads_is_the_input_where_the_spec_says_so_and_only_there() {
    for rights in rights() {
        for level in levels(rights) {
            for (input, expected) in [(Input::Inherited, "from outside"), (Input::Text(String::new()), "")] {
                let scene = Scene::new(rights);
                let mut spec = scene.script(level, "cat");
                spec.input = input;
                fs::write(scene.path("input"), "from outside").unwrap();
                let file = fs::File::open(scene.path("input")).unwrap();
                let launched = scene.start_with(&spec, |command| {
                    command.stdin(file);
                });
                assert_eq!(launched.outcome().ending, Ending::Exited(0));
                assert_eq!(scene.stdout(), expected, "{rights:?} {level:?}");
            }
        }
    }
}

#[test]
fn a_place_that_is_kept_out_is_not_mounted_and_the_outcome_says_so() {
    for rights in rights() {
        for level in levels(rights) {
            for kept in ["keys", "keys/deeper", ""] {
                let scene = Scene::new(rights);
                fs::create_dir_all(scene.path("keys/deeper")).unwrap();
                std::os::unix::fs::symlink(scene.path("keys"), scene.path("link")).unwrap();
                let mut spec = scene.script(level, "true");
                let link = scene.path("link");
                spec.mounts[0].source.clone_from(&link);
                spec.mounts[0].target = link;
                spec.keep_out = vec![scene.path(kept)];
                let Ending::NotStarted(reason) = scene.run(&spec).ending else { panic!("{level:?} {kept}") };
                assert!(reason.contains("overlaps"), "{reason}");
            }
            for source in ["/sys/fs/cgroup", "/proc/self", "program", "program/spec.json"] {
                let scene = Scene::new(rights);
                let mut spec = scene.script(level, "true");
                let link = scene.path("link");
                let to = if source.starts_with('/') { source.into() } else { scene.folder(source) };
                std::os::unix::fs::symlink(to, &link).unwrap();
                spec.mounts[0].source.clone_from(&link);
                spec.mounts[0].target = link;
                let Ending::NotStarted(reason) = scene.run(&spec).ending else { panic!("{level:?} {source}") };
                assert!(reason.contains("overlaps"), "{source}: {reason}");
            }
        }
    }
}
