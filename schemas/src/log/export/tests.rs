//! Exports of a small log: accepted as written, and refused, with the event named, after every single change.

mod damage;
mod faults;
mod header;
mod outside;
mod trust;

use std::convert::Infallible;

use ed25519_dalek::SigningKey;
use serde_json::json;

use super::*;
use crate::key::host_key::certify;
use crate::key::openssh::{PrivateKey, PublicKey};
use crate::log::announced::AnnouncedError;
use crate::log::commitment::{Salt, commit};
use crate::log::note::{Checkpoint, KeyId, NoteSignature, SignedNote, VerifierKey};
use crate::log::proof::prove_inclusion;
use crate::log::tree::tests::definition;
use crate::log::tree::{Hash, leaf_hash};

const ORIGIN: &str = "agentd.example/log/1";

fn key() -> SigningKey {
    SigningKey::from_bytes(&[11; 32])
}

fn keys() -> Vec<VerifierKey> {
    vec![VerifierKey::new(ORIGIN, key().verifying_key()).unwrap()]
}

fn salt(index: u64) -> Salt {
    Salt(leaf_hash(&index.to_be_bytes()).0)
}

fn data(index: u64) -> Vec<u8> {
    format!("Größe {index} \"quoted\"\n").into_bytes()
}

/// The first event of incarnation `number`, under `log`, at `index`: a restore where the root before is given.
fn beginning(index: u64, number: u32, log: &SigningKey, previous: Option<(&str, Hash)>) -> serde_json::Value {
    let origin = format!("agentd.example/log/{number}");
    let [authority, issuer] = [21, 22].map(|seed| PrivateKey::from_seed(&[seed; 32]));
    let log_line = PublicKey::from_bytes(log.verifying_key().as_bytes()).unwrap();
    let mut data = json!({
        "origin": origin, "incarnation": number,
        "authority_key": authority.public_key(), "issuer_key": issuer.public_key(),
        "log_key": VerifierKey::new(&origin, log.verifying_key()).unwrap(),
        "key_certificates": certify(&authority, "agentd.example", &issuer.public_key(), &log_line),
        "request_key": "00".repeat(32), "agentd": "0.1.0",
    });
    let mut kind = "LogStarted";
    if let Some((origin, root)) = previous {
        kind = "IncarnationStarted";
        data["previous_origin"] = origin.into();
        data["previous_size"] = index.into();
        data["previous_root"] = data_encoding::BASE64.encode(&root.0).into();
        data["reason"] = "a new disk".into();
    } else {
        data["trust_domain"] = "agentd.example".into();
    }
    let version = if index == 0 { 1 } else { 2 };
    json!({
        "v": 1, "index": index, "subject": "host", "id": "host", "version": version, "type": kind,
        "time": "2026-01-02T03:04:05.000Z", "boot": "0".repeat(32), "boot_ms": 1, "actor": "host",
        "assurance": "internal", "data": data,
    })
}

/// The event at `index`: the first starts the log, then every third a new work; the second has two blobs and the
/// fourth one.
fn event(index: u64) -> serde_json::Value {
    if index == 0 {
        return beginning(0, 1, &key(), None);
    }
    let blob = |slot: u64| json!({"slot": slot, "commitment": commit(&salt(slot), &data(slot)), "size": data(slot).len(), "media_type": "text/plain"});
    let mut event = json!({
        "v": 1, "index": index, "subject": "work", "id": format!("w-{}", index / 3), "version": if index < 3 { index } else { index % 3 + 1 },
        "type": "work_submitted", "time": "2026-01-02T03:04:05Z", "data": {"title": "ä\u{1}\u{7f}\\ / \u{1f600}"},
    });
    match index {
        1 => event["blobs"] = json!([blob(0), blob(7)]),
        3 => event["blobs"] = json!([blob(2)]),
        _ => {}
    }
    event
}

fn bodies(count: u64) -> Vec<String> {
    (0..count).map(|index| event(index).to_string()).collect()
}

fn leaves(bodies: &[String]) -> Vec<Hash> {
    bodies.iter().map(|body| leaf_hash(body.as_bytes())).collect()
}

fn checkpoint(bodies: &[String]) -> SignedNote {
    let checkpoint =
        Checkpoint { origin: ORIGIN.to_owned(), size: bodies.len() as u64, root: definition(&leaves(bodies)) };
    let witness = NoteSignature { name: "witness.example".to_owned(), key_id: KeyId([9; 4]), signature: vec![6; 72] };
    checkpoint.sign(&key()).unwrap().with_signature(witness).unwrap()
}

fn header(bodies: &[String], whole: bool) -> Header {
    Header {
        format: Format::V1,
        origin: ORIGIN.to_owned(),
        incarnation: 1,
        log_key: keys().remove(0),
        exported_at: "2026-01-02T03:04:05.5Z".parse().unwrap(),
        whole,
        tree: Tree { size: bodies.len() as u64, root: definition(&leaves(bodies)) },
        previous: None,
    }
}

fn blobs(index: u64) -> Vec<BlobLine<'static>> {
    match index {
        1 => vec![BlobLine::content(1, 0, salt(0), "text/plain", &data(0)), BlobLine::erased(1, 7)],
        3 => vec![BlobLine::withheld(3, 2)],
        _ => Vec::new(),
    }
}

