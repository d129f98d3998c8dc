use agentd_schemas::document::objective::ObjectiveDocument;
use agentd_schemas::document::schedule::{Missed, Overlap};
use agentd_schemas::event::{
    ObjectiveSet, ProbationStarted, ScheduleAdded, SchedulePaused, ScheduleTicked, SkillsDeclared, Subject, TickOutcome,
};
use agentd_schemas::id::ScheduleId;
use agentd_schemas::unit::time::WallMs;

use super::{Log, at, operator, person};
use crate::domain::Defaults;
use crate::ledger::query::host::attention;
use crate::ledger::query::plans::{objectives, schedule, schedules};
use crate::policy::Viewer;

fn add(log: &mut Log, owner: u32, name: &str, id: u8) -> Subject {
    let subject = Subject::Schedule(ScheduleId::from_bytes([id; 10]));
    let added = ScheduleAdded {
        name: name.parse().unwrap(),
        owner,
        cron: "0 4 * * *".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        missed: Missed::Once,
        overlap: Overlap::Queue,
        next: Some(at(100)),
        declared: None,
    };
    log.tell(subject.clone(), added);
    subject
}

#[test]
fn a_schedule_shows_its_last_and_its_next_tick() {
    let mut log = Log::new();
    let nightly = add(&mut log, 1000, "nightly", 3);
    add(&mut log, 1001, "weekly", 4);
    let ticked = ScheduleTicked {
        tick: at(100),
        missed: 2,
        outcome: TickOutcome::Skipped { because: "overlap".to_owned() },
        next: Some(at(200)),
    };
    log.tell(nightly.clone(), ticked);
    let view = schedule(&log.conn, &person(1000), "nightly").unwrap();
    assert_eq!((view.state.as_str(), view.next, view.owner), ("active", Some(at(200)), 1000));
    assert_eq!(
        (view.cron.as_str(), view.time_zone.as_str(), view.overlap),
        ("0 4 * * *", "Europe/Berlin", Overlap::Queue)
    );
    let last = view.last.unwrap();
    assert_eq!((last.tick, last.work, last.skipped.as_deref()), (at(100), None, Some("overlap")));
    assert_eq!((view.submitted, view.skipped), (0, 3));
    log.tell(nightly, SchedulePaused { reason: "rest".to_owned() });
    let listed = schedules(&log.conn, &person(1000)).unwrap();
    assert_eq!(listed.iter().map(|view| view.state.as_str()).collect::<Vec<_>>(), ["paused"]);
    assert_eq!(schedules(&log.conn, &operator()).unwrap().len(), 2);
}

fn looked(log: &Log, viewer: &Viewer) -> Vec<String> {
    attention(&log.conn, viewer, WallMs::saturating(0), &Defaults::default()).unwrap()
}

#[test]
fn a_schedule_whose_last_tick_was_refused_asks_for_attention_until_one_succeeds() {
    let mut log = Log::new();
    let nightly = add(&mut log, 1000, "nightly", 3);
    let tick = |because: &str| ScheduleTicked {
        tick: at(100),
        missed: 0,
        outcome: TickOutcome::Skipped { because: because.to_owned() },
        next: Some(at(200)),
    };
    log.tell(nightly.clone(), tick("overlap"));
    assert!(looked(&log, &person(1000)).is_empty());
    log.tell(nightly.clone(), tick("rejected: agent j1 is retired"));
    let told = looked(&log, &person(1000));
    assert!(
        told.len() == 1 && told[0].starts_with("schedule nightly submits nothing: agent j1 is retired"),
        "{told:?}"
    );
    assert!(looked(&log, &person(1001)).is_empty());
    log.tell(nightly, tick("overlap"));
    assert!(looked(&log, &operator()).is_empty());
}

#[test]
fn an_objective_stands_on_the_days_of_its_window() {
    let mut log = Log::new();
    let objective: ObjectiveDocument =
        serde_json::from_value(serde_json::json!({ "name": "all", "target_percent": "99", "window": "28d" })).unwrap();
    log.tell(Subject::Objective("1000/all".to_owned()), ObjectiveSet { owner: 1000, objective: objective.clone() });
    let today = at(0).as_ms() / 86_400_000;
    for (days_ago, good, bad) in [(0, 99, 2), (1, 100, 0), (6, 100, 1), (7, 100, 0), (27, 100, 0), (28, 5000, 5000)] {
        let row = (today - days_ago, good, bad);
        log.conn.execute("INSERT INTO objective_days VALUES (1000, 'all', ?1, ?2, ?3)", row).unwrap();
    }
    let views = objectives(&log.conn, &person(1000), at(0)).unwrap();
    let [view] = &views[..] else { panic!("one objective exists") };
    assert_eq!((view.good, view.bad, &view.objective), (499, 3, &objective));
    assert_eq!(view.attainment_milli_percent, Some(99_402));
    assert_eq!((view.budget, view.budget_left), (5, 2));
    assert_eq!((view.burn_rate_day_percent, view.burn_rate_week_percent), (Some(198), Some(99)));
    assert!(objectives(&log.conn, &person(1001), at(0)).unwrap().is_empty());
}

#[test]
fn a_skill_that_fell_below_its_bound_asks_for_attention_until_the_agent_is_on_probation_again() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &["rust", "sql"]);
    for n in 0..5 {
        assert!(looked(&log, &person(1000)).is_empty(), "{n} judged works say nothing");
        let work = log.submit(1000, "w", |spec| spec.required_skills = vec!["rust".parse().unwrap()]);
        log.claim(work, "fixer", 1);
        log.reject(work, "fixer", "1", None);
    }
    let told = looked(&log, &person(1000));
    let words = "agent fixer gets no work that asks for rust: 0 of 5 judged works were accepted \
                 (repair it, then agentctl agent probation fixer --reason '…')";
    assert_eq!((told, looked(&log, &person(1001))), (vec![words.to_owned()], Vec::new()));
    let subject = Subject::Agent("fixer".parse().unwrap());
    log.tell(subject.clone(), SkillsDeclared { skills: vec!["sql".parse().unwrap()] });
    assert!(looked(&log, &operator()).is_empty(), "it claims it no more");
    log.tell(subject.clone(), SkillsDeclared { skills: vec!["rust".parse().unwrap()] });
    assert_eq!(looked(&log, &operator()).len(), 1);
    log.tell(subject, ProbationStarted { epoch: 2, model: None, reason: "repaired".to_owned() });
    assert!(looked(&log, &operator()).is_empty());
}
