use agentd_schemas::content::WorkContent;
use agentd_schemas::document::request::WorkFilter;
use agentd_schemas::event::{
    ContentRedacted, FailureReason, RunStarted, Subject, WaitReason, WorkCancelled, WorkExpired, WorkFailed, WorkState,
};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::view::WorkRow;

use super::{Log, Work, agent, at, never, operator, person};
use crate::domain::Defaults;
use crate::ledger::query::{IsParked, parked::parked_queues, works::list};
use crate::policy::Viewer;

/// Every page of a filter, three rows at a time.
fn pages(log: &Log, viewer: &Viewer, filter: &WorkFilter, parked: IsParked<'_>) -> Vec<WorkRow> {
    let mut filter = WorkFilter { limit: Some(3), ..filter.clone() };
    let mut works: Vec<WorkRow> = Vec::new();
    loop {
        let page = list(&log.conn, viewer, &filter, parked).unwrap();
        filter.before = page.works.last().map(|row| row.cursor);
        works.extend(page.works);
        if !page.more {
            return works;
        }
        assert!(filter.before.is_some(), "a page that goes on has a cursor");
    }
}

fn titles(works: &[WorkRow]) -> Vec<&str> {
    works.iter().map(|work| work.title.as_str()).collect()
}

/// One work in each state, by its name, and a parked one.
fn one_of_each() -> Log {
    let mut log = Log::new();
    log.agent("fixer", 1000, &["rust"]);
    let first = log.submit(1000, "completed", |_| {});
    log.submit(1000, "scheduled", |spec| spec.state = WorkState::Scheduled);
    log.submit(1000, "ready", |_| {});
    log.submit(1000, "parked", |spec| spec.required_skills = vec!["fortran".parse().unwrap()]);
    for (title, attempt) in [("claimed", 1), ("running", 1), ("waiting", 1), ("verifying", 1)] {
        let work = log.submit(1000, title, |_| {});
        log.claim(work, "fixer", attempt);
        match title {
            "running" => drop(log.tell(Subject::Work(work.id), RunStarted::default())),
            "waiting" => drop(log.wait(work, WaitReason::Person)),
            "verifying" => drop(log.judge(work, "{}")),
            _ => {}
        }
    }
    let blocker = log.submit(1000, "expired", |_| {});
    log.submit(1000, "blocked", |spec| {
        spec.state = WorkState::Blocked;
        spec.depends_on = vec![blocker.id];
    });
    log.tell(Subject::Work(blocker.id), WorkExpired {});
    log.claim(first, "fixer", 1);
    log.complete(first, "fixer", "{}");
    let failed = log.submit(1000, "failed", |_| {});
    log.claim(failed, "fixer", 1);
    log.reject(failed, "fixer", "1", None);
    log.tell(Subject::Work(failed.id), WorkFailed { reason: FailureReason::Rejected });
    let cancelled = log.submit(1000, "cancelled", |_| {});
    log.tell(Subject::Work(cancelled.id), WorkCancelled { reason: "parent_cancelled".to_owned() });
    log
}

#[test]
fn each_state_lists_its_works() {
    let log = one_of_each();
    let queues = parked_queues(&log.conn, &Defaults::default()).unwrap();
    let parked = |queue| queues.contains(&queue);
    let listed = |state: &str| {
        let filter = WorkFilter { state: Some(state.to_owned()), ..WorkFilter::default() };
        let works = pages(&log, &person(1000), &filter, &parked);
        let mut titles: Vec<String> = works.into_iter().map(|work| work.title).collect();
        titles.sort();
        titles
    };
    let states: Vec<&str> = WorkState::ALL.iter().map(|state| state.as_str()).chain(["parked"]).collect();
    for state in &states {
        assert_eq!(listed(state), [*state]);
    }
    assert_eq!(listed("future"), ["blocked", "parked", "ready", "scheduled"]);
    assert_eq!(listed("current"), ["claimed", "running", "verifying", "waiting"]);
    assert_eq!(listed("past"), ["cancelled", "completed", "expired", "failed"]);
    let all = pages(&log, &person(1000), &WorkFilter::default(), &parked);
    assert!(all.iter().all(|row| row.title == row.state), "{all:#?}");
}

#[test]
fn each_row_says_in_one_clause_why_it_is_there() {
    let log = one_of_each();
    let queues = parked_queues(&log.conn, &Defaults::default()).unwrap();
    let all = pages(&log, &operator(), &WorkFilter::default(), &|queue| queues.contains(&queue));
    let reason = |title: &str| all.iter().find(|row| row.title == title).unwrap().reason.clone();
    for (title, words) in [
        ("parked", "no agent is able to take it"),
        ("blocked", "waits for another work"),
        ("scheduled", "its time has not come"),
        ("waiting", "waits for a person's answer"),
        ("verifying", "its result waits for a person"),
        ("failed", "rejected: /: not an object"),
        ("cancelled", "parent cancelled"),
        ("expired", "was not started by its deadline"),
    ] {
        assert_eq!(reason(title).as_deref(), Some(words), "{title}");
    }
    assert!(["ready", "claimed", "running", "completed"].iter().all(|title| reason(title).is_none()));
}

