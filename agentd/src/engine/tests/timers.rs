//! What the timers find due in the tables.

use agentd_schemas::document::WorkDocument;
use agentd_schemas::document::request::Scope;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{BOOT, HOUR, OWNER, Scene, at};
use crate::domain::work::prepare::prepare;
use crate::domain::{Command, Defaults, schedule};
use crate::engine::timers::look;
use crate::sys::clock::Moment;

fn hourly(scene: &mut Scene) {
    let work: Value = json!({"title": "sweep"});
    let documents: Vec<WorkDocument> = vec![serde_json::from_value(work.clone()).unwrap()];
    let mut works = prepare(documents, &Defaults::default(), &mut |text| Ok(text.parse().unwrap())).unwrap();
    let document = json!({"name": "sweep", "cron": "0 * * * *", "time_zone": "UTC", "work": work});
    let new = schedule::prepare(OWNER, serde_json::from_value(document).unwrap(), TimeZone::UTC, works.remove(0));
    scene.run(Command::AddSchedule { schedule: Box::new(new.unwrap()) });
}

fn found(scene: &Scene) -> (Vec<Command>, Option<u64>) {
    let moment = Moment { wall_ms: scene.wall, boot_ms: scene.boot };
    look(&scene.db(), BOOT, moment, false).unwrap()
}

#[test]
fn ticks_of_a_frozen_host_are_not_due() {
    let mut scene = Scene::new();
    hourly(&mut scene);
    assert_eq!(found(&scene), (Vec::new(), Some(scene.boot + HOUR)));
    scene.run(Command::Freeze { scope: Scope::All, reason: "look".to_owned() });
    scene.pass(2 * HOUR);
    assert_eq!(found(&scene), (Vec::new(), None), "the loop would spin on a tick of which nothing comes");
    scene.run(Command::Thaw { scope: Scope::All });
    assert!(matches!(&found(&scene).0[..], [Command::TickSchedule { .. }]));
}

#[test]
fn what_is_due_is_not_the_next_thing() {
    let mut scene = Scene::new();
    scene.submit(json!([{"title": "x", "deadline": at(1)}, {"title": "y", "deadline": at(3)}]));
    scene.pass(2 * HOUR);
    let (commands, next) = found(&scene);
    assert!(matches!(&commands[..], [Command::PassDeadline { .. }]), "{commands:?}");
    assert_eq!(next, Some(scene.boot + HOUR), "a deadline that cannot be written makes no haste");
}
