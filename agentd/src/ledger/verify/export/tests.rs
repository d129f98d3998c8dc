use agentd_schemas::unit::time::WallMs;

use super::*;
use crate::ledger::export::{Wanted, export};
use crate::ledger::small::{Signed, Small, moment};

/// Verifies an export of `small` in depth.
fn check(small: &Small, owner: Option<u32>, content: bool) -> Result<ExportDepth, String> {
    let path = small.directory.join("export.jsonl");
    let at: WallMs = moment(5).wall;
    export(&small.db, File::create(&path).unwrap(), Wanted { owner, content, at }).unwrap();
    verify_export_deep(&path, Vec::new(), &[]).map_err(|error| error.to_string())
}

#[test]
fn a_good_export_holds_in_depth_with_and_without_its_content() {
    let mut small = Small::with_works(3);
    small.redact(4, 0);
    let deep = check(&small, None, true).unwrap();
    assert_eq!((deep.report.events, deep.report.blobs, deep.report.erased), (20, 11, 1));
    assert_eq!((deep.statements, deep.possessions), (3, 1));
    assert_eq!(deep.custody, BTreeMap::from([("resident".to_owned(), 1)]));
    let deep = check(&small, None, false).unwrap();
    assert_eq!((deep.report.withheld, deep.statements, deep.possessions), (11, 0, 1));
}

#[test]
fn what_was_signed_otherwise_is_named_in_an_export_too() {
    let mut small = Small::with_works(0);
    small.work_signed(&Signed { result: [7; 32], ..Signed::default() });
    let told = check(&small, None, true).unwrap_err();
    assert!(told.starts_with("event 8: its signed statement: statement field `subject[result].digest"), "{told}");
}

#[test]
fn a_part_and_another_file_are_refused_with_the_way_out() {
    let small = Small::with_works(1);
    let told = check(&small, Some(1000), true).unwrap_err();
    assert!(told.contains("a part of a log cannot be replayed"), "{told}");
    let other = small.directory.join("other");
    std::fs::write(&other, "hello\n").unwrap();
    let told = verify_export_deep(&other, Vec::new(), &[]).unwrap_err().to_string();
    assert!(told.contains("is neither an export nor a database of agentd"), "{told}");
}
