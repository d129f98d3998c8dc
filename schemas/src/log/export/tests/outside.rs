//! The same files before the verifier in `tests/verify/verify.py`, which shares no code with this crate. Needs
//! `python3` and `openssl`.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use super::*;
use crate::log::tlog_proof::TlogProof;

/// A directory of this test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("agentd-verify-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the verifier: what it printed when it accepted or refused.
fn python(arguments: &[&str]) -> Result<String, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/verify/verify.py");
    let output = Command::new("python3").arg(script).args(arguments).output().unwrap();
    match output.status.code() {
        Some(0) => Ok(String::from_utf8(output.stdout).unwrap()),
        Some(1) => Err(String::from_utf8(output.stderr).unwrap()),
        other => panic!("exit {other:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn vkey() -> String {
    keys()[0].to_string()
}

#[test]
fn an_outside_verifier_accepts_the_same_exports() {
    let folder = Folder::new("accepts");
    for size in [1, 7, 20] {
        let bodies = bodies(size);
        let export = folder.write("export", whole(&bodies, 5));
        let old = folder.write("old", checkpoint(&bodies[..bodies.len().min(3)]).to_string());
        let accepted = python(&["export", &export, &vkey(), &old]);
        assert_eq!(accepted, Ok(format!("{size} events of {ORIGIN} hold\n")));
    }
}

#[test]
fn an_outside_verifier_names_the_same_event_in_damaged_exports() {
    let folder = Folder::new("damaged");
    let export = whole(&bodies(5), 3);
    // Far enough apart to be quick, and coprime to the lengths of the lines.
    for at in (0..export.len()).step_by(307) {
        let mut bytes = export.clone();
        bytes[at] ^= 1;
        let ours = verify(&bytes).unwrap_err();
        let theirs = python(&["export", &folder.write("export", &bytes), &vkey()]).unwrap_err();
        if let Some(events) = ours.events.filter(|events| events.start() == events.end()) {
            assert!(theirs.starts_with(&format!("refused: event {}: ", events.start())), "byte {at}: {theirs}");
        }
    }
}

/// The export with other text in its header, digested anew.
fn with_header(export: &[u8], from: &str, to: &str) -> Vec<u8> {
    let lines = lines(export);
    let header = String::from_utf8(lines[0].clone()).unwrap();
    assert!(header.contains(from), "{from}");
    let rest = lines[1..lines.len() - 1].concat();
    let body = [header.replace(from, to).into_bytes(), rest].concat();
    let mut last: serde_json::Value = serde_json::from_slice(lines.last().unwrap()).unwrap();
    let note = last["note"].as_str().unwrap().to_owned();
    last["digest"] = crate::log::export::write::seal(&Sha256::new_with_prefix(&body), &note).to_string().into();
    let last = format!("{{\"line\":\"checkpoint\",\"note\":{},\"digest\":{}}}\n", last["note"], last["digest"]);
    [body, last.into_bytes()].concat()
}

#[test]
fn a_header_that_lies_or_is_written_otherwise_is_refused_by_both_verifiers() {
    let folder = Folder::new("header");
    let export = whole(&bodies(4), 0);
    let at = "\"exported_at\":\"2026-01-02T03:04:05.5Z\"";
    assert_eq!(with_header(&export, at, at), export);
    let other = with_header(&export, at, "\"exported_at\":\"2099-01-02T03:04:05Z\"");
    assert!(verify(&other).is_ok() && python(&["export", &folder.write("export", other), &vkey()]).is_ok());
    let previous = "\"previous\":{\"origin\":\"evil.example/log/8\",\"size\":3,\"root\":";
    let previous = format!("}},{previous}\"{}\"}}}}\n", "00".repeat(32));
    let cases = [
        ("\"incarnation\":1", "\"incarnation\":9", "the header's incarnation"),
        ("}}\n", previous.as_str(), "the header's previous"),
        ("\"incarnation\":1", "\"incarnation\":true", "a number is no number"),
        ("\"incarnation\":1", "\"incarnation\":1.0", "1.0 is no whole number"),
        (at, "\"exported_at\":\"2026-01-02T03:04:05.500Z\"", "exported_at has another form"),
        (at, "\"exported_at\":\"2026-01-02T04:04:05.5+01:00\"", "exported_at has another form"),
        ("\"whole\":true", "\"whole\":1", "not an agentd-export"),
    ];
    for (from, to, says) in cases {
        let changed = with_header(&export, from, to);
        assert!(verify(&changed).is_err(), "{to}");
        let told = python(&["export", &folder.write("export", &changed), &vkey()]).unwrap_err();
        assert!(told.contains(says), "{to}: {told}");
    }
    let swapped = with_header(&export, &format!("{at},\"whole\":true"), &format!("\"whole\":true,{at}"));
    assert!(verify(&swapped).is_err());
    assert!(python(&["export", &folder.write("export", swapped), &vkey()]).unwrap_err().contains("members of a line"));
}

#[test]
fn an_outside_verifier_refuses_keys_that_the_authority_did_not_certify() {
    let folder = Folder::new("certificates");
    let mut start = event(0);
    start["data"]["authority_key"] = PrivateKey::from_seed(&[23; 32]).public_key().to_string().into();
    let export = folder.write("export", whole(&[start.to_string()], 0));
    let told = python(&["export", &export, &vkey()]).unwrap_err();
    assert_eq!(told, "refused: event 0: the authority did not certify the issuer key\n");
}

#[test]
fn an_outside_verifier_refuses_forks_cuts_and_forgeries() {
    let folder = Folder::new("forks");
    let ours = bodies(6);
    let mut theirs = ours.clone();
    theirs[2] = theirs[2].replace("work_submitted", "work_cancelled");
    let old = folder.write("old", checkpoint(&ours[..4]).to_string());
    let fork = folder.write("fork", whole(&theirs, 0));
    assert!(python(&["export", &fork, &vkey()]).is_ok());
    assert!(python(&["export", &fork, &vkey(), &old]).unwrap_err().contains("the first 4 events"));
    let short = folder.write("short", whole(&ours[..3], 0));
    assert!(python(&["export", &short, &vkey(), &old]).unwrap_err().contains("ends at 3 events"));

    let mut writer = ExportWriter::new(Vec::new(), header(&ours, true)).unwrap();
    for (at, body) in theirs.iter().enumerate() {
        writer.event(at as u64, body).unwrap();
        for blob in blobs(at as u64) {
            writer.blob(blob).unwrap();
        }
    }
    let forged = folder.write("forged", writer.finish(&checkpoint(&ours)).unwrap());
    assert!(python(&["export", &forged, &vkey()]).unwrap_err().contains("one of the events before 6 was changed"));

    let stranger = VerifierKey::new(ORIGIN, SigningKey::from_bytes(&[12; 32]).verifying_key()).unwrap().to_string();
    assert!(python(&["export", &fork, &stranger]).is_err());
}

#[test]
fn an_outside_verifier_checks_single_proofs() {
    let folder = Folder::new("proofs");
    let bodies = bodies(7);
    let event = folder.write("event", &bodies[4]);
    let other = folder.write("other", &bodies[5]);
    for extra in [None, Some(vec![1, 2, 3])] {
        let hashes = inclusion(&bodies, 4);
        let proof = TlogProof { extra, index: 4, hashes, checkpoint: checkpoint(&bodies) };
        proof.verify(bodies[4].as_bytes(), &keys()).unwrap();
        let file = folder.write("proof", proof.to_string());
        let accepted = python(&["proof", &file, &event, &vkey()]);
        assert_eq!(accepted, Ok(format!("event 4 of {ORIGIN} holds in the tree of 7\n")));
        assert!(python(&["proof", &file, &other, &vkey()]).unwrap_err().starts_with("refused: event 4: "));
        let moved = folder.write("moved", proof.to_string().replace("index 4", "index 5"));
        assert!(python(&["proof", &moved, &event, &vkey()]).unwrap_err().starts_with("refused: event 5: "));
    }
}
