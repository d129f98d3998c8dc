//! Ledgers with an agent in its owner's custody, written past every rule.

use agentd_schemas::event::{AgentEnrolled, Authority, Custody, EventData, KeyCertified, Subject};
use agentd_schemas::key::certificate::CERTIFICATE_TYPE;
use agentd_schemas::key::openssh::{PrivateKey, PublicKey};
use agentd_schemas::key::possession::{Possession, PossessionKind};
use agentd_schemas::unit::time::WallMs;
use data_encoding::BASE64;

use super::*;
use crate::domain::Draft;
use crate::ledger::small::{agent_key, fixer, moment};
use crate::policy::Caller;

const DOMAIN: &str = "h-0.agentd.internal";

fn owner() -> PrivateKey {
    PrivateKey::from_seed(&[40; 32])
}

fn possession(kind: PossessionKind, key: &PrivateKey) -> String {
    let public_key = &key.public_key();
    let possession = Possession { kind, trust_domain: DOMAIN, name: "fixer", nonce: "n", public_key };
    possession.sign(key).unwrap().to_string()
}

fn told(small: &mut Small, data: impl Into<EventData>) {
    small.commit(&Caller::person(1000, false, false), vec![Draft::new(Subject::Agent(fixer()), data.into())]);
}

/// A log with an agent whose key this one has to certify.
fn in_custody_of(authority: Option<&PrivateKey>) -> Small {
    let mut small = Small::new();
    let authority = authority.map(|key| Authority {
        public_key: key.public_key().to_string(),
        nonce: "n".into(),
        signature: possession(PossessionKind::Authority, key),
    });
    let enrolled = AgentEnrolled {
        agent_id: format!("spiffe://{DOMAIN}/agent/fixer-1"),
        owner: 1000,
        public_key: agent_key().public_key().to_string(),
        custody: Custody::Owner,
        nonce: "n".into(),
        signature: possession(PossessionKind::Enroll, &agent_key()),
        skills: Vec::new(),
        shared: false,
        max_concurrency: 1,
        model: None,
        runtime: None,
        authority,
        declared: None,
    };
    told(&mut small, enrolled);
    small
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn blob(key: &PublicKey) -> Vec<u8> {
    [string(b"ssh-ed25519"), string(key.as_bytes())].concat()
}

/// A certificate over the key of `fixer` that holds between two seconds of the log.
fn certified(by: &PrivateKey, from: u64, until: u64) -> KeyCertified {
    let (key, wall) = (agent_key().public_key(), |second| moment(second).wall.as_ms());
    let second = |at: u64| u64::try_from(wall(at) / 1000).unwrap().to_be_bytes();
    let principal = string(format!("fixer@{DOMAIN}").as_bytes());
    let signed = [
        string(CERTIFICATE_TYPE.as_bytes()),
        string(&[7; 32]),
        string(key.as_bytes()),
        0_u64.to_be_bytes().to_vec(),
        1_u32.to_be_bytes().to_vec(),
        string(b"agentd:fixer"),
        string(&principal),
        second(from).to_vec(),
        second(until).to_vec(),
        string(b""),
        string(b""),
        string(b""),
        string(&blob(&by.public_key())),
    ]
    .concat();
    let signature = [string(b"ssh-ed25519"), string(&by.sign(&signed))].concat();
    let whole = [signed, string(&signature)].concat();
    KeyCertified {
        certificate: format!("{CERTIFICATE_TYPE} {}", BASE64.encode(&whole)),
        serial: 0,
        public_key: key.to_string(),
        authority: by.public_key().to_string(),
        valid_after: WallMs::saturating(wall(from)),
        valid_before: WallMs::saturating(wall(until)),
    }
}

#[test]
fn a_result_under_the_certificate_of_the_owner_holds_and_is_counted() {
    let mut small = in_custody_of(Some(&owner()));
    told(&mut small, certified(&owner(), 0, 100));
    small.work();
    let deep = check(&small.path()).unwrap();
    assert_eq!((deep.statements, deep.possessions, deep.certificates), (1, 2, 1));
    assert_eq!(deep.custody, BTreeMap::from([("owner".to_owned(), 1)]));
}

#[test]
fn a_result_without_one_that_held_then_is_named() {
    let uncovered = "event 6: its signed statement: no certificate of the owner held then";
    let mut small = in_custody_of(Some(&owner()));
    small.work();
    assert_eq!(check(&small.path()).unwrap_err().to_string(), uncovered);
    let mut small = in_custody_of(Some(&owner()));
    told(&mut small, certified(&owner(), 0, 5));
    small.work();
    assert_eq!(check(&small.path()).unwrap_err().to_string(), uncovered.replace('6', "7"));
}

#[test]
fn a_certificate_that_the_owner_did_not_give_or_that_says_something_else_is_named() {
    let stranger = PrivateKey::from_seed(&[41; 32]);
    let longer = KeyCertified { valid_before: moment(1000).wall, ..certified(&owner(), 0, 100) };
    for (certified, says) in [
        (certified(&stranger, 0, 100), "event 2: its certificate: it was made with the key SHA256:"),
        (certified(&owner(), 50, 100), "event 2: its certificate: it does not hold before "),
        (certified(&owner(), 0, 3_000_000), "event 2: its certificate: it holds until "),
        (longer, "event 2: its certificate: the event says something else"),
    ] {
        let mut small = in_custody_of(Some(&owner()));
        told(&mut small, certified);
        let error = check(&small.path()).unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
    let error = check(&in_custody_of(None).path()).unwrap_err().to_string();
    assert!(error.starts_with("event 1: its proof of possession: custody and the owner's key"), "{error}");
}
