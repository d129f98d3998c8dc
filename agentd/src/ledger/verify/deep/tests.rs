use super::*;
use crate::ledger::checkpoint;
use crate::ledger::small::{Small, tamper};

mod custody;

fn check(path: &Path) -> Result<DeepReport, VerifyError> {
    verify_deep(path, &[], 2, &|_| {})
}

/// What verification says of a copy that `sql` was done to.
fn says(small: &Small, sql: &str) -> String {
    let copy = small.directory.join("copy.db");
    drop(std::fs::remove_file(&copy));
    small.db.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    tamper(&copy, sql);
    check(&copy).map_or_else(|error| error.to_string(), |_| "it holds".to_owned())
}

#[test]
fn a_good_ledger_holds_in_depth_while_it_is_in_use() {
    let mut small = Small::with_works(3);
    small.redact(4, 0);
    small.denied();
    let deep = check(&small.path()).unwrap();
    assert_eq!(deep.report.size, 21);
    assert_eq!((deep.blobs, deep.erased, deep.statements), (11, 1, 3));
    assert_eq!((deep.possessions, &deep.custody), (1, &BTreeMap::from([("resident".to_owned(), 1)])));
    assert!(deep.rows > 10, "{}", deep.rows);
    assert_eq!(checkpoint::head(&small.db).unwrap().unwrap().size, 21);
}

#[test]
fn a_table_that_no_event_made_is_named_with_row_and_event() {
    let small = Small::with_works(2);
    let cases = [
        ("UPDATE works SET spent = 5 WHERE key = 9", "table works, row key 9 (event 9): spent is 5, the events give 0"),
        ("UPDATE works SET state = 8 WHERE key = 4", "table works, row key 4 (event 4): state is 8, the events give 7"),
        ("DELETE FROM runs WHERE key = 5", "table runs, row key 5 (event 5): it is missing"),
        (
            "INSERT INTO frozen VALUES ('\"host\"', 3)",
            "table frozen, row scope \\\"host\\\" (event 3): no event makes it",
        ),
        ("INSERT INTO outbox VALUES (9, 'cascade', 9)", "table outbox, row effect 9 (event 9): no event makes it"),
        ("UPDATE agents SET completed = 3", "table agents, row key 1 (event 1): completed is 3, the events give 2"),
        ("UPDATE agent_keys SET valid_until = 3", "table agent_keys, row public_key ssh-ed25519"),
        ("UPDATE counts SET n = n + 1", "table counts, row owner 1000, state"),
        ("UPDATE subjects SET version = 9", "table subjects, row key 0 (event 0): version is 9, the events give 1"),
        ("UPDATE meta SET value = 'x' WHERE key = 'origin'", "table meta, row key origin: value is x"),
        ("INSERT INTO requests VALUES ('uid:1', 'k', 'd', 4, 1)", "table requests, row actor uid:1, key k"),
        ("DELETE FROM notes", "table notes, row work 4, idx 7 (event 7): it is missing"),
    ];
    for (sql, expected) in cases {
        let told = says(&small, sql);
        assert!(told.starts_with(expected), "{sql}: {told}");
    }
}

#[test]
fn the_kept_checkpoint_of_each_minute_must_be_there() {
    let mut small = Small::with_works(1);
    while small.log.size() < 130 {
        small.denied();
    }
    check(&small.path()).unwrap();
    let missing = "the kept checkpoint of 60 events: it is missing";
    for sql in ["DELETE FROM checkpoints", "DELETE FROM checkpoints WHERE size = 60"] {
        assert_eq!(says(&small, sql), missing, "{sql}");
    }
    // One that was given out within a minute is in no event: nothing in the file can say that it is gone.
    let mut given = small;
    checkpoint::keep(&given.db).unwrap();
    given.denied();
    assert_eq!(says(&given, "DELETE FROM checkpoints WHERE size = 130"), "it holds");
}

