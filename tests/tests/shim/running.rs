//! What a program gets, and what is written down of it.

use agentd_schemas::launch::{Ending, Input, STDERR_FILE, STDOUT_FILE};
use sha2::{Digest as _, Sha256};

use super::scene::{Scene, levels};

#[test]
fn a_program_gets_its_input_and_environment_alone_and_leaves_code_output_and_usage() {
    for &level in levels() {
        let scene = Scene::new();
        let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let script = format!("cat; env | sort; printf err >&2; {busy}; exit 7");
        let mut spec = scene.script(level, &script);
        spec.input = Input::Text("what was asked\n".to_owned());
        spec.environment.insert("GIVEN".to_owned(), "a b".to_owned());
        let outcome = scene.run(&spec);
        assert_eq!(outcome.ending, Ending::Exited(7), "{level:?}: {outcome:?}");
        assert_eq!((outcome.run, outcome.stopped), (spec.run, None));
        let stdout = String::from_utf8(scene.file(STDOUT_FILE)).unwrap();
        let mut lines = stdout.lines();
        assert_eq!(lines.next(), Some("what was asked"));
        // The shell makes these itself.
        let own = ["PWD=", "OLDPWD=", "SHLVL=", "_="];
        let given: Vec<&str> = lines.filter(|line| !own.iter().any(|own| line.starts_with(own))).collect();
        assert_eq!(given, ["GIVEN=a b", "PATH=/usr/bin:/bin"]);
        assert_eq!(scene.file(STDERR_FILE), b"err");
        for (name, stream) in [(STDOUT_FILE, &outcome.stdout), (STDERR_FILE, &outcome.stderr)] {
            let bytes = scene.file(name);
            assert_eq!((stream.bytes, stream.kept, &stream.tail), (bytes.len() as u64, bytes.len() as u64, &None));
            assert_eq!(stream.sha256, data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes)), "{name}");
        }
        let usage = outcome.usage;
        assert!(usage.user_us > 1000 && usage.wall_ms > 0 && usage.peak_bytes > 100_000, "{level:?}: {usage:?}");
        let started = scene.started().unwrap();
        assert_eq!((started.confinement.level, started.run), (level, spec.run));
        assert!(started.confinement.landlock_abi >= 4, "{started:?}");
        let uid = scene.uid.unwrap_or_else(|| rustix::process::geteuid().as_raw());
        assert_eq!(started.confinement.uid, uid);
    }
}

#[test]
fn a_signal_that_ended_the_program_is_told() {
    for &level in levels() {
        let scene = Scene::new();
        let outcome = scene.run(&scene.script(level, "kill -9 $$"));
        // Bubblewrap tells a signal as a shell does.
        let told = [Ending::Signalled(9), Ending::Exited(128 + 9)];
        assert!(told.contains(&outcome.ending), "{level:?}: {outcome:?}");
        assert_eq!(outcome.stopped, None);
    }
}