#[test]
fn a_row_carries_agent_times_and_short_id() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    let work = log.submit(1000, "one", |spec| spec.priority = -7);
    let claim = log.claim(work, "fixer", 1);
    let page = list(&log.conn, &person(1000), &WorkFilter::default(), &never).unwrap();
    let [row] = &page.works[..] else { panic!("one work exists") };
    assert_eq!(row.agent.as_ref().unwrap().as_str(), "fixer");
    assert_eq!((row.submitted_at, row.changed_at), (at(work.key), at(claim)));
    assert_eq!((row.attempts, row.priority, row.owner), (1, -7, 1000));
    assert!(work.text().starts_with(&row.short));
    assert!(!page.more);
}

#[test]
fn newest_comes_first_and_the_cursor_goes_on() {
    let mut log = Log::new();
    let names: Vec<String> = (0..8).map(|n| n.to_string()).collect();
    for name in &names {
        log.submit(1000, name, |_| {});
    }
    let all = pages(&log, &person(1000), &WorkFilter::default(), &never);
    assert_eq!(titles(&all), names.iter().rev().collect::<Vec<_>>());
}

/// Works of two owners, with labels, parents, agents and states in every mixture.
fn mixture() -> (Log, Vec<Work>) {
    let mut log = Log::new();
    log.agent("fixer", 1000, &[]);
    log.agent("other", 1000, &[]);
    let parent = log.submit(1000, "parent", |_| {});
    let mut works = vec![parent];
    for n in 0..60_usize {
        let owner = if n % 3 == 0 { 1001 } else { 1000 };
        let work = log.submit(owner, &format!("work {n}"), |spec| {
            if n % 2 == 0 {
                spec.labels.insert("team".parse().unwrap(), "core".parse().unwrap());
            }
            spec.parent = (n % 5 == 0 && owner == 1000).then_some(parent.id);
            spec.required_skills = if n % 4 == 3 { vec!["fortran".parse().unwrap()] } else { Vec::new() };
        });
        works.push(work);
        if n % 4 == 1 {
            log.claim(work, if n % 8 == 1 { "fixer" } else { "other" }, 1);
        }
        if n % 8 == 1 {
            log.reject(work, "fixer", "1", Some(5));
            log.ready(work);
            log.claim(work, if n % 16 == 1 { "fixer" } else { "other" }, 2);
        }
    }
    (log, works)
}

