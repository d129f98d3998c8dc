use agentd_schemas::log::note::VerifierKey;
use rusqlite::params;

use super::*;
use crate::ledger::append::Appender;
use crate::ledger::small::{BOOT, Small, host_keys_for, log_key, moment, tamper};

fn check(path: &Path, given: &[SignedNote]) -> Result<Report, VerifyError> {
    verify(path, given, 2, &|_| {})
}

/// What verification says of a copy that `sql` was done to.
fn says(small: &Small, sql: &str) -> String {
    let copy = small.directory.join("copy.db");
    drop(std::fs::remove_file(&copy));
    small.db.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    tamper(&copy, sql);
    match check(&copy, &[]) {
        Ok(_) => "it holds".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn head(small: &Small) -> SignedNote {
    SignedNote::parse(&checkpoint::head(&small.db).unwrap().unwrap().note).unwrap()
}

/// 620 events: two whole blocks and a part of a third, checkpoints at each minute.
fn long() -> Small {
    let mut small = Small::with_works(3);
    while small.log.size() < 620 {
        small.denied();
    }
    small
}

#[test]
fn a_good_ledger_holds_while_it_is_in_use() {
    let mut small = long();
    let early = head(&small);
    small.work();
    let seen = std::sync::atomic::AtomicU64::new(0);
    let report = verify(&small.path(), &[early, head(&small)], 2, &|more| {
        seen.fetch_add(more, std::sync::atomic::Ordering::Relaxed);
    })
    .unwrap();
    assert_eq!((report.size, report.root), (625, small.log.frontier.root()));
    assert_eq!((report.subjects, report.kept, report.given), (6, 10, 2));
    assert_eq!(seen.into_inner(), 625);
    let key = VerifierKey::new(small.log.origin(), log_key().verifying_key()).unwrap();
    assert_eq!(report.incarnations[0].log_key, key);
    assert_eq!(report.head, Some(head(&small)));
}

#[test]
fn an_empty_ledger_holds() {
    let directory = crate::ledger::small::Directory::new();
    let path = directory.join("ledger.db");
    drop(open::open_writer(&path).unwrap());
    let report = check(&path, &[]).unwrap();
    assert_eq!((report.size, report.root), (0, agentd_schemas::log::tree::empty_root()));
}

#[test]
fn every_flipped_byte_of_an_event_names_the_event() {
    let small = Small::with_works(1);
    let path = small.path();
    let db = &small.db;
    db.execute_batch("PRAGMA synchronous = OFF").unwrap();
    let hasher = RandomState::new();
    let scan = Scan { path: &path, sizes: &[], hasher: &hasher, progress: &|_| {} };
    let put = |index: u64, column: &str, bytes: &[u8]| {
        let cast = if column == "body" { "CAST(?2 AS TEXT)" } else { "?2" };
        db.execute(&format!("UPDATE events SET {column} = {cast} WHERE idx = ?1"), params![index, bytes]).unwrap();
    };
    for index in 0..small.log.size() {
        for column in ["body", "leaf"] {
            let sql = format!("SELECT CAST({column} AS BLOB) FROM events WHERE idx = ?1");
            let good: Vec<u8> = db.query_row(&sql, [index], |row| row.get(0)).unwrap();
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 1 << (at % 8);
                put(index, column, &bad);
                let Err(error) = scan.run(9, 1) else { panic!("byte {at} of {column} of event {index}") };
                let named =
                    matches!(error, VerifyError::Event { index: named, fault: EventFault::Leaf } if named == index);
                assert!(named, "byte {at} of {column} of event {index}: {error}");
            }
            put(index, column, &good);
        }
    }
    check(&path, &[]).unwrap();
}

#[test]
fn every_flipped_byte_of_a_node_names_the_node() {
    let small = long();
    let db = &small.db;
    let nodes = [(8, 0, "events 0 to 255"), (8, 1, "events 256 to 511"), (9, 0, "events 0 to 511")];
    for (level, index, says) in nodes {
        let place = params![level, index];
        let sql = "SELECT hash FROM nodes WHERE level = ?1 AND idx = ?2";
        let good: [u8; 32] = db.query_row(sql, place, |row| row.get(0)).unwrap();
        for at in 0..32 {
            let mut bad = good;
            bad[at] ^= 0x10;
            let put = "UPDATE nodes SET hash = ?3 WHERE level = ?1 AND idx = ?2";
            db.execute(put, params![level, index, bad]).unwrap();
            let error = check(&small.path(), &[]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("node {index} of level {level}, over the {says}")), "{error}");
            db.execute(put, params![level, index, good]).unwrap();
        }
    }
    check(&small.path(), &[]).unwrap();
}

