//! Exports that are well-formed and consistently digested, but say something that is not so.

use super::*;

/// An export of `bodies` written by somebody who controls everything but the key: the tree and checkpoints are those
/// of `signed`.
fn forged(bodies: &[String], signed: &[String], older: usize) -> Result<ExportReport, ExportError> {
    let mut writer = ExportWriter::new(Vec::new(), header(signed, true)).unwrap();
    for (at, body) in bodies.iter().enumerate() {
        writer.event(at as u64, body).unwrap();
        for blob in blobs(at as u64) {
            writer.blob(blob).unwrap();
        }
        if at + 1 == older {
            writer.checkpoint(&checkpoint(&signed[..older])).unwrap();
        }
    }
    verify(&writer.finish(&checkpoint(signed)).unwrap())
}

/// A whole export whose event 2 is changed and signed so.
fn signed_with(change: impl FnOnce(&mut serde_json::Value)) -> ExportError {
    let mut bodies = bodies(4);
    let mut changed = event(2);
    change(&mut changed);
    bodies[2] = changed.to_string();
    verify(&whole(&bodies, 0)).unwrap_err()
}

#[test]
fn a_change_that_fits_its_own_line_is_found_between_two_checkpoints() {
    let signed = bodies(8);
    for changed in 1..8 {
        let mut bodies = signed.clone();
        bodies[changed] = bodies[changed].replace("work_submitted", "work_cancelled");
        let error = forged(&bodies, &signed, 5).unwrap_err();
        let events = if changed < 5 { 0..=4 } else { 5..=7 };
        assert_eq!(error.events, Some(events), "{error}");
        assert!(matches!(error.fault, Fault::Root { .. }), "{error}");
    }
}

#[test]
fn events_missing_at_the_end_are_named() {
    let signed = bodies(8);
    let error = forged(&signed[..6], &signed, 0).unwrap_err();
    assert_eq!((error.events, error.fault), (Some(6..=7), Fault::CheckpointPlace { size: 8, after: 6 }));
}

#[test]
fn an_event_beyond_the_tree_is_named() {
    let error = forged(&bodies(5), &bodies(4), 0).unwrap_err();
    assert_eq!((error.events, error.fault), (None, Fault::BeyondTree { size: 4 }));
}

#[test]
fn an_event_that_contradicts_itself_or_its_place_is_named() {
    type Change = fn(&mut serde_json::Value);
    type Expected = fn(&Fault) -> bool;
    let cases: [(Change, Expected); 9] = [
        (|e| e["index"] = 3.into(), |f| *f == Fault::BodyIndex { index: 3 }),
        (|e| e["v"] = 2.into(), |f| *f == Fault::EventFormat { v: 2 }),
        (|e| e["version"] = 4.into(), |f| matches!(f, Fault::Version { last: 1, version: 4, .. })),
        (|e| e["version"] = 1.into(), |f| matches!(f, Fault::Version { last: 1, version: 1, .. })),
        (|e| e["id"] = "w-9".into(), |f| matches!(f, Fault::Version { last: 0, version: 2, .. })),
        (|e| e["subject"] = "agent".into(), |f| matches!(f, Fault::Version { last: 0, version: 2, .. })),
        (|e| *e = json!([1]), |f| matches!(f, Fault::Body { .. })),
        (|e| e["id"] = 1.into(), |f| matches!(f, Fault::Body { .. })),
        (|e| e["data"] = "x".repeat(MAX_EVENT_BYTES).into(), |f| matches!(f, Fault::EventTooLong { .. })),
    ];
    for (at, (change, expected)) in cases.into_iter().enumerate() {
        let error = signed_with(change);
        assert!(expected(&error.fault), "case {at}: {error}");
        assert_eq!(error.events, Some(2..=2), "case {at}: {error}");
    }
}

#[test]
fn an_event_with_a_member_twice_is_refused() {
    let mut bodies = bodies(4);
    bodies[2] = bodies[2].replacen('{', "{\"version\":3,", 1);
    let error = verify(&whole(&bodies, 0)).unwrap_err();
    assert!(matches!(error.fault, Fault::Body { .. }), "{error}");
}

#[test]
fn slots_that_do_not_rise_are_refused() {
    let blob = json!({"slot": 1, "commitment": salt(0), "size": 0, "media_type": "text/plain"});
    let error = signed_with(|event| event["blobs"] = json!([blob, blob]));
    assert_eq!(error.fault, Fault::Blob { slot: 1, why: BlobFault::SlotOrder });
    assert_eq!(error.events, Some(2..=2));
}

/// A whole export of two events whose second has these lines for its blobs 0 and 7.
fn with_blobs(lines: Vec<BlobLine<'_>>) -> ExportError {
    let bodies = bodies(2);
    let mut writer = ExportWriter::new(Vec::new(), header(&bodies, true)).unwrap();
    writer.event(0, &bodies[0]).unwrap();
    writer.event(1, &bodies[1]).unwrap();
    for line in lines {
        writer.blob(line).unwrap();
    }
    verify(&writer.finish(&checkpoint(&bodies)).unwrap()).unwrap_err()
}