#[test]
fn every_filter_finds_what_a_look_at_all_works_finds() {
    let (log, works) = mixture();
    let queues = parked_queues(&log.conn, &Defaults::default()).unwrap();
    let parked = |queue| queues.contains(&queue);
    let everything = pages(&log, &operator(), &WorkFilter::default(), &parked);
    assert_eq!(everything.len(), works.len());
    let of = |sql: &str| -> Vec<i64> {
        let mut statement = log.conn.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let labelled = of("SELECT work FROM labels WHERE label = 'team=core'");
    let children = of("SELECT key FROM works WHERE parent IS NOT NULL");
    let mut combinations = 0;
    for state in [None, Some("ready"), Some("parked"), Some("claimed"), Some("future"), Some("past")] {
        for agent in [None, Some("fixer"), Some("other")] {
            for (owner, label, parent) in [
                (None, false, false),
                (Some(1000), false, false),
                (Some(1001), true, false),
                (None, true, false),
                (None, false, true),
                (Some(1000), true, true),
            ] {
                let filter = WorkFilter {
                    state: state.map(str::to_owned),
                    agent: agent.map(|name| name.parse().unwrap()),
                    owner,
                    label: label.then(|| ("team".parse().unwrap(), "core".parse().unwrap())),
                    parent: parent.then_some(works[0].id),
                    ..WorkFilter::default()
                };
                let fits = |row: &&WorkRow| {
                    let key = works.iter().find(|work| work.id == row.id).unwrap().key;
                    let in_state = match state {
                        Some("future") => matches!(row.state.as_str(), "ready" | "parked" | "blocked" | "scheduled"),
                        Some("past") => false,
                        state => state.is_none_or(|state| state == row.state),
                    };
                    in_state
                        && agent.is_none_or(|name| row.agent.as_ref().is_some_and(|agent| agent.as_str() == name))
                        && owner.is_none_or(|owner| owner == row.owner)
                        && (!label || labelled.contains(&key))
                        && (!parent || children.contains(&key))
                };
                for viewer in [operator(), person(1000)] {
                    let mut expected: Vec<_> =
                        everything.iter().filter(fits).filter(|row| viewer.sees(row.owner)).collect();
                    let mut found = pages(&log, &viewer, &filter, &parked);
                    assert!(found.windows(2).all(|pair| pair[0].cursor > pair[1].cursor), "{filter:?}");
                    expected.sort_by_key(|row| row.id.to_string());
                    found.sort_by_key(|row| row.id.to_string());
                    let ids = |rows: &[&WorkRow]| rows.iter().map(|row| row.short.clone()).collect::<Vec<_>>();
                    assert_eq!(ids(&found.iter().collect::<Vec<_>>()), ids(&expected), "{filter:?} {viewer:?}");
                    combinations += usize::from(!expected.is_empty());
                }
            }
        }
    }
    assert!(combinations > 40, "only {combinations} filters find something");
}

#[test]
fn a_blocked_work_with_nothing_unmet_shows_as_scheduled() {
    let mut log = Log::new();
    log.submit(1000, "waits for its time", |spec| spec.state = WorkState::Blocked);
    let by = |state: &str| {
        let filter = WorkFilter { state: Some(state.to_owned()), ..WorkFilter::default() };
        titles(&pages(&log, &person(1000), &filter, &never)).len()
    };
    assert_eq!((by("scheduled"), by("blocked"), by("future")), (1, 0, 1));
}

#[test]
fn a_viewer_sees_a_list_of_nothing_but_its_own() {
    let (log, _) = mixture();
    let list_of = |viewer: &Viewer, filter: WorkFilter| pages(&log, viewer, &filter, &never);
    assert!(list_of(&person(1001), WorkFilter::default()).iter().all(|row| row.owner == 1001));
    assert!(list_of(&person(1001), WorkFilter { owner: Some(1000), ..WorkFilter::default() }).is_empty());
    assert!(list_of(&person(7), WorkFilter::default()).is_empty());
    let own = list_of(&agent("fixer"), WorkFilter::default());
    assert!(!own.is_empty() && own.iter().all(|row| row.agent.as_ref().unwrap().as_str() == "fixer"));
    let others = WorkFilter { agent: Some("other".parse().unwrap()), ..WorkFilter::default() };
    assert!(list_of(&agent("fixer"), others).is_empty());
}

#[test]
fn a_failure_is_told_by_the_first_line_of_what_was_said() {
    let mut log = Log::new();
    log.agent("fixer", 1000, &["rust"]);
    for (said, shown) in [
        (Some("\nno compiler\ntwo"), "no compiler".to_owned()),
        (None, "reported".to_owned()),
        (Some(&*"é".repeat(400)), "é".repeat(120) + "…"),
    ] {
        let work = log.submit(1000, "failed", |_| {});
        log.claim(work, "fixer", 1);
        log.report(work, "fixer", said);
        log.tell(Subject::Work(work.id), WorkFailed { reason: FailureReason::Reported });
        let page = list(&log.conn, &person(1000), &WorkFilter::default(), &never).unwrap();
        assert_eq!(page.works[0].reason, Some(shown));
    }
}

#[test]
fn erased_content_shows_as_redacted() {
    let mut log = Log::new();
    let work = log.submit(1000, "secret", |_| {});
    let redacted = ContentRedacted { event: work.key.unsigned_abs(), slot: 0, reason: "asked to".to_owned() };
    log.tell(Subject::Host, redacted);
    let page = list(&log.conn, &person(1000), &WorkFilter::default(), &never).unwrap();
    assert_eq!(titles(&page.works), ["(redacted)"]);
}

#[test]
fn a_title_is_read_from_large_content_too() {
    let mut log = Log::new();
    for title in ["plain", "quotes \" and \\ and \u{1}", &"é".repeat(100), &"\u{1}".repeat(200)] {
        let content = WorkContent {
            title: title.to_owned(),
            instructions: Some("x".repeat(900_000)),
            inputs: None,
            schemas: Vec::new(),
            checks: Vec::new(),
            workspace: None,
        };
        log.submit_with(1000, &content, |_| {});
        let page = list(&log.conn, &person(1000), &WorkFilter::default(), &never).unwrap();
        assert_eq!(page.works[0].title, title);
    }
}

#[test]
fn a_filter_that_means_nothing_is_refused_with_its_field() {
    let log = Log::new();
    let problem = |filter: WorkFilter| Problem::from(list(&log.conn, &operator(), &filter, &never).unwrap_err());
    for (filter, field) in [
        (WorkFilter { state: Some("Ready".to_owned()), ..WorkFilter::default() }, "state"),
        (WorkFilter { limit: Some(0), ..WorkFilter::default() }, "limit"),
        (WorkFilter { limit: Some(1001), ..WorkFilter::default() }, "limit"),
    ] {
        let problem = problem(filter);
        assert_eq!(problem.code, Code::InvalidDocument);
        assert!(problem.message.contains(field) && problem.hint.is_some(), "{problem:?}");
    }
    let parent = WorkFilter { parent: Some(super::id_of(5)), ..WorkFilter::default() };
    assert_eq!(problem(parent).code, Code::NotFound);
}
