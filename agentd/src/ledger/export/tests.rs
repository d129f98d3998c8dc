use agentd_schemas::log::export::{ExportReport, verify_export};
use agentd_schemas::log::note::VerifierKey;

use super::*;
use crate::domain::Draft;
use crate::ledger::checkpoint;
use crate::ledger::small::{Small, log_key, moment};
use crate::policy::Caller;

const WHOLE: Wanted = Wanted { owner: None, content: true, at: WallMs::EPOCH };

fn written(small: &Small, wanted: Wanted) -> (Vec<u8>, Exported) {
    let mut out = Vec::new();
    let wanted = Wanted { at: moment(5).wall, ..wanted };
    let exported = export(&small.db, &mut out, wanted).unwrap();
    (out, exported)
}

fn verified(small: &Small, export: &[u8]) -> ExportReport {
    let key = VerifierKey::new(small.log.origin(), log_key().verifying_key()).unwrap();
    let head = SignedNote::parse(&checkpoint::head(&small.db).unwrap().unwrap().note).unwrap();
    verify_export(export, vec![key], &[head]).unwrap()
}

#[test]
fn a_whole_export_holds_without_agentd() {
    let mut small = Small::with_works(20);
    small.redact(4, 0);
    let (export, exported) = written(&small, WHOLE);
    let report = verified(&small, &export);
    assert_eq!((report.events, exported), (105, Exported { events: 105, size: 105 }));
    assert_eq!((report.blobs, report.erased, report.withheld, report.checkpoints), (79, 1, 0, 1));
    let (export, _) = written(&small, Wanted { content: false, ..WHOLE });
    let report = verified(&small, &export);
    assert_eq!((report.blobs, report.erased, report.withheld), (0, 1, 79));
}

#[test]
fn a_part_has_what_belongs_to_its_owner_and_proofs() {
    let mut small = Small::with_works(2);
    small.denied();
    let data = agentd_schemas::event::DaemonStopped { reason: "me".into() };
    let mine = Draft::new(agentd_schemas::event::Subject::Host, data);
    small.commit(&Caller::person(1000, true, false), vec![mine.clone()]);
    small.commit(&Caller::person(10, true, false), vec![mine]);
    let refused = agentd_schemas::event::AccessDenied {
        action: "work.read".into(),
        resource: "work of another".into(),
        rule: "no_rule".into(),
    };
    let refused = Draft::new(agentd_schemas::event::Subject::Host, refused);
    small.commit(&Caller::person(10, false, false), vec![refused]);
    for (owner, events) in [(1000, 14), (10, 1), (100, 0), (1001, 0)] {
        let (export, exported) = written(&small, Wanted { owner: Some(owner), ..WHOLE });
        assert_eq!(exported, Exported { events, size: 18 }, "{owner}");
        let report = verified(&small, &export);
        assert_eq!((report.events, report.header.whole), (events, false), "{owner}");
    }
}

#[test]
fn a_damaged_ledger_is_not_exported() {
    let cases = [
        ("DELETE FROM events WHERE idx = 5", "event 5: it is missing"),
        ("DELETE FROM blobs WHERE id = 64", "event 4: blob 0 is missing"),
        ("UPDATE events SET body = 'x' WHERE idx = 5", "event 5: expected value"),
        ("INSERT INTO checkpoints VALUES (5, 'x')", "the kept checkpoint of 5 events"),
        ("DELETE FROM head", "the log has no events yet"),
    ];
    for (sql, says) in cases {
        let small = Small::with_works(1);
        small.db.execute_batch(sql).unwrap();
        let error = export(&small.db, Vec::new(), WHOLE).unwrap_err();
        assert!(error.to_string().contains(says), "{sql}: {error}");
    }
}

#[test]
fn a_destination_that_fails_ends_the_export() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let small = Small::with_works(1);
    assert!(matches!(export(&small.db, Full, WHOLE), Err(ExportError::Io(_))));
}
