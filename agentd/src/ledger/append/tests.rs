use agentd_schemas::event::{AccessDenied, DaemonStopped};

use super::super::small::{Small, log_key, moment};
use super::*;
use crate::ledger::incarnation::{LogError, Opened};

const BOOT: &str = super::super::small::BOOT;

fn stopped(reason: &str) -> Draft {
    Draft::new(Subject::Host, DaemonStopped { reason: reason.to_owned() })
}

fn writing(caller: &Caller) -> Writing<'_> {
    Writing { caller, decided: None, request: None, moment: moment(9) }
}

fn refused(small: &Small) -> String {
    match Appender::open(&small.db, &log_key(), BOOT) {
        Err(error) => error.to_string(),
        Ok(_) => "opened".to_owned(),
    }
}

#[test]
fn a_log_goes_on_after_a_restart_at_every_size() {
    let mut small = Small::new();
    for size in 2..=600 {
        small.denied();
        assert_eq!(small.log.size(), size);
        if size % 37 == 0 || size % 256 < 2 {
            let root = small.log.frontier.root();
            small.reopen();
            assert_eq!((small.log.size(), small.log.frontier.root()), (size, root));
        }
    }
}

#[test]
fn versions_and_keys_follow_their_subject() {
    let small = Small::with_works(2);
    let sql = "SELECT idx, subject, version FROM events ORDER BY idx";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let rows: Vec<(u64, u64, u64)> =
        small.db.prepare(sql).unwrap().query_map([], read).unwrap().map(Result::unwrap).collect();
    let work = |key: u64| (0..5).map(move |n| (key + n, key, n + 1));
    let mut expected = vec![(0, 0, 1), (1, 1, 1), (2, 1, 2), (3, 1, 3)];
    expected.extend(work(4).chain(work(9)));
    assert_eq!(rows, expected);
}

