use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::super::small::{Directory, Small, tamper};
use super::*;

fn pragma(connection: &Connection, name: &str) -> i64 {
    connection.pragma_query_value(None, name, |row| row.get(0)).unwrap()
}

fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap()
}

#[test]
fn a_new_ledger_is_private_durable_and_marked() {
    let directory = Directory::new();
    let path = directory.join("ledger.db");
    let db = open_writer(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let expected = [
        ("synchronous", 2),
        ("wal_autocheckpoint", 2048),
        ("user_version", newest()),
        ("page_size", 4096),
        ("cache_size", -16384),
    ];
    for (name, value) in expected {
        assert_eq!(pragma(&db, name), value, "{name}");
    }
    assert_eq!(pragma(&db, "application_id"), i64::from(APPLICATION_ID));
    let mode: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    drop(db);
    drop(open_writer(&path).unwrap());
}

#[test]
fn readers_see_commits_and_cannot_write() {
    let mut small = Small::new();
    let reader = open_reader(&small.path()).unwrap();
    small.denied();
    let events: i64 = reader.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
    assert_eq!(events, 2);
    assert!(reader.execute("DELETE FROM events", []).is_err());
}

#[test]
fn other_files_are_refused_by_name() {
    let directory = Directory::new();
    let text = directory.join("text");
    fs::write(&text, "not a database, but long enough to look at: ".repeat(40)).unwrap();
    let other = directory.join("other.db");
    tamper(&other, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    for path in [&text, &other] {
        for opened in [open_writer(path), open_reader(path), open_for_verify(path)] {
            assert!(matches!(opened, Err(OpenError::NotALedger { path: named }) if named == *path));
        }
    }
    assert!(matches!(open_reader(&directory.join("none")), Err(OpenError::Missing { .. })));
}

#[test]
fn a_newer_database_is_refused_with_both_versions() {
    let small = Small::new();
    tamper(&small.path(), "PRAGMA user_version = 700");
    for opened in [open_writer(&small.path()), open_reader(&small.path())] {
        let error = opened.unwrap_err();
        assert!(matches!(error, OpenError::Newer { found: 700, known, .. } if known == newest()), "{error}");
        assert!(
            error.to_string().contains("version 700") && error.to_string().contains(&format!("up to {}", newest())),
            "{error}"
        );
    }
}

#[test]
fn a_database_that_was_never_brought_up_to_date_is_not_read() {
    let directory = Directory::new();
    let path = directory.join("old.db");
    tamper(&path, "CREATE TABLE meta (key); PRAGMA application_id = 1634168436; PRAGMA user_version = 0");
    assert!(matches!(open_reader(&path), Err(OpenError::Older { found: 0, known, .. }) if known == newest()));
}

#[test]
fn a_database_of_the_first_version_keeps_what_it_has() {
    let directory = Directory::new();
    let path = directory.join("ledger.db");
    let mut first = MIGRATIONS[0].to_owned();
    first.push_str("INSERT INTO queues VALUES (3, 1000, '', '[\"rust\"]', 2, 5);");
    first.push_str("PRAGMA application_id = 1634168436; PRAGMA user_version = 1;");
    tamper(&path, &first);
    let db = open_writer(&path).unwrap();
    let sql = "SELECT owner, skills, started, ready, open FROM queues WHERE id = 3";
    let queue = db.query_row(sql, [], |row| {
        Ok((
            row.get::<_, u32>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, bool>(2)?,
            row.get::<_, u32>(3)?,
            row.get(4)?,
        ))
    });
    assert_eq!(queue.unwrap(), (1000, "[\"rust\"]".to_owned(), false, 2, 5_u32));
}

#[test]
fn a_ledger_at_rest_is_verified_where_nothing_can_be_written() {
    let small = Small::with_works(1);
    let path = small.path();
    let Small { directory, db, .. } = small;
    db.close().map_err(|(_, error)| error).unwrap();
    let copy = directory.join("copy.db");
    fs::copy(&path, &copy).unwrap();
    let immutable = connect_immutable(&copy).unwrap();
    let events: i64 = immutable.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
    assert_eq!(events, 9);
    assert!(!wal_of(&copy).exists());
}

#[test]
fn what_the_system_refuses_is_explained_with_the_path() {
    use rusqlite::ffi;
    let cases = [
        (ffi::SQLITE_FULL, "no room is left for ledger /var/x.db; free space"),
        (ffi::SQLITE_READONLY, "ledger /var/x.db cannot be written; make"),
        (ffi::SQLITE_CANTOPEN, "ledger /var/x.db cannot be opened: permission denied; check"),
        (ffi::SQLITE_BUSY, "ledger /var/x.db is being written by another process; stop"),
        (
            ffi::SQLITE_NOTADB,
            "/var/x.db is no agentd ledger, or one that is damaged; if it should be a ledger, keep a copy",
        ),
    ];
    for (code, says) in cases {
        let error = explain(Path::new("/var/x.db"), rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        assert!(error.to_string().starts_with(says), "{error}");
    }
}

#[test]
fn a_full_database_is_a_typed_error() {
    let mut small = Small::new();
    small.db.execute_batch("PRAGMA max_page_count = 1").unwrap();
    let tx = small.db.transaction().unwrap();
    let filled = tx.execute("INSERT INTO blobs (id, data) VALUES (1, zeroblob(10000000))", []);
    assert!(matches!(explain(Path::new("x"), filled.unwrap_err()), OpenError::Full { .. }));
}
