use agentd_schemas::document::objective::{Indicator, ObjectiveDocument};
use agentd_schemas::event::{
    AgentActivated, ObjectiveRemoved, ObjectiveSet, ServiceLevelBreached, ServiceLevelKind, Subject, WorkCancelled,
    WorkExpired, WorkRetried, WorkState, WorkSubmitted,
};
use agentd_schemas::id::WorkId;
use agentd_schemas::unit::time::WallMs;

use super::count;
use crate::domain::fixture;
use crate::domain::objective::Moment;
use crate::ledger::project::told::{START_MS, Told};

const DAY: i64 = 86_400_000;
const SUCCESS: Moment = Moment::Completed(None);
const FAILURE: Moment = Moment::Failed { start_missed: false, finish_missed: false };
const DAYS: &str = "SELECT owner, name, day, good, bad FROM objective_days";

fn objective(name: &str, labels: &[(&str, &str)]) -> ObjectiveDocument {
    ObjectiveDocument {
        name: name.parse().unwrap(),
        labels: labels.iter().map(|(key, value)| (key.parse().unwrap(), value.parse().unwrap())).collect(),
        indicator: Indicator::Success,
        target_percent: "99".to_owned(),
        window: "28d".parse().unwrap(),
    }
}

fn set(told: &mut Told, owner: u32, objective: ObjectiveDocument) {
    let subject = Subject::Objective(format!("{owner}/{}", objective.name));
    told.tell(subject, ObjectiveSet { owner, objective });
}

#[test]
fn a_set_objective_is_kept_as_it_was_written_and_a_removed_one_is_gone() {
    let mut told = Told::new();
    set(&mut told, 1000, objective("ci", &[("team", "a")]));
    set(&mut told, 1001, objective("ci", &[]));
    count(&told.db, 1001, 1, SUCCESS, WallMs::EPOCH).unwrap();
    let other = r#"1001, ci, {"name":"ci","indicator":"success","target_percent":"99","window":"4w"}"#;
    let sql = "SELECT owner, name, document FROM objectives";
    let first =
        r#"1000, ci, {"name":"ci","labels":{"team":"a"},"indicator":"success","target_percent":"99","window":"4w"}"#;
    assert_eq!(told.rows(sql), [first, other]);
    told.tell(Subject::Objective("1000/ci".to_owned()), ObjectiveRemoved {});
    assert_eq!(told.rows(sql), [other]);
    assert_eq!(told.rows(DAYS), ["1001, ci, 0, 1, 0"], "of the other owner");
    told.tell(Subject::Objective("1001/ci".to_owned()), ObjectiveRemoved {});
    assert!(told.rows(DAYS).is_empty());
}

#[test]
fn works_count_by_utc_day() {
    let mut told = Told::new();
    set(&mut told, 1000, objective("ci", &[]));
    let counted = [(SUCCESS, 0), (SUCCESS, DAY - 1), (FAILURE, DAY - 1), (SUCCESS, DAY), (Moment::Started(None), DAY)];
    for (moment, at) in counted {
        count(&told.db, 1000, 1, moment, WallMs::saturating(at)).unwrap();
    }
    assert_eq!(told.rows(DAYS), ["1000, ci, 0, 2, 1", "1000, ci, 1, 1, 0"]);
}

#[test]
fn only_works_of_the_owner_that_carry_every_label_count() {
    let mut told = Told::new();
    set(&mut told, 1000, objective("both", &[("team", "a"), ("tier", "gold=1")]));
    set(&mut told, 1000, objective("every", &[]));
    set(&mut told, 1000, objective("one", &[("team", "a")]));
    told.work(1, [1; 10], 7, &["team=a", "tier=gold=1"]);
    told.work(2, [2; 10], 7, &["team=a", "tier=silver"]);
    told.work(3, [3; 10], 7, &["team=b", "tier=gold=1"]);
    for key in 1..=3 {
        count(&told.db, 1000, key, SUCCESS, WallMs::EPOCH).unwrap();
        count(&told.db, 7, key, SUCCESS, WallMs::EPOCH).unwrap();
    }
    assert_eq!(told.rows(DAYS), ["1000, both, 0, 1, 0", "1000, every, 0, 3, 0", "1000, one, 0, 2, 0"]);
}

