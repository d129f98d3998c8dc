//! What the timers find due in the tables.

use agentd_schemas::document::WorkDocument;
use agentd_schemas::document::request::Scope;
use agentd_schemas::event::{EventData, TickOutcome};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{BOOT, HOUR, OWNER, Scene, at};
use crate::domain::work::prepare::prepare;
use crate::domain::{Command, Defaults, schedule};
use crate::engine::timers::look;
use crate::sys::clock::Moment;

fn hourly(scene: &mut Scene, missed: &str) {
    let work: Value = json!({"title": "sweep"});
    let documents: Vec<WorkDocument> = vec![serde_json::from_value(work.clone()).unwrap()];
    let mut works = prepare(documents, &Defaults::default(), &mut |text| Ok(text.parse().unwrap())).unwrap();
    let document = json!({"name": "sweep", "cron": "0 * * * *", "time_zone": "UTC", "missed": missed, "work": work});
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
    hourly(&mut scene, "once");
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

#[test]
fn a_tick_says_how_many_before_it_were_missed() {
    for (missed, minutes, submits, before) in
        [("once", 0, true, 4), ("skip", 0, true, 4), ("skip", 30, false, 4), ("once", 1_999 * 60, true, 1_000)]
    {
        let mut scene = Scene::new();
        hourly(&mut scene, missed);
        scene.pass(5 * HOUR + minutes * 60_000);
        let [Command::TickSchedule { schedule }] = found(&scene).0[..] else { panic!("nothing is due") };
        let events = scene.run(Command::TickSchedule { schedule });
        let ticked = events.iter().find_map(|event| match &event.data {
            EventData::ScheduleTicked(ticked) => Some(ticked),
            _ => None,
        });
        let ticked = ticked.unwrap();
        let submitted = matches!(ticked.outcome, TickOutcome::Submitted { .. });
        assert_eq!((submitted, ticked.missed), (submits, before), "{missed} {minutes}");
        let counts = "SELECT submitted, skipped FROM schedules";
        let counted = scene.db().query_row(counts, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(counted, (u64::from(submits), before + u64::from(!submits)), "{missed} {minutes}");
    }
}
