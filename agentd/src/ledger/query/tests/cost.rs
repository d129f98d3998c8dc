//! What queries cost, in steps of the database's machine: the same in a large ledger as in a small one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use agentd_schemas::document::request::{EventFilter, WorkFilter};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::view::Denials;

use super::{Log, at, never, operator, person, unknown};
use crate::domain::Defaults;
use crate::ledger::query::host::{Running, status};
use crate::ledger::query::ledger::events;
use crate::ledger::query::works::{list, show};

/// A query by its name.
type Query<'a> = (&'a str, Box<dyn Fn(&Log) + 'a>);

/// Works of the large ledger that are ready; as many again of another owner are completed.
const MANY: i64 = 60_000;

/// One work told by events, and many copies of it.
fn large(copies: i64) -> Log {
    let mut log = Log::new();
    let work = log.submit(1000, "work", |_| {});
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 999 + ?1)";
    for (state, owner, offset) in [(2, 1000, 0), (7, 1001, copies)] {
        let works = format!(
            "{rows} INSERT INTO works (key, id, version, state, owner, queue, priority, latest_start, max_attempts,
                changed, changed_by)
             SELECT i + {offset}, CAST(printf('%010d', (i + {offset}) * 7919 % 1000003) AS BLOB), 1, {state}, {owner},
                {}, 0, 0, 2, 0, 0 FROM n",
            work.key
        );
        let events = format!(
            "{rows} INSERT INTO events (idx, subject, version, body, leaf)
             SELECT i + {offset}, i + {offset}, 1, (SELECT body FROM events WHERE idx = {}), zeroblob(32) FROM n",
            work.key
        );
        let counts = "INSERT INTO counts (owner, state, n) VALUES (?1, ?2, ?3)
                      ON CONFLICT (owner, state) DO UPDATE SET n = n + excluded.n";
        log.conn.execute(&works, [copies]).unwrap();
        log.conn.execute(&events, [copies]).unwrap();
        log.conn.execute(counts, (owner, state, copies)).unwrap();
    }
    log.conn.execute("UPDATE queues SET ready = ready + ?1", [copies]).unwrap();
    log
}

/// Steps that the database takes, in tens.
fn steps(log: &mut Log, query: impl Fn(&Log)) -> u64 {
    query(log);
    let counter = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&counter);
    let count = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    log.conn.progress_handler(10, Some(count)).unwrap();
    query(log);
    log.conn.progress_handler(0, None::<fn() -> bool>).unwrap();
    counter.load(Ordering::Relaxed)
}

fn running() -> Running {
    Running {
        version: String::new(),
        since: at(0),
        now: at(0),
        mode: String::new(),
        critical: Vec::new(),
        warnings: Vec::new(),
        memory_bytes: 0,
        database_bytes: 0,
        disk_free_percent: 0,
        denials: Denials::default(),
        reads: agentd_schemas::view::Reads::default(),
        runs: agentd_schemas::view::RunsView::default(),
    }
}

#[test]
fn the_size_of_the_ledger_does_not_make_queries_dearer() {
    let (mut small, mut large) = (large(200), large(MANY));
    let filter =
        |state: Option<&str>, owner| WorkFilter { state: state.map(str::to_owned), owner, ..WorkFilter::default() };
    let show_first = |log: &Log, viewer| {
        let id = super::id_of(1).to_string();
        show(&log.conn, &viewer, &id, &never, &unknown).unwrap();
    };
    let queries: Vec<Query<'_>> = vec![
        ("newest", Box::new(|log| drop(list(&log.conn, &operator(), &filter(None, None), &never).unwrap()))),
        ("own", Box::new(|log| drop(list(&log.conn, &person(1000), &filter(None, None), &never).unwrap()))),
        ("ready", Box::new(|log| drop(list(&log.conn, &operator(), &filter(Some("ready"), None), &never).unwrap()))),
        ("failed", Box::new(|log| drop(list(&log.conn, &operator(), &filter(Some("failed"), None), &never).unwrap()))),
        ("past", Box::new(|log| drop(list(&log.conn, &person(1001), &filter(Some("past"), None), &never).unwrap()))),
        ("show", Box::new(move |log| show_first(log, operator()))),
        ("show own", Box::new(move |log| show_first(log, person(1000)))),
        (
            "status",
            Box::new(|log| {
                drop(status(&log.conn, &operator(), "2026-11-22", &never, running(), &Defaults::default()).unwrap());
            }),
        ),
        (
            "own status",
            Box::new(|log| {
                drop(status(&log.conn, &person(1000), "2026-11-22", &never, running(), &Defaults::default()).unwrap());
            }),
        ),
        (
            "newest events",
            Box::new(|log| {
                let filter = EventFilter { newest_first: true, ..EventFilter::default() };
                drop(events(&log.conn, &operator(), &filter).unwrap());
            }),
        ),
    ];
    for (name, query) in queries {
        let (few, many) = (steps(&mut small, &query), steps(&mut large, &query));
        assert!(many <= few + few / 4 + 20, "{name}: {many}0 steps in a large ledger, {few}0 in a small one");
        assert!(many < 1000, "{name}: {many}0 steps");
    }
}

#[test]
fn a_search_in_vain_ends_and_says_where_to_go_on() {
    let log = large(MANY);
    log.conn.execute("UPDATE works SET owner = 1001 WHERE key = 1", []).unwrap();
    log.conn.execute("INSERT INTO counts VALUES (1001, 2, 1)", []).unwrap();
    let mut filter = WorkFilter { state: Some("ready".to_owned()), owner: Some(1001), ..WorkFilter::default() };
    let problem = Problem::from(list(&log.conn, &operator(), &filter, &never).unwrap_err());
    assert_eq!(problem.code, Code::OutOfBounds);
    filter.before = problem.details["before"].as_u64();
    let page = list(&log.conn, &operator(), &filter, &never).unwrap();
    assert_eq!((page.works.len(), page.more), (1, false));
}
