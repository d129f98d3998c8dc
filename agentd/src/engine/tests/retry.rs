//! A retried work keeps its times.

use agentd_schemas::event::{Event, EventData, ServiceLevelKind};
use agentd_schemas::problem::Code;
use serde_json::json;

use super::{HOUR, Scene, at, due, kinds, state};
use crate::domain::Command;

#[test]
fn a_work_for_tomorrow_is_retried_for_tomorrow() {
    let mut scene = Scene::new();
    let work = scene.submit(json!([{"title": "x", "not_before": at(24)}]))[0];
    scene.cancel(work);
    assert_eq!(scene.timers(), []);
    assert_eq!(state(&scene.run(Scene::retry(work))), "scheduled");
    assert_eq!(scene.claim(), None, "its time has not come");
    assert_eq!(scene.timers(), [(0, due(24))]);
    scene.rebuilds();
    scene.pass(24 * HOUR);
    assert_eq!(kinds(&scene.run(Command::WakeWork { work })), ["WorkReadied"]);
    assert_eq!(scene.claim().unwrap().work, work);
}

#[test]
fn a_work_that_was_handed_out_once_is_ready_at_once() {
    let mut scene = Scene::new();
    let work = scene.submit(json!([{"title": "x", "not_before": at(1), "limits": {"max_attempts": 1}}]))[0];
    scene.pass(HOUR);
    scene.run(Command::WakeWork { work });
    let run = scene.claim().unwrap();
    scene.run(Command::FailRun { run, message: "no".to_owned() });
    scene.wall -= i64::try_from(HOUR / 2).unwrap();
    assert_eq!(state(&scene.run(Scene::retry(work))), "ready");
    assert_eq!(scene.claim().unwrap().attempt, 2);
}

#[test]
fn deadline_and_levels_are_in_force_again() {
    let mut scene = Scene::new();
    let document = json!([{"title": "x", "deadline": at(9), "on_deadline": "stop",
        "slo": {"start_within": "2h", "finish_within": "4h"}}]);
    let work = scene.submit(document)[0];
    let before = scene.timers();
    assert_eq!(before, [(1, due(9)), (2, due(2)), (3, due(4))]);
    scene.cancel(work);
    scene.run(Scene::retry(work));
    assert_eq!(scene.timers(), before);
    scene.rebuilds();
    let run = scene.claim().unwrap();
    scene.pass(5 * HOUR);
    let level = ServiceLevelKind::Finish;
    assert_eq!(kinds(&scene.run(Command::BreachLevel { work, level })), ["ServiceLevelBreached"]);
    scene.pass(5 * HOUR);
    let passed = scene.run(Command::PassDeadline { work });
    assert_eq!(kinds(&passed), ["ServiceLevelBreached", "AttemptFailed", "WorkFailed"]);
    assert_eq!(run.attempt, 1);
}

#[test]
fn a_level_that_was_missed_is_not_missed_twice() {
    let mut scene = Scene::new();
    let work = scene.submit(json!([{"title": "x", "slo": {"start_within": "1h", "finish_within": "3h"}}]))[0];
    scene.pass(HOUR);
    scene.run(Command::BreachLevel { work, level: ServiceLevelKind::Start });
    scene.cancel(work);
    let retried: Vec<Event> = scene.run(Scene::retry(work));
    let EventData::WorkRetried(data) = &retried[0].data else { panic!("{retried:?}") };
    assert_eq!((data.latest_start, data.finish_by.is_some()), (None, true));
    assert_eq!(scene.timers(), [(3, due(3))]);
}

#[test]
fn a_work_whose_deadline_has_passed_is_not_retried() {
    let mut scene = Scene::new();
    let work = scene.submit(json!([{"title": "x", "deadline": at(1)}]))[0];
    scene.pass(HOUR);
    assert_eq!(kinds(&scene.run(Command::PassDeadline { work })), ["WorkExpired"]);
    let problem = scene.refused(Scene::retry(work));
    assert_eq!(problem.code, Code::WrongState);
    assert!(problem.message.contains("its deadline"), "{}", problem.message);
    assert!(problem.hint.is_some_and(|hint| hint.contains("submit it anew")));
}
