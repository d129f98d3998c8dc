use proptest::prelude::*;

use super::*;
use crate::key::{dsse::Envelope, openssh::PrivateKey};

fn completion() -> Completion {
    Completion {
        artefacts: vec![
            Artefact { name: "report.md".into(), sha256: Sha256Digest([1; 32]) },
            Artefact { name: "data/table.csv".into(), sha256: Sha256Digest([2; 32]) },
        ],
        origin: "agentd.internal/h-00/1".into(),
        work: "w-7kq".into(),
        run: "r-9ab".into(),
        fence: 7,
        agent: "spiffe://h-00.agentd.internal/agent/reviewer-01".into(),
        epoch: 2,
        acceptance: Sha256Digest([3; 32]),
        finished_at: Some("2026-01-02T03:04:05Z".parse().unwrap()),
    }
}

fn json() -> String {
    String::from_utf8(completion().to_json().unwrap()).unwrap()
}

#[test]
fn the_json_has_the_shape_of_an_in_toto_statement() {
    let digest = |byte: &str| byte.repeat(32);
    let expected = serde_json::json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": "report.md", "digest": {"sha256": digest("01")}},
            {"name": "data/table.csv", "digest": {"sha256": digest("02")}},
        ],
        "predicateType": "urn:agentd:completion:v1",
        "predicate": {
            "origin": "agentd.internal/h-00/1",
            "work": "w-7kq",
            "run": "r-9ab",
            "fence": 7,
            "agent": "spiffe://h-00.agentd.internal/agent/reviewer-01",
            "epoch": 2,
            "acceptance": digest("03"),
            "finished_at": "2026-01-02T03:04:05Z",
        },
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json()).unwrap(), expected);
    // Another program's spacing and order of keys.
    let pretty = serde_json::to_vec_pretty(&expected).unwrap();
    assert_eq!(Completion::parse(&pretty).unwrap(), completion());
}

#[test]
fn a_statement_is_read_as_it_was_written() {
    for finished_at in [None, completion().finished_at] {
        let completion = Completion { finished_at, ..completion() };
        let json = completion.to_json().unwrap();
        assert_eq!(Completion::parse(&json).unwrap(), completion);
    }
}

#[test]
fn the_first_field_that_differs_is_named() {
    type Change = fn(&mut Completion);
    let table: [(&str, Change); 11] = [
        ("predicate.origin", |c| {
            c.origin = "agentd.internal/h-00/2".into();
        }),
        ("predicate.work", |c| c.work = "w-7kr".into()),
        ("predicate.run", |c| c.run = "r-9ac".into()),
        ("predicate.fence", |c| c.fence = 6),
        ("predicate.agent", |c| {
            c.agent = "spiffe://h-00.agentd.internal/agent/other-01".into();
        }),
        ("predicate.epoch", |c| c.epoch = 3),
        ("predicate.acceptance", |c| c.acceptance.0[31] ^= 1),
        ("subject[report.md].digest.sha256", |c| {
            c.artefacts[0].sha256.0[0] ^= 1;
        }),
        ("subject.name", |c| {
            c.artefacts[1].name = "data/table.csv2".into();
        }),
        ("subject.length", |c| c.artefacts.truncate(1)),
        ("subject.length", |c| {
            c.artefacts.push(Artefact { name: "zz".into(), sha256: Sha256Digest([9; 32]) });
        }),
    ];
    for (name, change) in table {
        let mut changed = completion();
        change(&mut changed);
        // Sorted by name, the table comes first: dropping the report leaves a shorter list that agrees so far.
        if name == "subject.length" && changed.artefacts.len() == 1 {
            changed.artefacts[0] = completion().artefacts[1].clone();
        }
        let error = changed.check(&completion()).unwrap_err();
        assert!(matches!(&error, StatementError::Differs { field, .. } if field == name), "{name}: {error}");
        assert!(completion().check(&changed).is_err(), "{name}");
    }
}

#[test]
fn order_of_artefacts_and_the_claimed_time_do_not_matter() {
    let mut other = Completion { finished_at: None, ..completion() };
    other.artefacts.reverse();
    assert!(other.check(&completion()).is_ok());
}

#[test]
fn a_second_reading_of_the_json_is_refused() {
    let json = json();
    for (what, changed) in [
        ("unknown key", json.replacen('{', "{\"a\":1,", 1)),
        ("unknown predicate key", json.replace("\"fence\"", "\"a\":1,\"fence\"")),
        ("unknown subject key", json.replace("\"name\":\"report.md\"", "\"name\":\"report.md\",\"uri\":\"x\"")),
        ("second digest", json.replace("{\"sha256\"", "{\"sha1\":\"00\",\"sha256\"")),
        ("repeated fence", json.replace("\"fence\"", "\"fence\":6,\"fence\"")),
        ("repeated fence, escaped", json.replace("\"fence\"", "\"fenc\\u0065\":6,\"fence\"")),
        ("repeated predicate", json.replace("\"predicate\"", "\"predicate\":{},\"predicate\"")),
        ("repeated digest", json.replace("{\"sha256\"", "{\"sha256\":\"00\",\"sha256\"")),
        ("digest as an array", json.replace(&format!("{{\"sha256\":\"{}\"}}", "01".repeat(32)), "[\"00\"]")),
        ("no run", json.replace("\"run\":\"r-9ab\",", "")),
        ("fence as text", json.replace("\"fence\":7", "\"fence\":\"7\"")),
        ("fence below zero", json.replace("\"fence\":7", "\"fence\":-7")),
        ("fence with a fraction", json.replace("\"fence\":7", "\"fence\":7.0")),
        ("uppercase digest", json.replace(&"03".repeat(32), &"0A".repeat(32))),
        ("short digest", json.replace(&"03".repeat(32), &"03".repeat(31))),
        ("time without a zone", json.replace("05Z", "05")),
        ("more text", format!("{json}{{}}")),
    ] {
        assert_ne!(changed, json, "{what}");
        let error = Completion::parse(changed.as_bytes()).unwrap_err();
        assert!(matches!(error, StatementError::Json(_)), "{what}: {error}");
    }
}