#[test]
fn every_flipped_byte_of_a_signed_note_is_found() {
    let small = Small::with_works(1);
    let db = &small.db;
    checkpoint::keep(db).unwrap();
    for table in ["head", "checkpoints"] {
        let good: String = db.query_row(&format!("SELECT note FROM {table}"), [], |row| row.get(0)).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[at] ^= 1;
            db.execute(&format!("UPDATE {table} SET note = CAST(?1 AS TEXT)"), [bad]).unwrap();
            assert!(check(&small.path(), &[]).is_err(), "byte {at} of the note in {table}");
        }
        db.execute(&format!("UPDATE {table} SET note = ?1"), [good]).unwrap();
    }
    check(&small.path(), &[]).unwrap();
}

#[test]
fn what_was_done_to_the_tables_of_the_log_is_told() {
    let small = long();
    let cases = [
        ("DELETE FROM events WHERE idx = 300", "event 300: it is missing"),
        ("DELETE FROM events WHERE idx >= 615", "event 615: it is missing"),
        (
            "UPDATE events SET idx = -1 WHERE idx = 40; UPDATE events SET idx = 40 WHERE idx = 41;
             UPDATE events SET idx = 41 WHERE idx = -1",
            "event 40: its bytes say that it is event 41",
        ),
        (
            "CREATE TEMP TABLE t AS SELECT * FROM events WHERE idx IN (40, 41);
             UPDATE events SET body = (SELECT body FROM t WHERE t.idx = 81 - events.idx) WHERE idx IN (40, 41)",
            "event 40: its bytes do not give its leaf hash",
        ),
        ("UPDATE events SET subject = 3 WHERE idx = 1", "event 1: column subject says 3, its bytes say 1"),
        ("UPDATE events SET subject = 5 WHERE idx = 10", "event 10: column subject says 5, its bytes say 9"),
        ("UPDATE events SET version = 99 WHERE idx = 10", "event 10: column version says 99, its bytes say 2"),
        (
            "INSERT INTO events SELECT idx + 1, subject, version + 1, leaf, body FROM events WHERE idx = 619",
            "event 620: no checkpoint covers it",
        ),
        ("DELETE FROM nodes WHERE level = 9", "node 0 of level 9, over the events 0 to 511: it is missing"),
        ("DELETE FROM nodes WHERE idx = 0", "node 0 of level 8, over the events 0 to 255: it is missing"),
        ("INSERT INTO nodes VALUES (8, 2, zeroblob(32))", "node 0 of level 9, over the events 0 to 511: a node stands"),
        (
            "INSERT INTO nodes VALUES (10, 0, zeroblob(32))",
            "node 0 of level 10, over the events 0 to 619: no event makes it",
        ),
        ("DELETE FROM head", "the head: it is missing"),
        ("UPDATE head SET size = 619", "event 619: no checkpoint covers it"),
        ("UPDATE head SET size = 621", "event 620: it is missing"),
        (
            "UPDATE head SET size = c.size, note = c.note, boot_ms = json_extract(body, '$.boot_ms'),
                 wall_ms = CAST(round(unixepoch(json_extract(body, '$.time'), 'subsec') * 1000) AS INTEGER)
             FROM checkpoints AS c, events WHERE c.size = 600 AND idx = 599;
             DELETE FROM events WHERE idx >= 600",
            "it holds",
        ),
        (
            "UPDATE checkpoints SET size = 599 WHERE size = 600",
            "the kept checkpoint of 599 events: its row says 599 events, its note 600",
        ),
        (
            "INSERT INTO checkpoints SELECT 700, note FROM checkpoints WHERE size = 600",
            "the kept checkpoint of 700 events: its row",
        ),
        ("UPDATE meta SET value = '3' WHERE key = 'started'", "table meta, row started"),
        ("DELETE FROM meta WHERE key = 'started'", "table meta, row started (event 0)"),
        ("UPDATE meta SET value = '0000' WHERE key = 'started'", "table meta, row started (event 0)"),
        (
            "UPDATE meta SET value = 'x' WHERE key = 'request_key'",
            "table meta, row request_key (event 0): it is not the secret that the event announced",
        ),
        ("DELETE FROM meta WHERE key = 'request_key'", "table meta, row request_key (event 0)"),
        (
            "INSERT INTO meta VALUES ('restored', '{\"incarnation\":1,\"reason\":\"r\"}')",
            "table meta, row restored (event 0): it waits for incarnation 1, and 1 has begun",
        ),
        ("INSERT INTO meta VALUES ('restored', 'x')", "table meta, row restored (event 0): the ledger is damaged"),
    ];
    for (sql, expected) in cases {
        let told = says(&small, sql);
        assert!(told.starts_with(expected), "{sql}: {told}");
    }
}

#[test]
fn the_mark_of_a_restore_is_told() {
    let small = Small::with_works(1);
    assert_eq!(check(&small.path(), &[]).unwrap().awaited, None);
    let mark = r#"{"incarnation":77,"reason":"planted"}"#;
    small.db.execute("INSERT INTO meta VALUES ('restored', ?1)", [mark]).unwrap();
    assert_eq!(check(&small.path(), &[]).unwrap().awaited, Some((77, "planted".to_owned())));
}

