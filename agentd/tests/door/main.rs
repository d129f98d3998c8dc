//! The socket of a run with real sandboxes around who speaks: agentd-shim on a record, at each level that this machine
//! can do, and an engine whose door is in the sandbox.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on ends there")]

mod scene;

use agentd_schemas::launch::{Ending, Level};
use scene::{ASK, Scene, levels};

#[tokio::test(flavor = "multi_thread")]
async fn a_program_in_its_sandbox_is_heard_at_each_level() {
    for level in levels() {
        let scene = Scene::new().await;
        let run = scene.run().await;
        let script = format!(
            "{ASK} $door/v1/run && {ASK} $door/v1/run/progress -d '{{\"text\": \"counting\"}}' && printf report > report && \
             {ASK} \"$door/v1/run/artefact?name=report.txt\" --data-binary @report && \
             {ASK} $door/v1/run/finish -d '{{\"result\": \"38\"}}'"
        );
        let outcome = scene.start(&run, level, &script).end();
        let said = run.output();
        assert_eq!(outcome.ending, Ending::Exited(0), "{level:?}: {said}");
        for part in ["\"title\":\"Count the sheep\"", "\"directive\":\"continue\"", "report.txt", "\"sha256\""] {
            assert!(said.contains(part), "{level:?}: {part} not in {said}");
        }
        let handed = scene.engine.handed_in(&run.run, &run.folder).unwrap();
        assert_eq!((handed.result.as_deref(), handed.artefacts.len()), (Some("38"), 1), "{level:?}");
        assert_eq!(scene.refused(), 0, "{level:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_left_its_session_is_still_of_the_run() {
    for level in levels() {
        let scene = Scene::new().await;
        let run = scene.run().await;
        // The child's parents have ended when it speaks: it was handed on.
        let script = format!(
            "mkfifo go done; setsid sh -c '(sh -c \"read line < go; {ASK} $door/v1/run > answer; echo x > done\" &)'; \
             echo x > go; read line < done; cat answer"
        );
        let outcome = scene.start(&run, level, &script).end();
        assert_eq!(outcome.ending, Ending::Exited(0), "{level:?}");
        assert!(run.output().contains("Count the sheep"), "{level:?}: {}", run.output());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_outside_is_refused_whoever_it_is() {
    for level in levels() {
        let scene = Scene::new().await;
        let run = scene.run().await;
        let shim = scene.start(&run, level, "mkfifo go; read line < go");
        shim.until("go");
        let refused = |answer: String, who: &str| {
            assert!(answer.contains("you are not of it") && answer.contains("401"), "{level:?}: {who}: {answer}");
        };
        refused(scene.outside(&run, scene.uid), "a process of the same user");
        assert_eq!(scene.refused(), 1);
        if scene.uid.is_some() {
            refused(scene.outside(&run, None), "root");
            assert_eq!(scene.refused(), 2);
        }
        shim.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_of_another_run_is_a_stranger_too() {
    for level in levels() {
        let scene = Scene::new().await;
        let (one, other) = (scene.run().await, scene.run().await);
        let shim = scene.start(&one, level, "mkfifo go; read line < go");
        shim.until("go");
        // The other run has the door of the first in its sandbox, and the same user.
        let outcome = scene.start_at(&other, &one, level, &format!("{ASK} $door/v1/run")).end();
        assert_eq!(outcome.ending, Ending::Exited(22), "{level:?}: {}", other.output());
        assert!(other.output().contains("you are not of it"), "{level:?}: {}", other.output());
        assert_eq!(scene.refused(), 1, "{level:?}");
        shim.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_shim_left_behind_is_not_heard() {
    // At level strict nothing is left: the sandbox ends with the shim.
    for level in levels().into_iter().filter(|level| *level == Level::Landlock) {
        let scene = Scene::new().await;
        let run = scene.run().await;
        let script = format!(
            "mkfifo go ready; setsid sh -c 'echo x > ready; read line < go; {ASK} $door/v1/run > new; mv new answer' & \
             read line < ready; touch begun; wait"
        );
        let shim = scene.start(&run, level, &script);
        shim.until("begun");
        shim.kill();
        std::fs::write(run.work.join("go"), "x\n").unwrap();
        let answer = scene::eventually(|| std::fs::read_to_string(run.work.join("answer")).ok());
        assert!(answer.contains("you are not of it"), "{answer}");
        assert_eq!(scene.refused(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_comes_back_knows_the_shim_by_its_record() {
    for level in levels() {
        let scene = Scene::new().await;
        let run = scene.run().await;
        let held = || agentd::engine::doors::shim_of(&run.record).unwrap().map(|held| held.pid().as_raw_pid());
        assert_eq!(held(), None);
        let shim = scene.start(&run, level, "mkfifo go; read line < go");
        shim.until("go");
        assert_eq!(scene::eventually(held), shim.pid());
        shim.kill();
        assert_eq!(held(), None);
    }
}