#[test]
fn content_is_held_against_its_commitment() {
    let small = {
        let mut small = Small::with_works(1);
        small.redact(7, 0);
        small
    };
    let cases = [
        ("UPDATE blobs SET data = x'00' WHERE id = 64", "event 4, blob 0: salt and content are not"),
        ("UPDATE blobs SET salt = zeroblob(32) WHERE id = 64", "event 4, blob 0: salt and content are not"),
        ("UPDATE blobs SET salt = NULL WHERE id = 64", "event 4, blob 0: salt and content are not"),
        (
            "UPDATE blobs SET salt = NULL, data = NULL WHERE id = 64",
            "event 4, blob 0: it was erased, and no event says so",
        ),
        (
            "UPDATE blobs SET salt = zeroblob(32), data = x'00' WHERE id = 112",
            "event 7, blob 0: salt and content are not",
        ),
        ("DELETE FROM blobs WHERE id = 64", "event 4, blob 0: it is missing"),
        ("DELETE FROM blobs WHERE id = 129", "event 8, blob 1: it is missing"),
        ("UPDATE blobs SET id = 130 WHERE id = 129", "event 8, blob 1: it is missing"),
        ("INSERT INTO blobs VALUES (3, NULL, NULL)", "event 0, blob 3: no event commits to it"),
        ("INSERT INTO blobs VALUES (130, NULL, NULL)", "event 8, blob 2: no event commits to it"),
        ("INSERT INTO blobs VALUES (1000, NULL, NULL)", "event 62, blob 8: no event commits to it"),
        ("INSERT INTO blobs VALUES (-1, NULL, NULL)", "event 0, blob 0: no event commits to it"),
    ];
    for (sql, expected) in cases {
        let told = says(&small, sql);
        assert!(told.starts_with(expected), "{sql}: {told}");
    }
}

#[test]
fn content_that_an_event_says_was_erased_must_be_gone() {
    let mut small = Small::with_works(1);
    let sql = "SELECT salt, data FROM blobs WHERE id = 64";
    let (salt, data): (Vec<u8>, Vec<u8>) = small.db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    small.redact(4, 0);
    check(&small.path()).unwrap();
    small.db.execute("UPDATE blobs SET salt = ?1, data = ?2 WHERE id = 64", (salt, data)).unwrap();
    let error = check(&small.path()).unwrap_err();
    assert_eq!(error.to_string(), "event 4, blob 0: an event says that it was erased, and it is still here");
}

#[test]
fn a_statement_of_another_key_or_another_run_is_named() {
    use crate::ledger::small::Signed;
    let cases = [
        (Signed { key: 9, ..Signed::default() }, "event 8: its signed statement: envelope is signed by key"),
        (
            Signed { fence: Some(4), ..Signed::default() },
            "event 8: its signed statement: statement field `predicate.fence",
        ),
        (
            Signed { agent: "spiffe://h-0.agentd.internal/agent/other", ..Signed::default() },
            "event 8: its signed statement: statement field `predicate.agent",
        ),
        (
            Signed { result: [7; 32], ..Signed::default() },
            "event 8: its signed statement: statement field `subject[result].digest",
        ),
        (Signed { handed_in: false, ..Signed::default() }, "event 8: its signed statement: it is missing"),
    ];
    for (signed, expected) in cases {
        let mut small = Small::with_works(0);
        small.work_signed(&signed);
        let told = check(&small.path()).unwrap_err().to_string();
        assert!(told.starts_with(expected), "{told}");
    }
}

#[test]
fn a_key_that_nobody_showed_to_hold_is_named() {
    let mut small = Small::with_works(0);
    small.rotate("bm8=");
    assert!(check(&small.path()).unwrap_err().to_string().starts_with("event 4: its proof of possession: "));
}

#[test]
fn whatever_agentd_did_not_make_is_named() {
    let small = Small::with_works(1);
    let cases = [
        ("CREATE TRIGGER t AFTER INSERT ON works BEGIN DELETE FROM works; END", "trigger t in the database"),
        ("CREATE VIEW v AS SELECT 1", "view v in the database"),
        ("CREATE TABLE extra (x)", "table extra in the database"),
        ("DROP INDEX works_state", "index works_state in the database"),
    ];
    for (sql, expected) in cases {
        let told = says(&small, sql);
        assert!(told.starts_with(expected), "{sql}: {told}");
    }
}

#[test]
fn an_index_that_lost_a_row_is_found() {
    let small = Small::with_works(1);
    let sql = "PRAGMA writable_schema = ON;
               UPDATE sqlite_schema SET sql = replace(sql, '(owner, key)', '(owner, key) WHERE owner = 7')
                   WHERE name = 'works_owner';
               PRAGMA writable_schema = RESET;
               REINDEX works_owner;
               PRAGMA writable_schema = ON;
               UPDATE sqlite_schema SET sql = replace(sql, ' WHERE owner = 7', '') WHERE name = 'works_owner'";
    let told = says(&small, sql);
    assert!(told.starts_with("the database file is damaged"), "{told}");
}
