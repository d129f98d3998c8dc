//! What a header says, against what the events announced.

use super::*;

/// The key of the second incarnation.
fn later() -> SigningKey {
    SigningKey::from_bytes(&[14; 32])
}

/// A log that was restored after three events: its bodies, and the keys of both incarnations.
fn restored(change: impl FnOnce(&mut serde_json::Value)) -> (Vec<String>, Vec<VerifierKey>) {
    let mut bodies = bodies(3);
    let root = definition(&leaves(&bodies));
    let mut begun = beginning(3, 2, &later(), Some((ORIGIN, root)));
    change(&mut begun);
    bodies.push(begun.to_string());
    let second = VerifierKey::new("agentd.example/log/2", later().verifying_key()).unwrap();
    (bodies, [keys(), vec![second]].concat())
}

/// The header of the restored log's export.
fn header_of(bodies: &[String], keys: &[VerifierKey]) -> Header {
    let previous = Checkpoint { origin: ORIGIN.to_owned(), size: 3, root: definition(&leaves(&bodies[..3])) };
    let (origin, log_key) = ("agentd.example/log/2".to_owned(), keys[1].clone());
    Header { origin, incarnation: 2, log_key, previous: Some(previous), ..header(bodies, true) }
}

/// Writes the export with that header, digested and signed as it should be, and verifies it.
fn export(
    bodies: &[String],
    keys: Vec<VerifierKey>,
    header: Header,
    given: &[SignedNote],
) -> Result<ExportReport, Fault> {
    let signed = Checkpoint { origin: header.origin.clone(), size: header.tree.size, root: header.tree.root };
    let signed = signed.sign(&later()).unwrap();
    let mut writer = ExportWriter::new(Vec::new(), header).unwrap();
    for (at, body) in (0..).zip(bodies) {
        writer.event(at, body).unwrap();
        for blob in blobs(at).into_iter().filter(|_| at < 3) {
            writer.blob(blob).unwrap();
        }
    }
    match verify_export(&writer.finish(&signed).unwrap()[..], keys, given) {
        Ok(report) => Ok(report),
        Err(ReadError::Refused(error)) => Err(error.fault),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_restored_log_holds_against_checkpoints_of_both_incarnations() {
    let (bodies, keys) = restored(|_| {});
    let report = export(&bodies, keys.clone(), header_of(&bodies, &keys), &[checkpoint(&bodies[..2])]).unwrap();
    assert_eq!((report.events, report.given, report.authority_since), (4, 1, 1));
}

#[test]
fn a_header_that_says_something_else_than_the_events_is_refused() {
    let (bodies, keys) = restored(|_| {});
    let good = header_of(&bodies, &keys);
    let previous = Checkpoint { origin: "evil.example/log/8".to_owned(), size: 3, root: Hash::default() };
    let cases = [
        (Header { incarnation: 9, ..good.clone() }, "header says incarnation 9, which is not that of the origin"),
        (Header { previous: Some(previous), ..good.clone() }, "the header's `previous` is not what event 3 announced"),
        (Header { previous: None, ..good.clone() }, "the header's `previous` is not what event 3 announced"),
    ];
    for (header, says) in cases {
        let fault = export(&bodies, keys.clone(), header, &[]).unwrap_err().to_string();
        assert!(fault.starts_with(says), "{fault}");
    }
    // A partial export has no event that says it, but the origin does.
    let part = Header { incarnation: 3, whole: false, ..good };
    assert!(matches!(export(&[], keys, part, &[]), Err(Fault::Incarnation { incarnation: 3, .. })));
}

#[test]
fn a_beginning_that_its_authority_or_its_place_contradicts_is_refused() {
    type Change<'a> = &'a dyn Fn(&mut serde_json::Value);
    let certificate = |e: &mut serde_json::Value| e["data"]["key_certificates"][1] = "AAAA".into();
    let authority = |e: &mut serde_json::Value| {
        e["data"]["authority_key"] = PrivateKey::from_seed(&[23; 32]).public_key().to_string().into();
    };
    let root = |e: &mut serde_json::Value| e["data"]["previous_root"] = data_encoding::BASE64.encode(&[0; 32]).into();
    let number = |e: &mut serde_json::Value| e["data"]["incarnation"] = 1.into();
    let origin = |e: &mut serde_json::Value| e["data"]["previous_origin"] = "other.example/log/1".into();
    let cases: [(Change<'_>, &str); 5] = [
        (&certificate, "the beginning of the incarnation: the certificate of the log key is not base64"),
        (&authority, "the beginning of the incarnation: the certificate of the issuer key was not signed by"),
        (&root, "the first 3 events have root"),
        (&number, "the beginning of the incarnation: its origin is agentd.example/log/2, incarnation 1"),
        (&origin, "the beginning of the incarnation: it follows other.example/log/1 at 3 events"),
    ];
    for (change, says) in cases {
        let (bodies, keys) = restored(change);
        let fault = export(&bodies, keys.clone(), header_of(&bodies, &keys), &[]).unwrap_err().to_string();
        assert!(fault.starts_with(says), "{fault}");
    }
}