#[test]
fn each_objective_counts_by_its_own_indicator() {
    let mut told = Told::new();
    set(&mut told, 1000, ObjectiveDocument { indicator: Indicator::StartWithin, ..objective("start", &[]) });
    set(&mut told, 1000, ObjectiveDocument { indicator: Indicator::FinishWithin, ..objective("finish", &[]) });
    set(&mut told, 1000, objective("success", &[]));
    count(&told.db, 1000, 1, Moment::Started(Some(false)), WallMs::EPOCH).unwrap();
    count(&told.db, 1000, 1, Moment::Completed(Some(true)), WallMs::EPOCH).unwrap();
    assert_eq!(told.rows(DAYS), ["1000, finish, 0, 1, 0", "1000, start, 0, 0, 1", "1000, success, 0, 1, 0"]);
}

#[test]
fn a_new_target_keeps_what_was_counted_and_new_labels_or_another_indicator_do_not() {
    let other_target = ObjectiveDocument { target_percent: "95".to_owned(), ..objective("ci", &[]) };
    let other_indicator = ObjectiveDocument { indicator: Indicator::StartWithin, ..objective("ci", &[]) };
    for (change, kept) in [(other_target, 1), (other_indicator, 0), (objective("ci", &[("team", "a")]), 0)] {
        let mut told = Told::new();
        set(&mut told, 1000, objective("ci", &[]));
        count(&told.db, 1000, 1, SUCCESS, WallMs::EPOCH).unwrap();
        set(&mut told, 1000, change.clone());
        assert_eq!(told.rows(DAYS).len(), kept, "{change:?}");
    }
}

#[test]
fn an_event_that_is_not_of_this_objective_is_an_error() {
    let mut told = Told::new();
    let named = |id: &str| Subject::Objective(id.to_owned());
    let data = || ObjectiveSet { owner: 1000, objective: objective("ci", &[]) };
    for id in ["1001/ci", "1000/other", "ci", "1000", "x/ci"] {
        assert!(told.hear(named(id), data()).unwrap_err().to_string().contains("ObjectiveSet"), "{id}");
    }
    told.hear(named("1000/ci"), AgentActivated { reason: String::new() }).unwrap_err();
}

#[test]
fn a_level_counts_once_however_often_the_work_ends() {
    let due = WallMs::saturating(START_MS + 1);
    let retried = || WorkRetried {
        state: WorkState::Ready,
        max_attempts: 2,
        not_before: None,
        deadline: None,
        latest_start: Some(due),
        finish_by: Some(due),
        reason: "again".to_owned(),
    };
    for breached_first in [true, false] {
        let mut told = Told::new();
        set(&mut told, 1000, ObjectiveDocument { indicator: Indicator::StartWithin, ..objective("begins", &[]) });
        set(&mut told, 1000, ObjectiveDocument { indicator: Indicator::FinishWithin, ..objective("ends", &[]) });
        let work = || Subject::Work(WorkId::from_bytes([1; 10]));
        told.tell(work(), WorkSubmitted { latest_start: Some(due), finish_by: Some(due), ..fixture::submitted() });
        let breach = |told: &mut Told| {
            for level in [ServiceLevelKind::Start, ServiceLevelKind::Finish] {
                told.tell(work(), ServiceLevelBreached { level, due });
            }
        };
        if breached_first {
            breach(&mut told);
            told.tell(work(), WorkCancelled { reason: "enough".to_owned() });
        } else {
            told.tell(work(), WorkExpired {});
            told.tell(work(), retried());
            breach(&mut told);
        }
        let once: Vec<String> =
            ["begins", "ends"].iter().map(|name| format!("1000, {name}, {}, 0, 1", START_MS / DAY)).collect();
        assert_eq!(told.rows(DAYS), once);
        told.tell(work(), retried());
        told.tell(work(), WorkExpired {});
        assert_eq!(told.rows(DAYS), once, "{breached_first}");
    }
}
