use agentd_schemas::event::{AgentPaused, AgentState, ModelBound, Subject};

use super::{Log, agent, at, model, operator, person};
use crate::domain::Defaults;
use crate::ledger::query::QueryError;
use crate::ledger::query::agents::{history, list, model_history, show, skills};
use crate::policy::Viewer;

const DAY: &str = "2026-11-22";

/// An agent that did `n` works with the skill rust, all accepted.
fn with_history(n: u32) -> Log {
    let mut log = Log::new();
    log.agent("fixer", 1000, &["git", "rust"]);
    log.agent("other", 1001, &[]);
    for n in 0..n {
        let work = log.submit(1000, &n.to_string(), |spec| spec.required_skills = vec!["rust".parse().unwrap()]);
        log.claim(work, "fixer", 1);
        log.complete(work, "fixer", "{}");
    }
    log
}

#[test]
fn agents_are_listed_by_name_to_who_may_see_them() {
    let log = with_history(1);
    let names = |viewer: &Viewer| -> Vec<String> {
        list(&log.conn, viewer).unwrap().iter().map(|row| row.name.to_string()).collect()
    };
    assert_eq!(names(&operator()), ["fixer", "other"]);
    assert_eq!(names(&person(1000)), ["fixer"]);
    assert_eq!(names(&agent("other")), ["other"]);
    assert!(names(&person(7)).is_empty());
}

#[test]
fn an_agent_shows_who_it_is_and_what_it_showed() {
    let mut log = with_history(5);
    log.conn.execute("INSERT INTO accounts VALUES ('agent:fixer/day/2026-11-22', 700, 0, 7, 0)", []).unwrap();
    log.tell(Subject::Agent("fixer".parse().unwrap()), AgentPaused { reason: "a break".to_owned() });
    let view = show(&log.conn, &person(1000), "fixer", DAY, &Defaults::default()).unwrap();
    assert_eq!((view.row.state, view.reason.as_deref()), (AgentState::Paused, Some("a break")));
    assert_eq!((view.row.completed, view.row.live, view.row.epoch, view.version), (5, 0, 1, 2));
    assert_eq!(view.row.model.as_deref(), Some("local/large"));
    assert_eq!(view.description.as_deref(), Some("the fixer"));
    assert!(view.fingerprint.starts_with("SHA256:") && view.public_key.starts_with("ssh-ed25519 "));
    assert_eq!(view.spent_today.0.as_micro(), 700);
    let shown: Vec<_> =
        view.demonstrated.iter().map(|of| (of.skill.as_str(), of.judged, of.accepted, of.standing.as_str())).collect();
    assert_eq!(shown, [("git", 0, 0, "claimed"), ("rust", 5, 5, "demonstrated")]);
    assert_eq!(view.demonstrated, skills(&log.conn, &person(1000), "fixer", &Defaults::default()).unwrap());
}

#[test]
fn five_refused_works_leave_a_skill_not_demonstrated() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &["rust"]);
    for n in 0..5 {
        let work = log.submit(1000, &n.to_string(), |spec| spec.required_skills = vec!["rust".parse().unwrap()]);
        log.claim(work, "fixer", 1);
        log.reject(work, "fixer", "1", None);
    }
    let evidence = skills(&log.conn, &person(1000), "fixer", &Defaults::default()).unwrap();
    assert_eq!((evidence[0].judged, evidence[0].standing.as_str()), (5, "not demonstrated"));
}

#[test]
fn a_work_counts_once_by_how_it_ended() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &["rust"]);
    for n in 0..5 {
        let work = log.submit(1000, &n.to_string(), |spec| spec.required_skills = vec!["rust".parse().unwrap()]);
        log.claim(work, "fixer", 1);
        log.reject(work, "fixer", "1", Some(10));
        log.claim(work, "fixer", 2);
        log.complete(work, "fixer", "2");
    }
    let evidence = skills(&log.conn, &person(1000), "fixer", &Defaults::default()).unwrap();
    let shown = (evidence[0].judged, evidence[0].accepted, evidence[0].standing.as_str());
    assert_eq!(shown, (5, 5, "demonstrated"));
    let row: (u64, u64, u64, u64) = log
        .conn
        .query_row("SELECT judged, accepted, completed, failed FROM agents", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap();
    assert_eq!(row, (5, 5, 5, 5), "attempts are counted beside");
}

#[test]
fn an_agent_of_another_and_one_that_never_was_are_alike() {
    let log = with_history(0);
    for name in ["fixer", "nobody"] {
        let answer = show(&log.conn, &person(1001), name, DAY, &Defaults::default());
        assert!(matches!(answer, Err(QueryError::NotFound { kind: "agent", .. })), "{name}");
    }
}

#[test]
fn a_history_goes_on_from_its_cursor() {
    let log = with_history(5);
    let page = |before| history(&log.conn, &person(1000), "fixer", before, 2).unwrap();
    let mut seen = Vec::new();
    let mut before = 0;
    loop {
        let rows = page(before);
        let Some(last) = rows.last() else { break };
        before = last.cursor;
        seen.extend(rows.into_iter().map(|row| (row.title, row.outcome)));
    }
    let expected: Vec<_> = (0..5).rev().map(|n: u32| (n.to_string(), "completed".to_owned())).collect();
    assert_eq!(seen, expected);
}

#[test]
fn the_history_of_a_shared_agent_hides_works_of_others() {
    let mut log = with_history(1);
    let foreign = log.submit(1001, "foreign", |_| {});
    log.claim(foreign, "fixer", 1);
    let titles = |viewer: &Viewer| -> Vec<String> {
        history(&log.conn, viewer, "fixer", 0, 0).unwrap().into_iter().map(|row| row.title).collect()
    };
    assert_eq!(titles(&person(1000)), ["0"]);
    assert_eq!(titles(&operator()), ["foreign", "0"]);
    assert_eq!(titles(&agent("fixer")), ["foreign", "0"]);
}

#[test]
fn each_epoch_says_who_changed_the_model_and_why() {
    let mut log = with_history(2);
    let bound = ModelBound {
        epoch: 2,
        from: Some(model("large")),
        to: Some(model("larger")),
        reason: "it is better".to_owned(),
    };
    let event = log.tell(Subject::Agent("fixer".parse().unwrap()), bound);
    let epochs = model_history(&log.conn, &person(1000), "fixer").unwrap();
    let [first, second] = &epochs[..] else { panic!("two epochs began: {epochs:?}") };
    assert_eq!((first.epoch, first.reason.as_str(), first.completed), (1, "enrolled", 2));
    assert_eq!((first.from.as_ref(), first.to.as_ref()), (None, Some(&model("large"))));
    assert_eq!((second.epoch, second.actor.as_str(), second.reason.as_str()), (2, "uid:1000", "it is better"));
    assert_eq!((second.since, second.event), (at(event), event.unsigned_abs()));
    assert_eq!(second.to, Some(model("larger")));
}
