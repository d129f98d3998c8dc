use agentd_schemas::log::note::{Checkpoint, SignedNote};
use ed25519_dalek::SigningKey;

use super::*;
use crate::ledger::append::Appender;
use crate::ledger::checkpoint;
use crate::ledger::incarnation::{LogError, Opened};
use crate::ledger::small::{BOOT, Small, host_keys_for, log_key, moment};
use crate::ledger::verify::{CheckpointFault, EventFault, deep::verify_deep};

fn head(db: &rusqlite::Connection) -> SignedNote {
    SignedNote::parse(&checkpoint::head(db).unwrap().unwrap().note).unwrap()
}

/// A ledger that was backed up after two works, went on with a third and was lost; then restored to `restored.db`.
fn lost() -> (Small, SignedNote) {
    let mut small = Small::with_works(2);
    backup::backup(&small.db, &small.directory.join("backup.db"), &|_, _| {}).unwrap();
    small.work();
    let last = head(&small.db);
    (small, last)
}

/// Opens a restored copy and begins its incarnation.
fn begin(path: &Path, key: &SigningKey) -> (rusqlite::Connection, Appender) {
    let mut db = open::open_writer(path).unwrap();
    let Opened::Restored(restored) = Appender::open(&db, key, BOOT).unwrap() else { panic!("it is not restored") };
    let tx = db.transaction().unwrap();
    let (log, event) = restored.start(&tx, host_keys_for(key), moment(99)).unwrap();
    assert_eq!(event.data.type_name(), "IncarnationStarted");
    tx.commit().unwrap();
    (db, log)
}

#[test]
fn a_restored_ledger_goes_on_under_a_new_origin() {
    let (mut small, last) = lost();
    let to = small.directory.join("restored.db");
    let copy = restore(&small.directory.join("backup.db"), &to, None, "disk died", 1, &|_| {}).unwrap();
    let origin = format!("h-0.agentd.internal/log/{}", copy.incarnation);
    assert!(copy.incarnation > 1 && copy.origin == origin, "{copy:?}");
    let key = SigningKey::from_bytes(&[5; 32]);
    let before = head(&open::open_reader(&to).unwrap());
    let (db, log) = begin(&to, &key);
    assert_eq!((log.incarnation(), log.origin(), log.size()), (copy.incarnation, origin.as_str(), 15));
    small.db = db;
    small.log = log;
    small.work();
    let after = head(&small.db);
    assert_eq!(Checkpoint::from_text(after.text()).unwrap().origin, origin);
    let deep = verify_deep(&to, &[before, after], 1, &|_| {}).unwrap();
    assert_eq!(deep.report.incarnations.len(), 2);
    assert_eq!(deep.report.incarnations[1].previous.as_ref().map(|before| before.size), Some(14));
    // The old key opens it no more, the new one does.
    assert!(matches!(Appender::open(&small.db, &log_key(), BOOT), Err(LogError::OtherKey { .. })));
    assert!(matches!(Appender::open(&small.db, &key, BOOT), Ok(Opened::Running(_))));
    let error = verify::verify(&to, &[last], 1, &|_| {}).unwrap_err();
    assert!(
        matches!(error, VerifyError::Given { fault: CheckpointFault::LostByRestore { size: 19, kept: 14, .. }, .. }),
        "{error}"
    );
}

#[test]
fn a_backup_restored_again_rises_above_what_ran_meanwhile() {
    let (small, _) = lost();
    let backup = small.directory.join("backup.db");
    let second = small.directory.join("second.db");
    let last = 2 * STEP;
    let again = restore(&backup, &second, Some(last), "again", 1, &|_| {}).unwrap();
    assert!(again.incarnation > last);
    let (db, log) = begin(&second, &log_key());
    assert_eq!(log.origin(), again.origin);
    drop(db);
    verify::verify(&second, &[], 1, &|_| {}).unwrap();
    let third = small.directory.join("third.db");
    assert!(restore(&second, &third, None, "once more", 1, &|_| {}).unwrap().incarnation > again.incarnation);
    let error = restore(&backup, &small.directory.join("x.db"), Some(u32::MAX), "no", 1, &|_| {}).unwrap_err();
    assert!(matches!(error, RestoreError::Incarnation(u32::MAX)), "{error}");
}

#[test]
fn one_backup_restored_twice_is_two_incarnations_that_do_not_vouch_for_each_other() {
    let (small, _) = lost();
    let backup = small.directory.join("backup.db");
    let [first, second] = ["first.db", "second.db"].map(|name| small.directory.join(name));
    let one = restore(&backup, &first, None, "disk died", 1, &|_| {}).unwrap();
    let other = restore(&backup, &second, None, "disk died", 1, &|_| {}).unwrap();
    assert_ne!(one.incarnation, other.incarnation);
    let shared = head(&small.db);
    drop(begin(&first, &SigningKey::from_bytes(&[5; 32])));
    // Even where both have the same key, what the one signed is not taken for the other's.
    let (db, log) = begin(&second, &SigningKey::from_bytes(&[5; 32]));
    assert_eq!((log.incarnation(), log.origin()), (other.incarnation, other.origin.as_str()));
    verify::verify(&first, &[head(&open::open_reader(&first).unwrap())], 1, &|_| {}).unwrap();
    let error = verify::verify(&first, &[head(&db)], 1, &|_| {}).unwrap_err();
    assert!(matches!(error, VerifyError::Given { .. }), "{error}");
    // What was signed before the backup holds for both.
    let of_backup = head(&open::open_for_verify(&backup).unwrap());
    for path in [&first, &second] {
        verify::verify(path, std::slice::from_ref(&of_backup), 1, &|_| {}).unwrap();
        assert!(verify::verify(path, std::slice::from_ref(&shared), 1, &|_| {}).is_err(), "signed after the backup");
    }
}

#[test]
fn incarnations_rise_and_end() {
    assert_eq!((after(1, 0), after(1, STEP - 1), after(1, STEP)), (Some(2), Some(STEP + 1), Some(2)));
    assert_eq!(after(u32::MAX, 0), None);
}

#[test]
fn a_damaged_backup_is_not_restored() {
    let (small, _) = lost();
    let from = small.directory.join("backup.db");
    crate::ledger::small::tamper(
        &from,
        "UPDATE events SET body = replace(body, '\"uid:1000\"', '\"uid:1001\"') WHERE idx = 4",
    );
    let to = small.directory.join("restored.db");
    let error = restore(&from, &to, None, "no", 1, &|_| {}).unwrap_err();
    let named = matches!(error, RestoreError::Verify(VerifyError::Event { index: 4, fault: EventFault::Leaf }));
    assert!(named && !to.exists(), "{error}");
}

#[test]
fn a_checkpoint_that_the_new_incarnation_could_not_sign_is_refused() {
    let (small, _) = lost();
    let to = small.directory.join("restored.db");
    restore(&small.directory.join("backup.db"), &to, None, "disk died", 1, &|_| {}).unwrap();
    let (db, log) = begin(&to, &log_key());
    let opened = prove_root(&db, 10);
    let early = Checkpoint { origin: log.origin().to_owned(), size: 10, root: opened }.sign(&log_key()).unwrap();
    let error = verify::verify(&to, &[early], 1, &|_| {}).unwrap_err();
    let origin = log.origin();
    let says = format!("the given checkpoint 1: {origin} signed 10 events, but wrote only the events 14 to 14");
    assert_eq!(error.to_string(), says);
}

fn prove_root(db: &rusqlite::Connection, size: u64) -> agentd_schemas::log::tree::Hash {
    crate::ledger::prove::consistency(db, size).unwrap().older_root
}
