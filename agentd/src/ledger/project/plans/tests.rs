use agentd_schemas::document::schedule::{Missed, Overlap};
use agentd_schemas::event::*;
use agentd_schemas::id::{ScheduleId, WorkId};
use agentd_schemas::unit::time::WallMs;

use crate::ledger::project::told::{START_MS, Told};

const ID: ScheduleId = ScheduleId::from_bytes([7; 10]);
const ROW: &str = "SELECT version, state, next, last, last_by, submitted, skipped FROM schedules";

fn subject() -> Subject {
    Subject::Schedule(ID)
}

fn at(ms: i64) -> WallMs {
    WallMs::saturating(START_MS + ms)
}

fn added() -> ScheduleAdded {
    ScheduleAdded {
        name: "nightly".parse().unwrap(),
        owner: 1000,
        cron: "@daily".to_owned(),
        time_zone: "UTC".to_owned(),
        missed: Missed::Once,
        overlap: Overlap::Skip,
        next: Some(at(500)),
        declared: None,
    }
}

fn ticked(tick: i64, missed: u64, work: bool, next: Option<i64>) -> ScheduleTicked {
    let outcome = if work {
        TickOutcome::Submitted { work: WorkId::from_bytes([1; 10]) }
    } else {
        TickOutcome::Skipped { because: "overlap".to_owned() }
    };
    ScheduleTicked { tick: at(tick), missed, outcome, next: next.map(at) }
}

fn told() -> Told {
    let mut told = Told::new();
    told.tell(subject(), added());
    told
}

/// A time of the tests as its column has it.
fn ms(ms: i64) -> i64 {
    START_MS + ms
}

#[test]
fn an_added_schedule_waits_for_its_first_tick() {
    let told = told();
    assert_eq!(
        told.rows("SELECT key, id, owner, name, start FROM schedules"),
        [format!("0, x'{}', 1000, nightly, {}", "07".repeat(10), ms(0))]
    );
    assert_eq!(told.rows(ROW), [format!("1, 0, {}, NULL, NULL, 0, 0", ms(500))]);
}

#[test]
fn ticks_are_counted_by_what_came_of_them_and_missed_ones_are_skipped_ones() {
    let mut told = told();
    told.tell(subject(), ticked(500, 0, true, Some(1_000)));
    assert_eq!(told.rows(ROW), [format!("2, 0, {}, {}, 1, 1, 0", ms(1_000), ms(500))]);
    told.tell(subject(), ticked(2_000, 3, true, Some(2_500)));
    assert_eq!(told.rows(ROW), [format!("3, 0, {}, {}, 2, 2, 3", ms(2_500), ms(2_000))]);
    told.tell(subject(), ticked(2_500, 1, false, None));
    assert_eq!(told.rows(ROW), [format!("4, 0, NULL, {}, 3, 2, 5", ms(2_500))]);
}

#[test]
fn a_paused_schedule_has_no_next_tick_and_the_ticks_of_the_pause_are_gone() {
    let mut told = told();
    told.tell(subject(), SchedulePaused { reason: "holidays".to_owned() });
    assert_eq!(told.rows(ROW), ["2, 1, NULL, NULL, NULL, 0, 0"]);
    told.tell(subject(), ScheduleResumed { next: Some(at(9_000)) });
    assert_eq!(told.rows(ROW), [format!("3, 0, {}, {}, NULL, 0, 0", ms(9_000), ms(2_000))]);
}

#[test]
fn a_clock_that_was_set_back_brings_no_tick_back() {
    let mut told = told();
    told.tell(subject(), ticked(50_000, 0, true, Some(60_000)));
    told.tell(subject(), SchedulePaused { reason: "holidays".to_owned() });
    told.tell(subject(), ScheduleResumed { next: Some(at(9_000)) });
    assert_eq!(told.rows(ROW), [format!("4, 0, {}, {}, 1, 1, 0", ms(9_000), ms(50_000))]);
}

#[test]
fn a_removed_schedule_leaves_its_name_and_never_changes_again() {
    let mut told = told();
    told.tell(subject(), ScheduleRemoved {});
    assert_eq!(told.rows(ROW), ["2, 2, NULL, NULL, NULL, 0, 0"]);
    let unchanged = told.hear(subject(), ScheduleResumed { next: None });
    assert_eq!(unchanged, Err(rusqlite::Error::StatementChangedRows(0)));
    let mut told = self::told();
    told.tell(subject(), ScheduleRemoved {});
    told.tell(Subject::Schedule(ScheduleId::from_bytes([8; 10])), added());
    assert_eq!(told.rows("SELECT name, state FROM schedules ORDER BY key"), ["nightly, 2", "nightly, 0"]);
}

#[test]
fn two_schedules_of_one_owner_never_share_a_name() {
    told().hear(Subject::Schedule(ScheduleId::from_bytes([8; 10])), added()).unwrap_err();
}

#[test]
fn an_event_of_another_subject_or_of_no_schedule_is_an_error() {
    let mut told = told();
    let error = told.hear(subject(), ObjectiveRemoved {}).unwrap_err();
    assert!(error.to_string().contains("ObjectiveRemoved"), "{error}");
    let mut empty = Told::new();
    let unchanged = empty.hear(subject(), SchedulePaused { reason: "holidays".to_owned() });
    assert_eq!(unchanged, Err(rusqlite::Error::StatementChangedRows(0)));
}