#[test]
fn the_request_key_stands_on_the_first_event_and_counts_all() {
    let mut small = Small::new();
    let caller = Caller::person(7, true, false);
    let decided = Decided { rules: vec!["operator.manages_the_host".into()], set: "00".into() };
    let writing = Writing { decided: Some(&decided), request: Some(("key", "digest")), ..writing(&caller) };
    let drafts = vec![stopped("a"), stopped("b").by_host(), stopped("c")];
    let events = small.log.append(&small.db, drafts, &writing, &mut || [0; 32]).unwrap();
    let requests: Vec<_> = events.iter().map(|event| event.envelope.request.as_ref().map(|r| r.events)).collect();
    assert_eq!(requests, [Some(3), None, None]);
    let decided: Vec<_> = events.iter().filter_map(|event| event.envelope.decided.clone()).collect();
    let rules: Vec<_> = decided.iter().map(|decided| decided.rules[0].as_str()).collect();
    assert_eq!(rules, ["operator.manages_the_host", "host.acts_by_rule", "operator.manages_the_host"]);
    assert_eq!(decided[1].set, crate::policy::Set::built_in().digest());
    let assurances: Vec<_> = events.iter().map(|event| event.envelope.assurance).collect();
    assert_eq!(assurances, [Assurance::Session, Assurance::Internal, Assurance::Session]);
    let stored: (String, u64, u64) = small
        .db
        .query_row("SELECT actor, first, events FROM requests", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    assert_eq!(stored, ("uid:7".to_owned(), 1, 3));
}

#[test]
fn a_command_rolled_back_leaves_no_trace_in_the_tree() {
    let mut small = Small::with_works(1);
    let before = small.log.frontier.clone();
    let caller = Caller::host();
    let mark = small.log.mark();
    let tx = small.db.transaction().unwrap();
    small.log.append(&tx, vec![stopped("a"), stopped("b")], &writing(&caller), &mut || [0; 32]).unwrap();
    tx.rollback().unwrap();
    small.log.rollback(mark);
    assert_eq!(small.log.frontier, before);
    small.denied();
    small.reopen();
}

#[test]
fn a_refused_event_leaves_nothing_and_the_appender_where_it_stood() {
    let mut small = Small::new();
    let caller = Caller::host();
    let long = "x".repeat(MAX_EVENT_BYTES);
    let twice = stopped("a").with_blob(3, "text/plain", "a").with_blob(3, "text/plain", "b");
    let beyond = stopped("a").with_blob(16, "text/plain", "a");
    for (draft, says) in [(stopped(&long), "event 2 cannot be written"), (twice, "slot 3"), (beyond, "slot 16")] {
        let tx = small.db.transaction().unwrap();
        let error =
            small.log.append(&tx, vec![stopped("first"), draft], &writing(&caller), &mut || [0; 32]).unwrap_err();
        let written: i64 = tx.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
        tx.rollback().unwrap();
        assert_eq!(written, 1, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(small.log.size(), 1);
    }
    small.denied();
    small.reopen();
}

#[test]
fn blobs_are_salted_and_committed_to() {
    let mut small = Small::with_works(1);
    let work = 4;
    let stored = blobs::read(&small.db, work, 0).unwrap().unwrap();
    let blobs::Stored::Content { salt, data } = stored else { panic!("erased") };
    let body: String = small.db.query_row("SELECT body FROM events WHERE idx = 4", [], |row| row.get(0)).unwrap();
    let event = Event::from_bytes(body.as_bytes()).unwrap();
    assert!(event.envelope.blobs[0].commitment.check(&salt, &data));
    assert_eq!(event.envelope.blobs[0].size, data.len() as u64);
    small.redact(work, 0);
    assert_eq!(blobs::read(&small.db, work, 0).unwrap(), Some(blobs::Stored::Erased));
    assert_eq!(blobs::read(&small.db, work, 1).unwrap(), None);
}

#[test]
fn the_last_checkpoint_of_each_minute_is_kept() {
    let mut small = Small::new();
    for _ in 0..130 {
        small.denied();
    }
    let kept = |small: &Small| -> Vec<u64> {
        let mut statement = small.db.prepare("SELECT size FROM checkpoints ORDER BY size").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    // Event n is written at second n and signed with it: minutes end with the events 59 and 119.
    assert_eq!(kept(&small), [60, 120]);
    checkpoint::keep(&small.db).unwrap();
    assert_eq!(kept(&small), [60, 120, 131]);
}

#[test]
fn damage_at_the_end_of_the_log_is_named_when_it_is_opened() {
    let cases = [
        ("DELETE FROM events WHERE idx = (SELECT max(idx) FROM events)", "the head covers 301 events"),
        ("UPDATE events SET body = replace(body, 'no_rule', 'no_role') WHERE idx = 280", "event 280: its bytes"),
        ("UPDATE events SET leaf = zeroblob(32) WHERE idx = 299", "event 299: its bytes"),
        ("UPDATE nodes SET hash = zeroblob(32)", "root"),
        ("DELETE FROM nodes", "node 0 of level 8 is missing"),
        ("DELETE FROM head", "the head is missing"),
        ("UPDATE head SET size = 300", "the head covers 300 events"),
        ("UPDATE head SET note = replace(note, '301', '300')", "the head: signature"),
        ("UPDATE meta SET value = '1' WHERE key = 'started'", "event 1 began no incarnation"),
        ("DELETE FROM meta WHERE key = 'started'", "the beginning of the incarnation is missing"),
    ];
    let mut small = Small::new();
    for _ in 0..300 {
        small.denied();
    }
    for (sql, says) in cases {
        small.db.execute_batch("BEGIN").unwrap();
        small.db.execute_batch(sql).unwrap();
        let error = refused(&small);
        assert!(error.contains(says) && error.contains("damaged"), "{sql}: {error}");
        small.db.execute_batch("ROLLBACK").unwrap();
    }
    assert_eq!(refused(&small), "opened");
}

#[test]
fn another_log_key_is_refused_by_name() {
    let small = Small::new();
    let other = SigningKey::from_bytes(&[9; 32]);
    let opened = Appender::open(&small.db, &other, BOOT);
    assert!(matches!(opened, Err(LogError::OtherKey { origin, .. }) if origin == "h-0.agentd.internal/log/1"));
}

#[test]
fn an_empty_database_is_no_log_yet() {
    let directory = super::super::small::Directory::new();
    let db = super::super::open::open_writer(&directory.join("ledger.db")).unwrap();
    assert!(matches!(Appender::open(&db, &log_key(), BOOT), Ok(Opened::Empty)));
}

#[test]
fn an_event_that_the_tables_refuse_is_named() {
    let mut small = Small::new();
    let caller = Caller::host();
    let data = AccessDenied { action: "a".into(), resource: "r".into(), rule: "no_rule".into() };
    let draft = Draft::new(Subject::Agent("nobody".parse().unwrap()), data);
    let error = small.log.append(&small.db, vec![draft], &writing(&caller), &mut || [0; 32]).unwrap_err();
    assert!(error.to_string().starts_with("event 1 (AccessDenied) cannot be projected"), "{error}");
}