#[test]
fn another_type_of_statement_or_predicate_is_refused() {
    for (name, from, to) in [
        ("_type", STATEMENT_TYPE, "https://in-toto.io/Statement/v0.1"),
        ("predicateType", PREDICATE_COMPLETION, "https://slsa.dev/provenance/v1"),
        ("predicateType", PREDICATE_COMPLETION, "\\u001b[2J"),
    ] {
        let error = Completion::parse(json().replace(from, to).as_bytes()).unwrap_err();
        assert!(matches!(&error, StatementError::Differs { field, .. } if field == name), "{error}");
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    }
}

#[test]
fn contents_out_of_bounds_are_refused_when_writing_and_when_reading() {
    type Change = fn(&mut Completion);
    let table: [(&str, Change); 11] = [
        ("predicate.origin", |c| c.origin.clear()),
        ("predicate.work", |c| c.work = "w\n".into()),
        ("predicate.run", |c| c.run = "r".repeat(513)),
        ("predicate.agent", |c| c.agent = "\0".into()),
        ("predicate.fence", |c| c.fence = 1 << 53),
        ("predicate.epoch", |c| c.epoch = u64::MAX),
        ("subject", |c| c.artefacts.clear()),
        ("subject", |c| {
            c.artefacts[1].name = c.artefacts[0].name.clone();
        }),
        ("subject.name", |c| c.artefacts[0].name.clear()),
        ("subject.name", |c| c.artefacts[0].name.push('\u{7f}')),
        ("subject", |c| {
            let artefact = |i: u8, j: u8| Artefact { name: format!("{i}.{j}"), sha256: Sha256Digest([i; 32]) };
            c.artefacts = (0..=128).flat_map(|i| (0..2).map(move |j| artefact(i, j))).collect();
        }),
    ];
    for (name, change) in table {
        let mut changed = completion();
        change(&mut changed);
        let unchecked = serde_json::to_vec(&Statement::from(changed.clone())).unwrap();
        for error in [changed.to_json().unwrap_err(), Completion::parse(&unchecked).unwrap_err()] {
            assert!(matches!(error, StatementError::Field { field, .. } if field == name), "{name}: {error}");
        }
    }
}

#[test]
fn the_longest_statement_fits_into_an_envelope() {
    let mut longest = completion();
    let artefact = |n: usize| Artefact { name: format!("{n:0>80}"), sha256: Sha256Digest([0; 32]) };
    longest.artefacts = (0..250).map(artefact).collect();
    let spare = MAX_STATEMENT_BYTES - longest.to_json().unwrap().len();
    for artefact in longest.artefacts.iter_mut().take(spare / 400) {
        artefact.name.push_str(&"x".repeat(400));
    }
    longest.artefacts[249].name.push_str(&"x".repeat(spare % 400));
    let json = longest.to_json().unwrap();
    assert_eq!(json.len(), MAX_STATEMENT_BYTES);
    let key = PrivateKey::from_seed(&[7; 32]);
    let envelope = Envelope::sign(&key, PAYLOAD_TYPE, &json).unwrap();
    assert_eq!(Completion::parse(envelope.verify(&key.public_key(), PAYLOAD_TYPE).unwrap()).unwrap(), longest);

    longest.artefacts[248].name.push('x');
    assert!(matches!(longest.to_json(), Err(StatementError::TooLong { found }) if found == MAX_STATEMENT_BYTES + 1));
    assert!(matches!(Completion::parse(&vec![b' '; MAX_STATEMENT_BYTES + 1]), Err(StatementError::TooLong { .. })));
}

proptest! {
    #[test]
    fn every_statement_survives_a_round_trip(
        names in proptest::collection::btree_set("\\PC{1,20}", 1..10),
        work in "\\PC{1,40}",
        digest: [u8; 32],
        fence in 0..=MAX_NUMBER,
    ) {
        let artefact = |name| Artefact { name, sha256: Sha256Digest(digest) };
        let artefacts = names.into_iter().map(artefact).collect();
        let completion = Completion { artefacts, work, fence, acceptance: Sha256Digest(digest), ..completion() };
        let read = Completion::parse(&completion.to_json().unwrap()).unwrap();
        prop_assert!(read.check(&completion).is_ok());
        prop_assert_eq!(read, completion);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, at in 0_usize..500) {
        let _ = Completion::parse(&bytes);
        let mut json = json().into_bytes();
        let at = at.min(json.len());
        let end = (at + bytes.len()).min(json.len());
        json.splice(at..end, bytes);
        let _ = Completion::parse(&json);
    }
}