/// A whole export with older checkpoints before the first event and after the `older` first ones.
fn whole(bodies: &[String], older: usize) -> Vec<u8> {
    let mut writer = ExportWriter::new(Vec::new(), header(bodies, true)).unwrap();
    writer.checkpoint(&checkpoint(&[])).unwrap();
    for (at, body) in bodies.iter().enumerate() {
        writer.event(at as u64, body).unwrap();
        for blob in blobs(at as u64) {
            writer.blob(blob).unwrap();
        }
        if at + 1 == older {
            writer.checkpoint(&checkpoint(&bodies[..older])).unwrap();
        }
    }
    writer.finish(&checkpoint(bodies)).unwrap()
}

fn inclusion(bodies: &[String], index: u64) -> Vec<Hash> {
    let leaves = leaves(bodies);
    let node = |level: u8, at: u64| {
        let run = usize::try_from(at << level).unwrap()..usize::try_from((at + 1) << level).unwrap();
        Ok::<_, Infallible>(definition(&leaves[run]))
    };
    prove_inclusion(index, bodies.len() as u64, node).unwrap()
}

fn partial(bodies: &[String], chosen: &[u64]) -> Vec<u8> {
    let mut writer = ExportWriter::new(Vec::new(), header(bodies, false)).unwrap();
    for &index in chosen {
        writer.event(index, &bodies[usize::try_from(index).unwrap()]).unwrap();
        writer.proof(index, inclusion(bodies, index)).unwrap();
        for blob in blobs(index) {
            writer.blob(blob).unwrap();
        }
    }
    writer.finish(&checkpoint(bodies)).unwrap()
}

fn verify_with(export: &[u8], given: &[SignedNote]) -> Result<ExportReport, ExportError> {
    match verify_export(export, keys(), given) {
        Ok(report) => Ok(report),
        Err(ReadError::Refused(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

fn verify(export: &[u8]) -> Result<ExportReport, ExportError> {
    verify_with(export, &[])
}

fn lines(export: &[u8]) -> Vec<Vec<u8>> {
    export.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

#[test]
fn a_whole_export_holds_and_is_counted() {
    let bodies = bodies(8);
    let given = [checkpoint(&bodies[..2]), checkpoint(&bodies), checkpoint(&[])];
    let report = verify_with(&whole(&bodies, 5), &given).unwrap();
    assert_eq!(
        report,
        ExportReport {
            header: header(&bodies, true),
            events: 8,
            subjects: 4,
            blobs: 1,
            erased: 1,
            withheld: 1,
            checkpoints: 2,
            given: 3,
            announced: report.announced.clone(),
            authority_since: 1,
        }
    );
    let announced = report.announced.unwrap();
    assert_eq!(announced.authority, PrivateKey::from_seed(&[21; 32]).public_key());
}

#[test]
fn a_partial_export_holds_and_is_counted() {
    let bodies = bodies(8);
    let report = verify_with(&partial(&bodies, &[1, 3, 5]), &[checkpoint(&bodies)]).unwrap();
    assert_eq!((report.events, report.subjects, report.given), (3, 2, 1));
    assert_eq!((report.blobs, report.erased, report.withheld), (1, 1, 1));
    assert_eq!(verify(&partial(&bodies, &[])).unwrap().events, 0);
}

#[test]
fn exports_of_every_small_size_hold() {
    assert_eq!(verify(&whole(&[], 0)).unwrap_err().fault, Fault::Announced(AnnouncedError::NoStart));
    for size in 1..20 {
        let bodies = bodies(size);
        assert_eq!(verify(&whole(&bodies, 3)).unwrap().events, size, "whole of {size}");
        let every: Vec<_> = (0..size).collect();
        assert_eq!(verify(&partial(&bodies, &every)).unwrap().events, size, "partial of {size}");
    }
}

#[test]
fn lines_have_the_documented_form() {
    let bodies = bodies(2);
    let previous = Some(Checkpoint { origin: "agentd.example/old".to_owned(), size: 3, root: Hash([1; 32]) });
    let restored = ExportWriter::new(Vec::new(), Header { previous, ..header(&bodies, true) }).unwrap();
    let restored = String::from_utf8(restored.finish(&checkpoint(&bodies)).unwrap()).unwrap();
    let export = String::from_utf8(whole(&bodies, 0)).unwrap();
    let lines: Vec<_> = export.lines().collect();
    let log_key = &keys()[0];
    let root = header(&bodies, true).tree.root;
    assert_eq!(
        restored.lines().next().unwrap(),
        format!(
            "{{\"line\":\"header\",\"format\":\"agentd-export@v1\",\"origin\":\"{ORIGIN}\",\"incarnation\":1,\
             \"log_key\":\"{log_key}\",\"exported_at\":\"2026-01-02T03:04:05.5Z\",\"whole\":true,\
             \"tree\":{{\"size\":2,\"root\":\"{root}\"}},\
             \"previous\":{{\"origin\":\"agentd.example/old\",\"size\":3,\"root\":\"{}\"}}}}",
            "01".repeat(32)
        )
    );
    assert!(lines[2].starts_with("{\"line\":\"event\",\"index\":0,\"leaf\":\""));
    assert!(lines[4].starts_with("{\"line\":\"blob\",\"event\":1,\"slot\":0,\"salt\":\""));
    assert_eq!(lines[5], "{\"line\":\"blob\",\"event\":1,\"slot\":7,\"erased\":true}");
    assert!(lines[6].starts_with("{\"line\":\"checkpoint\",\"note\":\"agentd.example/log/1\\n2\\n"));
    assert_eq!(lines.len(), 7);
}
