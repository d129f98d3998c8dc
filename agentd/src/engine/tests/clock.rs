//! A clock that jumped holds what it triggers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::tz::TimeZone;
use serde_json::json;

use super::{Folder, HOUR, Scene, at, kinds, state};
use crate::domain::{Command, Defaults};
use crate::engine::{Engine, Settings, start};
use crate::ledger::open::open_writer;

/// Two jumps that nobody looked at, and that add up to nothing.
fn jump_and_back(scene: &mut Scene) {
    for by_ms in [7_200_000, -7_200_000] {
        scene.run(Command::NoticeClock { by_ms });
    }
}

#[test]
fn nothing_becomes_ready_by_a_clock_that_is_held() {
    let mut scene = Scene::new();
    let works = scene.submit(json!([{"title": "a", "ref": "a"},
        {"title": "b", "depends_on": ["ref:a"], "on_dependency_failure": "run", "not_before": at(48)}]));
    let cancelled = scene.submit(json!([{"title": "c", "not_before": at(48)}]))[0];
    scene.cancel(cancelled);
    jump_and_back(&mut scene);
    scene.wall += 30 * 86_400_000;
    let new = scene.submit(json!([{"title": "d", "not_before": at(48)}]))[0];
    assert_eq!(scene.run(Command::WakeWork { work: new }), []);
    assert_eq!(state(&scene.run(Scene::retry(cancelled))), "scheduled");
    let effect = scene.cancel(works[0])[0].envelope.index;
    let spread = scene.run(Command::Cascade { effect });
    assert_eq!(kinds(&spread), ["WorkScheduled", "EffectFinished"]);
    assert_eq!(scene.claim(), None, "all of them wait until somebody looked");
    scene.run(Command::AcceptClock { reason: "it is right".to_owned() });
    for work in [works[1], cancelled, new] {
        assert_eq!(kinds(&scene.run(Command::WakeWork { work })), ["WorkReadied"]);
    }
}

#[test]
fn a_deadline_does_not_pass_by_a_clock_that_is_held() {
    let mut scene = Scene::new();
    let work = scene.submit(json!([{"title": "x", "deadline": at(2)}]))[0];
    scene.run(Command::NoticeClock { by_ms: 1 });
    scene.pass(3 * HOUR);
    assert_eq!(scene.run(Command::PassDeadline { work }), []);
}

async fn started(folder: &Folder) -> Engine {
    let settings = Settings {
        mode: "private",
        state: folder.0.clone(),
        agents_socket: folder.0.join("agents.sock"),
        trust_domain: None,
        zone: TimeZone::UTC,
        configuration: None,
        defaults: Arc::new(Defaults::default()),
        policies: None,
        keks: Arc::default(),
        journal: false,
        runs: None,
    };
    start(settings).await.unwrap()
}

fn types(folder: &Folder) -> Vec<String> {
    let db = open_writer(&folder.0.join("ledger.db")).unwrap();
    let mut types = db.prepare("SELECT json_extract(body, '$.type') FROM events ORDER BY idx").unwrap();
    let rows = types.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

#[tokio::test]
async fn a_start_notices_the_jump_before_it_commits_anything_else() {
    let folder = Folder::new();
    drop(started(&folder).await);
    let db = open_writer(&folder.0.join("ledger.db")).unwrap();
    db.execute("UPDATE head SET wall_ms = wall_ms + 7200000", []).unwrap();
    let engine = started(&folder).await;
    assert_eq!(types(&folder), ["LogStarted", "DaemonStarted", "ClockJumped", "DaemonStarted"]);
    assert!(engine.0.clock_held.load(Ordering::Relaxed));
}

#[tokio::test]
async fn jumps_that_add_up_to_nothing_are_held_over_a_restart() {
    let folder = Folder::new();
    let engine = started(&folder).await;
    for by_ms in [7_200_000, -7_200_000] {
        engine.execute(&crate::policy::Caller::host(), Command::NoticeClock { by_ms }, None).await.unwrap();
    }
    assert!(engine.0.clock_held.load(Ordering::Relaxed));
    drop(engine);
    assert!(started(&folder).await.0.clock_held.load(Ordering::Relaxed));
}