#[test]
fn host_keys_that_the_authority_did_not_certify_are_named() {
    let directory = crate::ledger::small::Directory::new();
    let path = directory.join("ledger.db");
    let mut db = open::open_writer(&path).unwrap();
    let keys = host_keys_for(&ed25519_dalek::SigningKey::from_bytes(&[9; 32]));
    let tx = db.transaction().unwrap();
    Appender::start(&tx, "h-0.agentd.internal", keys, &log_key(), BOOT, moment(0)).unwrap();
    tx.commit().unwrap();
    let error = check(&path, &[]).unwrap_err().to_string();
    assert!(error.starts_with("event 0: ") && error.contains("the certificate of the log key was not"), "{error}");
}

#[test]
fn a_ledger_cut_back_shows_against_a_checkpoint_from_outside() {
    let mut small = long();
    let copy = small.directory.join("copy.db");
    small.db.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    small.work();
    let outside = head(&small);
    check(&small.path(), std::slice::from_ref(&outside)).unwrap();
    check(&copy, &[]).unwrap();
    let error = check(&copy, &[outside]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the given checkpoint 1: it covers 625 events, the log has 620: events are missing, or this is an older copy"
    );
}

#[test]
fn a_log_written_anew_with_the_same_key_shows_against_a_checkpoint_from_outside() {
    let mut one = Small::new();
    let mut other = Small::new();
    for _ in 0..20 {
        one.denied();
    }
    let outside = head(&one);
    other.enrol();
    while other.log.size() < 30 {
        other.denied();
    }
    check(&other.path(), &[]).unwrap();
    let error = check(&other.path(), &[outside]).unwrap_err();
    assert!(matches!(error, VerifyError::Given { place: 1, fault: CheckpointFault::Root { size: 21, .. } }), "{error}");
}

#[test]
fn checkpoints_of_other_logs_and_other_keys_are_refused() {
    let small = Small::with_works(1);
    let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let root = small.log.frontier.root();
    let sign = |origin: &str| Checkpoint { origin: origin.to_owned(), size: 9, root }.sign(&key).unwrap();
    let error = check(&small.path(), &[head(&small), sign("elsewhere")]).unwrap_err();
    assert_eq!(error.to_string(), "the given checkpoint 2: it is of elsewhere, which this log never was");
    let error = check(&small.path(), &[sign(small.log.origin())]).unwrap_err();
    assert!(matches!(error, VerifyError::Given { place: 1, fault: CheckpointFault::Note(_) }), "{error}");
}

/// Gives event 40 other bytes and the leaf hash that fits them.
fn forge(db: &Connection) {
    let body: String = db.query_row("SELECT body FROM events WHERE idx = 40", [], |row| row.get(0)).unwrap();
    let body = body.replace("no_rule", "no_role");
    let leaf = agentd_schemas::log::tree::leaf_hash(body.as_bytes());
    db.execute("UPDATE events SET body = ?1, leaf = ?2 WHERE idx = 40", params![body, leaf.0]).unwrap();
}

#[test]
fn an_event_forged_with_its_leaf_hash_is_narrowed_down() {
    let small = long();
    forge(&small.db);
    let error = check(&small.path(), &[]).unwrap_err();
    // Node 0 of level 8 has the block, the checkpoint of the first minute the minute.
    assert!(matches!(error, VerifyError::Events { first: 0, last: 59, .. }), "{error}");
    small.db.execute("DELETE FROM checkpoints", []).unwrap();
    let error = check(&small.path(), &[]).unwrap_err();
    assert!(matches!(error, VerifyError::Events { first: 0, last: 255, .. }), "{error}");
}

#[test]
fn threads_join_at_the_same_root() {
    let small = long();
    let sizes: Vec<u64> = (0..=620).collect();
    let hasher = RandomState::new();
    let path = small.path();
    let scan = Scan { path: &path, sizes: &sizes, hasher: &hasher, progress: &|_| {} };
    let part = scan.run(620, 1).unwrap();
    let mut frontier = agentd_schemas::log::tree::Frontier::new();
    let mut roots = Roots::new(&part);
    let mut leaves = small.db.prepare("SELECT leaf FROM events ORDER BY idx").unwrap();
    let leaves = leaves.query_map([], |row| row.get(0)).unwrap();
    for (size, leaf) in (1..).zip(leaves) {
        frontier.push(Hash(leaf.unwrap()));
        assert_eq!(roots.at(size), Some(frontier.root()), "{size}");
    }
    for threads in 2..4 {
        let split = scan.split(620, threads).unwrap();
        assert_eq!(split.blocks, part.blocks);
        assert_eq!(split.peaks, part.peaks);
        assert_eq!(split.subjects.len(), part.subjects.len());
    }
}

#[test]
fn a_head_that_was_written_at_another_moment_is_named() {
    let small = Small::with_works(1);
    for column in ["wall_ms = wall_ms + 1", "boot_ms = 0", "boot = 'ffeeddccbbaa99887766554433221100'"] {
        let told = says(&small, &format!("UPDATE head SET {column}"));
        assert_eq!(told, "the head: its row has another moment than event 8", "{column}");
    }
}
