use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::ledger::small::Small;
use crate::ledger::verify::deep::verify_deep;

#[test]
fn a_backup_of_a_ledger_in_use_stands_alone() {
    let mut small = Small::with_works(3);
    let reader = open::open_reader(&small.path()).unwrap();
    let target = small.directory.join("backup.db");
    let last = std::cell::Cell::new((0, 0));
    let size = backup(&reader, &target, &|done, all| last.set((done, all))).unwrap();
    assert_eq!(size, 19);
    assert!(last.get().0 > 0 && last.get().0 == last.get().1);
    small.work();
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
    let deep = verify_deep(&target, &[], 1, &|_| {}).unwrap();
    assert_eq!(deep.report.size, 19);
    let beside: Vec<_> = fs::read_dir(target.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("backup.db"))
        .collect();
    assert_eq!(beside, ["backup.db"]);
}

#[test]
fn a_backup_never_overwrites() {
    let small = Small::with_works(1);
    let error = backup(&small.db, &small.path(), &|_, _| {}).unwrap_err();
    assert!(matches!(error, BackupError::Open(OpenError::Exists { .. })), "{error}");
    verify_deep(&small.path(), &[], 1, &|_| {}).unwrap();
}

#[test]
fn a_ledger_that_is_damaged_leaves_no_backup() {
    let small = Small::with_works(1);
    small.db.execute("UPDATE head SET size = 3", []).unwrap();
    let target = small.directory.join("backup.db");
    let error = backup(&small.db, &target, &|_, _| {}).unwrap_err();
    assert!(error.to_string().contains("the head covers 3 events"), "{error}");
    assert!(!target.exists());
}
