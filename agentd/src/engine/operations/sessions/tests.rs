use agentd_schemas::document::request::KeyRotation;
use agentd_schemas::http::{ChallengeRequest, ChallengeResponse, TokenRequest, TokenResponse};
use agentd_schemas::key::openssh::PrivateKey;
use agentd_schemas::key::possession::PossessionKind;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;

use super::is_user_of;
use crate::engine::Engine;
use crate::engine::trial::{self, enrol, recorded};
use crate::policy::Caller;

const OWNER: Caller = Caller::person(1000, false, false);

fn challenge(engine: &Engine, uid: u32, name: &str) -> ChallengeResponse {
    engine.agent_challenge(uid, &ChallengeRequest { agent: name.parse().unwrap() }).unwrap()
}

/// Signs a message with a key and hands it in.
fn redeem(
    engine: &Engine,
    uid: u32,
    name: &str,
    challenge: &ChallengeResponse,
    key: &PrivateKey,
) -> Result<TokenResponse, Problem> {
    let signature = data_encoding::BASE64.encode(&key.sign(challenge.message.as_bytes()));
    let request = TokenRequest { agent: name.parse().unwrap(), nonce: challenge.nonce.clone(), signature };
    engine.agent_token(uid, &request)
}

/// A challenge without its nonce and its key.
fn shape(challenge: &ChallengeResponse, name: &str) -> String {
    let (text, key) = challenge.message.split_once("public-key: ").unwrap();
    assert!(key.starts_with("ssh-ed25519 "), "{key}");
    text.replace(&challenge.nonce, "…").replace(name, "…") + &key.len().to_string()
}

