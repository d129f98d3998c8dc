//! Time that did not count before a restart does not count after it.

use agentd_schemas::document::request::Scope;
use serde_json::json;

use super::{BOOT, HOUR, Scene};
use crate::domain::Command;
use crate::engine::live::{LiveRun, LiveRuns, RanOut};
use crate::engine::put_back::{Now, put_back};

/// The runs as a daemon finds them that starts now.
fn found(scene: &Scene, slept_ms: u64) -> LiveRun {
    let now = Now { boot: BOOT.to_owned(), boot_ms: scene.boot, slept_ms };
    put_back(&scene.db(), &now, 1).unwrap().living.pop().unwrap()
}

fn freeze(scene: &mut Scene, scope: Scope) {
    scene.run(Command::Freeze { scope, reason: "look".to_owned() });
}

fn claimed() -> (Scene, crate::domain::command::RunRef) {
    let mut scene = Scene::new();
    scene.submit(json!([{"title": "x", "limits": {"timeout": "1h"}}]));
    let run = scene.claim().unwrap();
    (scene, run)
}

#[test]
fn a_freeze_before_a_restart_is_no_running_time_after_it() {
    let (mut scene, run) = claimed();
    scene.pass(HOUR / 4);
    freeze(&mut scene, Scope::All);
    scene.pass(2 * HOUR);
    let back = found(&scene, 0);
    assert_eq!(back.ran_ms(scene.boot), HOUR / 4, "it is frozen still");
    scene.run(Command::Thaw { scope: Scope::All });
    let back = found(&scene, 0);
    assert_eq!((back.paused_ms, back.paused_since), (2 * HOUR, None));
    let runs = LiveRuns::default();
    runs.insert(back);
    assert_eq!(runs.ran_out(scene.boot + 1, 9).0, [], "half an hour is left to it, and more");
    scene.pass(3 * HOUR / 4);
    let runs = LiveRuns::default();
    runs.insert(found(&scene, 0));
    assert_eq!(runs.ran_out(scene.boot, 9).0, [RanOut::Timeout(run)]);
}

#[test]
fn waiting_and_freezes_that_overlap_count_once() {
    let (mut scene, run) = claimed();
    let start = scene.boot;
    scene.run(Command::AskPerson { run, text: "may I?".to_owned() });
    scene.pass(10);
    freeze(&mut scene, Scope::Agent("worker".parse().unwrap()));
    scene.pass(10);
    freeze(&mut scene, Scope::All);
    scene.run(Command::AnswerRun { work: run.work, text: "yes".to_owned() });
    scene.pass(10);
    scene.run(Command::Thaw { scope: Scope::Agent("worker".parse().unwrap()) });
    scene.pass(10);
    assert_eq!(found(&scene, 0).paused_since, Some(start));
    scene.run(Command::Thaw { scope: Scope::All });
    scene.pass(10);
    let back = found(&scene, 0);
    assert_eq!((back.paused_ms, back.paused_since, back.ran_ms(scene.boot)), (40, None, 10));
}

#[test]
fn freezes_that_do_not_cover_a_run_are_running_time() {
    let (mut scene, _) = claimed();
    let other = scene.submit(json!([{"title": "other"}]))[0];
    freeze(&mut scene, Scope::Work(other));
    scene.pass(1_000);
    assert_eq!(found(&scene, 0).ran_ms(scene.boot), 1_000);
}

#[test]
fn a_freeze_that_was_over_before_the_claim_is_none_of_the_runs_time() {
    let mut scene = Scene::new();
    freeze(&mut scene, Scope::All);
    scene.pass(500);
    scene.run(Command::Thaw { scope: Scope::All });
    scene.submit(json!([{"title": "x"}]));
    scene.claim().unwrap();
    scene.pass(1_000);
    assert_eq!(found(&scene, 0).ran_ms(scene.boot), 1_000);
}

#[test]
fn a_night_asleep_before_a_restart_is_no_running_time() {
    let (mut scene, run) = claimed();
    scene.pass(9 * HOUR);
    let runs = LiveRuns::default();
    runs.insert(found(&scene, 8 * HOUR + HOUR / 2));
    assert_eq!(runs.ran_out(scene.boot, 9).0, []);
    assert_eq!(found(&scene, 90 * HOUR).ran_ms(scene.boot), 0, "no more than the time since the claim");
    let runs = LiveRuns::default();
    runs.insert(found(&scene, 0));
    assert_eq!(runs.ran_out(scene.boot, 9).0, [RanOut::Timeout(run)]);
}
