use super::*;
use crate::ledger::small::Small;
use crate::ledger::verify::deep::verify_deep;

#[test]
fn damaged_tables_are_as_before_after_a_rebuild() {
    let mut small = Small::with_works(2);
    small.redact(4, 0);
    let damage = "DELETE FROM works; UPDATE agents SET live = 7; DELETE FROM meta WHERE key = 'origin';
                  INSERT INTO counts VALUES (1, 1, 1); DELETE FROM subjects";
    small.db.execute_batch(damage).unwrap();
    verify_deep(&small.path(), &[], 1, &|_| {}).unwrap_err();
    let seen = std::cell::Cell::new(0);
    assert_eq!(rebuild(&mut small.db, &|more| seen.set(seen.get() + more)).unwrap(), 15);
    assert_eq!(seen.get(), 15);
    verify_deep(&small.path(), &[], 1, &|_| {}).unwrap();
    small.reopen();
    small.work();
    verify_deep(&small.path(), &[], 1, &|_| {}).unwrap();
}

#[test]
fn a_log_that_is_damaged_is_not_rebuilt_from() {
    let cases = [
        ("UPDATE events SET body = replace(body, 'uid:1000', 'uid:1001') WHERE idx = 4", "event 4: its bytes do not"),
        ("DELETE FROM events WHERE idx = 5", "event 5: it is missing"),
    ];
    for (sql, says) in cases {
        let mut small = Small::with_works(1);
        small.db.execute_batch(sql).unwrap();
        let error = rebuild(&mut small.db, &|_| {}).unwrap_err();
        assert!(error.to_string().starts_with(says), "{error}");
        let works: i64 = small.db.query_row("SELECT count(*) FROM works", [], |row| row.get(0)).unwrap();
        assert_eq!(works, 1);
    }
}

#[test]
fn the_schema_of_a_ledger_is_that_of_its_migrations() {
    let small = Small::new();
    let made = schema_made().unwrap();
    assert_eq!(schema(&small.db).unwrap(), made);
    assert!(made.iter().any(|made| made.name == "works" && made.is_projection()));
    assert!(made.iter().all(|made| made.name != "events" || !made.is_projection()));
}
