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
        let handed = scene.engine.handed_in(&run.named, &run.folder).unwrap();
        assert_eq!((handed.result.as_deref(), handed.artefacts.len()), (Some("38"), 1), "{level:?}");
        assert_eq!(scene.refused(), 0, "{level:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agentctl_speaks_as_the_run_that_it_is_in() {
    let Some(agentctl) = scene::agentctl() else { return };
    for level in levels() {
        let scene = Scene::new().await;
        let run = scene.run().await;
        std::fs::copy(&agentctl, run.work.join("agentctl")).unwrap();
        let script = "set -e; export HOME=$PWD; a=./agentctl; printf report > report.txt; : > empty
            $a run show; $a run progress counting; $a run note 'two are goats'; $a run cost --tokens 7 --money 0.02usd
            $a run reserve --tokens 5; $a run artefact report.txt --name 'reports/a b.txt'; $a run artefact empty
            $a run artefacts; $a run submit 'Count the south field' --key south; $a run submit 'Count the south field' --key south
            $a status || echo \"status: $?\"; $a run artefact report.txt --name ../x || echo \"name: $?\"
            printf '{\"sheep\": 38}' | $a run finish --file -; $a run finish --result 39 || echo \"again: $?\"";
        let outcome = scene.start(&run, level, script).end();
        let said = run.output();
        assert_eq!(outcome.ending, Ending::Exited(0), "{level:?}: {said}");
        for part in
            ["Count the sheep", "attempt  1 of", "noted", "recorded", "reports/a b.txt: 6 bytes", "empty: 0 bytes"]
        {
            assert!(said.contains(part), "{level:?}: {part} not in {said}");
        }
        for part in ["status: 5", "name: 2", "handed in: 13 bytes", "again: 1"] {
            assert!(said.contains(part), "{level:?}: {part} not in {said}");
        }
        let handed = scene.engine.handed_in(&run.named, &run.folder).unwrap();
        assert_eq!((handed.result.as_deref(), handed.artefacts.len()), (Some("{\"sheep\": 38}"), 2), "{level:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_waited_for_and_its_answer_printed() {
    let Some(agentctl) = scene::agentctl() else { return };
    for level in levels() {
        let scene = Scene::new().await;
        let run = scene.run().await;
        std::fs::copy(&agentctl, run.work.join("agentctl")).unwrap();
        let shim = scene.start(&run, level, "./agentctl run ask 'do goats count?' --wait > answer");
        scene.until_asked(&run).await;
        scene.answer(&run, "they do not").await;
        assert_eq!(shim.end().ending, Ending::Exited(0), "{level:?}");
        assert_eq!(std::fs::read_to_string(run.work.join("answer")).unwrap(), "they do not\n", "{level:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_was_started_again_is_heard_as_soon_as_its_shim_is_known() {
    for level in levels() {
        let scene = Scene::new().await;
        let run = scene.run().await;
        Scene::had_a_shim(&run);
        let script = format!("{ASK} $door/v1/run > answer & sleep 0.3; : > asked; wait $!");
        let shim = scene.start_unknown(&run, &run, level, &script);
        shim.until("asked");
        shim.is_known();
        assert_eq!(shim.end().ending, Ending::Exited(0), "{level:?}");
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
        refused(Scene::outside(&run, scene.uid), "a process of the same user");
        assert_eq!(scene.refused(), 1);
        if scene.uid.is_some() {
            refused(Scene::outside(&run, None), "root");
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