fn key_in(challenge: &ChallengeResponse) -> String {
    challenge.message.split_once("public-key: ").unwrap().1.to_owned()
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_challenged_like_any_other() {
    let (engine, _state) = trial::engine().await;
    let key = enrol(&engine, &OWNER, "fixer", 1).await;
    let real = challenge(&engine, 1000, "fixer");
    assert_eq!(key_in(&real).trim(), key.public_key().to_string());
    let (foreign, unknown) = (challenge(&engine, 1001, "fixer"), challenge(&engine, 1001, "ghost"));
    assert_eq!(shape(&foreign, "fixer"), shape(&unknown, "ghost"));
    assert_eq!(shape(&foreign, "fixer"), shape(&real, "fixer"));
    assert_ne!(key_in(&foreign), key_in(&real), "another uid does not learn the key");
    assert_eq!(key_in(&unknown), key_in(&challenge(&engine, 1002, "ghost")), "a made-up key stays");
}

#[tokio::test]
async fn before_possession_is_proven_every_refusal_is_the_same() {
    let (engine, _state) = trial::engine().await;
    let keys: Vec<PrivateKey> = vec![
        enrol(&engine, &OWNER, "fixer", 1).await,
        enrol(&engine, &OWNER, "asleep", 2).await,
        enrol(&engine, &OWNER, "keyless", 3).await,
    ];
    engine.set_agent_state(&OWNER, "asleep", "suspend", "look").await.unwrap();
    engine.revoke_key(&OWNER, "keyless", "lost").await.unwrap();
    let wrong = PrivateKey::from_seed(&[9; 32]);
    let refused = |uid: u32, name: &str, key: &PrivateKey, word: &str| {
        let problem = redeem(&engine, uid, name, &challenge(&engine, uid, name), key).unwrap_err();
        assert_eq!(recorded(&engine), [format!("{name}: {word}")]);
        let (code, hint) = (problem.code, problem.hint.clone());
        (code, problem.message.replace(name, "…"), hint, problem.details.len())
    };
    let unknown = refused(1000, "ghost", &wrong, "unknown_agent");
    assert_eq!(unknown.0, Code::BadSignature);
    assert_eq!(refused(1000, "fixer", &wrong, "bad_signature"), unknown);
    assert_eq!(refused(1000, "asleep", &wrong, "bad_signature"), unknown);
    assert_eq!(refused(1000, "keyless", &wrong, "bad_signature"), unknown);
    assert_eq!(refused(1001, "fixer", &keys[0], "wrong_uid"), unknown, "the right key under another uid");
    // Who holds the key learns why it is of no use.
    assert_eq!(refused(1000, "asleep", &keys[1], "suspended").0, Code::KeyRevoked);
    assert_eq!(refused(1000, "keyless", &keys[2], "revoked_key").0, Code::KeyRevoked);
    redeem(&engine, 1000, "fixer", &challenge(&engine, 1000, "fixer"), &keys[0]).unwrap();
}

#[tokio::test]
async fn a_token_of_another_uid_is_recorded_as_such() {
    let (engine, _state) = trial::engine().await;
    let key = enrol(&engine, &OWNER, "fixer", 1).await;
    let token = redeem(&engine, 1000, "fixer", &challenge(&engine, 1000, "fixer"), &key).unwrap().token;
    let (foreign, unknown) = (engine.bearer(1001, &token).unwrap_err(), engine.bearer(1001, "nobodys").unwrap_err());
    assert_eq!(foreign, unknown, "the answer does not tell");
    assert_eq!(
        recorded(&engine),
        ["fixer: wrong_uid"],
        "one of before a restart is unknown too, and no attempt of anybody"
    );
}

/// Gives an agent a new key, as its owner.
async fn rotate(engine: &Engine, name: &str, seed: u8) -> PrivateKey {
    let key = PrivateKey::from_seed(&[seed; 32]);
    let (public_key, nonce) = (key.public_key(), engine.challenge(&OWNER, name).unwrap());
    let message = engine.possession(PossessionKind::Rotate, &name.parse().unwrap(), &nonce, &public_key).message();
    let signature = data_encoding::BASE64.encode(&key.sign(&message.unwrap()));
    let name = name.parse().unwrap();
    let rotation = KeyRotation { name, public_key: public_key.to_string(), nonce, signature, reason: "old".into() };
    engine.rotate_key(&OWNER, rotation).await.unwrap();
    key
}

#[tokio::test]
async fn a_token_that_comes_after_the_rotation_for_a_proof_before_it_is_void() {
    let (engine, _state) = trial::engine().await;
    let old = enrol(&engine, &OWNER, "fixer", 1).await;
    let issue = |key: &PrivateKey| {
        let now = engine.0.clock.boot_ms();
        engine.0.tokens.lock().unwrap().issue(&"fixer".parse().unwrap(), 1000, key.public_key(), now).unwrap()
    };
    let before = issue(&old);
    engine.bearer(1000, &before).unwrap();
    let new = rotate(&engine, "fixer", 2).await;
    // What a proof that was checked a moment before the rotation would be given a moment after it.
    let late = issue(&old);
    for token in [before, late] {
        assert_eq!(engine.bearer(1000, &token).unwrap_err().code, Code::Unauthenticated);
        assert_eq!(recorded(&engine), ["fixer: void_token"]);
    }
    let good = issue(&new);
    engine.bearer(1000, &good).unwrap();
    engine.revoke_key(&OWNER, "fixer", "lost").await.unwrap();
    for token in [good, issue(&new)] {
        assert_eq!(engine.bearer(1000, &token).unwrap_err().code, Code::Unauthenticated, "the key is revoked");
    }
}

#[tokio::test]
async fn a_nonce_for_persons_is_for_persons() {
    let (engine, _state) = trial::engine().await;
    enrol(&engine, &OWNER, "fixer", 1).await;
    let agent = Caller::agent("fixer".parse().unwrap(), 1000);
    assert_eq!(engine.challenge(&agent, "other").unwrap_err().code, Code::Denied);
    assert!(recorded(&engine)[0].starts_with("agent.enrol on agents of one's own"));
    engine.challenge(&OWNER, "other").unwrap();
}

#[tokio::test]
async fn challenges_need_no_key_files_once_the_daemon_runs() {
    let (engine, state) = trial::engine().await;
    let before = key_in(&challenge(&engine, 1000, "ghost"));
    std::fs::remove_dir_all(state.join("keys")).unwrap();
    assert_eq!(key_in(&challenge(&engine, 1000, "ghost")), before);
}

#[test]
fn the_user_of_a_unit_is_that_of_one_agent() {
    let fixer: Slug = "fixer".parse().unwrap();
    assert!(is_user_of("agent-fixer", &fixer));
    for other in ["fixer", "agent-fixer2", "agent-", "agent-agent-fixer", "alice"] {
        assert!(!is_user_of(other, &fixer), "{other}");
    }
}