#[test]
fn a_blob_that_is_not_what_its_event_says_is_named() {
    let (good, text) = (data(0), "text/plain");
    let mut other = good.clone();
    other[0] ^= 1;
    let cases = [
        (vec![], 0, BlobFault::Missing),
        (vec![BlobLine::erased(1, 0)], 7, BlobFault::Missing),
        (vec![BlobLine::erased(1, 7)], 7, BlobFault::Slot),
        (vec![BlobLine::erased(0, 0)], 0, BlobFault::Slot),
        (vec![BlobLine::erased(1, 0), BlobLine::erased(1, 0)], 0, BlobFault::Slot),
        (vec![BlobLine::erased(1, 0), BlobLine::erased(1, 7), BlobLine::erased(1, 8)], 8, BlobFault::Slot),
        (vec![BlobLine::content(1, 0, salt(0), text, &other)], 0, BlobFault::Commitment),
        (vec![BlobLine::content(1, 0, salt(1), text, &good)], 0, BlobFault::Commitment),
        (vec![BlobLine::content(1, 0, salt(0), text, &good[1..])], 0, BlobFault::Size),
        (vec![BlobLine::content(1, 0, salt(0), "text/html", &good)], 0, BlobFault::MediaType),
    ];
    for (lines, slot, why) in cases {
        let error = with_blobs(lines);
        assert_eq!(error.fault, Fault::Blob { slot, why });
        assert_eq!(error.events, Some(1..=1), "{error}");
    }
}

#[test]
fn a_blob_that_is_both_here_and_absent_is_refused() {
    let export = String::from_utf8(whole(&bodies(2), 0)).unwrap();
    for state in ["\"erased\":true,\"withheld\":true", "\"data\":\"AAAA\"", "\"data\":\"AAAA\",\"erased\":true"] {
        let error = verify(export.replace("\"erased\":true", state).as_bytes()).unwrap_err();
        assert_eq!(error.fault, Fault::Blob { slot: 7, why: BlobFault::State });
    }
}

#[test]
fn a_partial_export_needs_a_valid_proof_of_each_event() {
    let bodies = bodies(8);
    let begin = || {
        let mut writer = ExportWriter::new(Vec::new(), header(&bodies, false)).unwrap();
        writer.event(5, &bodies[5]).unwrap();
        writer
    };
    let end = |writer: ExportWriter<Vec<u8>>| verify(&writer.finish(&checkpoint(&bodies)).unwrap()).unwrap_err();

    let error = end(begin());
    assert_eq!(
        (error.events, error.fault),
        (Some(5..=5), Fault::Order { found: "checkpoint", expected: "the event's proof" })
    );

    let mut writer = begin();
    writer.proof(5, inclusion(&bodies, 4)).unwrap();
    let error = end(writer);
    assert_eq!((error.events, error.fault), (Some(5..=5), Fault::Proof(crate::log::proof::ProofError::Root)));

    let mut writer = begin();
    writer.proof(4, inclusion(&bodies, 4)).unwrap();
    assert_eq!(end(writer).fault, Fault::Position { index: 4, expected: 5 });

    let mut writer = begin();
    writer.proof(5, inclusion(&bodies, 5)).unwrap();
    writer.proof(5, inclusion(&bodies, 5)).unwrap();
    assert!(matches!(end(writer).fault, Fault::Order { found: "proof", .. }));

    let mut writer = begin();
    writer.proof(5, inclusion(&bodies, 5)).unwrap();
    writer.event(4, &bodies[4]).unwrap();
    assert_eq!(end(writer).fault, Fault::Position { index: 4, expected: 6 });

    let mut writer = begin();
    writer.proof(5, inclusion(&bodies, 5)).unwrap();
    writer.checkpoint(&checkpoint(&bodies)).unwrap();
    assert!(matches!(end(writer).fault, Fault::Order { .. }));
}

#[test]
fn versions_in_a_partial_export_rise() {
    let mut bodies = bodies(8);
    let mut again = event(7);
    again["id"] = "w-1".into();
    bodies[7] = again.to_string();
    let error = verify(&partial(&bodies, &[3, 5, 7])).unwrap_err();
    assert_eq!(error.events, Some(7..=7));
    assert!(matches!(error.fault, Fault::Version { last: 3, version: 2, .. }), "{error}");
    assert!(verify(&partial(&bodies, &[5])).is_ok());
}

#[test]
fn messages_name_the_event_the_line_and_the_reason() {
    let mut bodies = bodies(4);
    bodies[2] = bodies[2].replace("\"index\":2", "\"index\":7");
    let error = verify(&whole(&bodies, 0)).unwrap_err();
    assert_eq!(error.to_string(), "event 2 (line 7): body says that it is event 7");
    let error = verify(b"").unwrap_err();
    assert_eq!(error.to_string(), "export (line 1): export ends before its last checkpoint: it was cut off");
}
