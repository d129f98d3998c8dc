//! Statements and proofs of a key that are not right.

use agentd_schemas::key::dsse::Envelope;
use agentd_schemas::key::statement::Completion;
use agentd_tests::harness::{Agent, eventually, key_of, scene};
use serde_json::{Value, json};

use super::{claimed, code};

/// What a forger changes in a statement.
type Change = fn(&mut Completion);

#[test]
fn a_statement_about_anything_else_is_refused_and_the_field_named() {
    let (_daemon, operator, agent) = scene(&[]);
    let claim = claimed(&operator, &agent);
    let right = agent.statement(&claim, "result");
    let changes: [(&str, Change); 8] = [
        ("origin", |said| said.origin.push('x')),
        ("work", |said| said.work = "w-7kq3x2mbnd5fa6uz".to_owned()),
        ("run", |said| said.run = said.run.replace(".1", ".2")),
        ("fence", |said| said.fence += 1),
        ("agent", |said| said.agent.push('x')),
        ("epoch", |said| said.epoch += 1),
        ("acceptance", |said| said.acceptance.0[0] ^= 1),
        ("sha256", |said| said.artefacts[0].sha256.0[31] ^= 1),
    ];
    for (field, change) in changes {
        let mut wrong = right.clone();
        change(&mut wrong);
        let problem = agent.hand_in(&claim, "result", &wrong, &agent.key).problem();
        assert_eq!(code(&problem), "bad_signature", "{field}");
        assert!(problem.message.contains(field), "{field}: {}", problem.message);
    }
    let problem = agent.hand_in(&claim, "another result", &right, &agent.key).problem();
    assert_eq!(code(&problem), "bad_signature");
    let problem = agent.hand_in(&claim, "result", &right, &key_of("a stranger")).problem();
    assert_eq!(code(&problem), "bad_signature");
    // Refusals changed nothing: the right one is still taken.
    agent.complete(&claim, "result");
    assert_eq!(operator.count("WorkCompleted"), 1);
    eventually("the failures to be on record", || (operator.count("AuthenticationFailed") > 0).then_some(()));
}

#[test]
fn a_signature_over_another_payload_type_is_refused() {
    let (_daemon, operator, agent) = scene(&[]);
    let claim = claimed(&operator, &agent);
    let payload = agent.statement(&claim, "r").to_json().unwrap();
    let envelope = Envelope::sign(&agent.key, "text/plain", &payload).unwrap();
    let problem = agent.say(&claim, "complete", json!({"result": "r", "statement": envelope})).problem();
    assert_eq!(code(&problem), "bad_signature");
}

#[test]
fn a_statement_of_an_earlier_attempt_is_no_use_for_the_next() {
    let (_daemon, operator, agent) = scene(&[]);
    let schema = json!({"json_schema": {"type": "integer"}});
    operator.submit(&json!({"title": "n", "acceptance": [schema]}));
    let first = agent.claim();
    let old = agent.statement(&first, "\"no\"");
    agent.hand_in(&first, "\"no\"", &old, &agent.key).read::<Value>();
    let second = agent.claim();
    let replayed = agent.hand_in(&second, "\"no\"", &old, &agent.key).problem();
    assert_eq!(code(&replayed), "bad_signature");
    let late = agent.hand_in(&first, "1", &agent.statement(&first, "1"), &agent.key).problem();
    assert_eq!(code(&late), "stale_fence");
    agent.complete(&second, "1");
}

#[test]
fn a_nonce_is_good_once_and_for_its_own_name() {
    let (daemon, operator, agent) = scene(&[]);
    let other = Agent::enrol(&daemon, &operator, "other", &[]);
    let challenge = agent.challenge();
    assert_eq!(agent.redeem(&challenge, &agent.key).status, 200);
    assert_eq!(code(&agent.redeem(&challenge, &agent.key).problem()), "unauthenticated");
    assert_eq!(code(&agent.redeem(&agent.challenge(), &other.key).problem()), "bad_signature");
    let mut borrowed = other.challenge();
    borrowed.message = borrowed.message.replace("name: other", "name: worker");
    assert_eq!(code(&agent.redeem(&borrowed, &agent.key).problem()), "unauthenticated");
    let stranger = Agent::stranger(&daemon, "nobody");
    assert_eq!(code(&stranger.redeem(&stranger.challenge(), &stranger.key).problem()), "bad_signature");
}

#[test]
fn an_enrolment_needs_the_key_it_names() {
    let (_daemon, operator, agent) = scene(&[]);
    let nonce: String = operator.call("Agents", "Challenge", &"thief").unwrap();
    let enrolment = json!({"agent": {"name": "thief"}, "public_key": key_of("thief").public_key().to_string(),
        "nonce": nonce, "signature": data_encoding::BASE64.encode(&[7; 64])});
    let problem = operator.ask("Agents", "Enroll", &enrolment.to_string()).unwrap_err();
    assert_eq!(code(&problem), "bad_signature");
    let problem = Agent::enrolment(&operator, &json!({"name": "twin"}), &agent.key).unwrap_err();
    assert_eq!(code(&problem), "name_taken", "a key belongs to one agent");
    let problem = Agent::enrolment(&operator, &json!({"name": "worker"}), &key_of("new")).unwrap_err();
    assert_eq!(code(&problem), "name_taken");
}

#[test]
fn a_revoked_key_ends_its_tokens_and_its_signatures() {
    let (_daemon, operator, mut agent) = scene(&[]);
    let claim = claimed(&operator, &agent);
    operator.call::<()>("Agents", "RevokeKey", &("worker", "lost laptop")).unwrap();
    for answer in [
        agent.say(&claim, "heartbeat", json!({})),
        agent.hand_in(&claim, "r", &agent.statement(&claim, "r"), &agent.key),
        agent.post("/v1/claim", &json!({})),
    ] {
        let problem = answer.problem();
        assert!(["unauthenticated", "key_revoked", "stale_fence"].contains(&code(&problem)), "{problem:?}");
    }
    assert_eq!(code(&agent.sign_in().unwrap_err()), "key_revoked");
    assert_eq!(operator.count("WorkCompleted"), 0);
}

#[test]
fn after_a_rotation_the_old_key_signs_nothing() {
    let (_daemon, operator, mut agent) = scene(&[]);
    let new = key_of("worker, anew");
    let nonce: String = operator.call("Agents", "Challenge", &"worker").unwrap();
    let trust_domain = operator.ask("Host", "Status", &()).unwrap()["trust_domain"].as_str().unwrap().to_owned();
    let message = format!(
        "agentd-possession-v1\nkind: rotate\ntrust-domain: {trust_domain}\nname: worker\nnonce: {nonce}\npublic-key: {}\n",
        new.public_key()
    );
    let signature = data_encoding::BASE64.encode(&new.sign(message.as_bytes()));
    let rotation = json!({"name": "worker", "public_key": new.public_key().to_string(), "nonce": nonce,
        "signature": signature, "reason": "yearly"});
    operator.call::<()>("Agents", "RotateKey", &rotation.to_string()).unwrap();
    let old = std::mem::replace(&mut agent.key, new);
    assert_eq!(code(&agent.redeem(&agent.challenge(), &old).problem()), "bad_signature");
    agent.sign_in().unwrap();
    let claim = claimed(&operator, &agent);
    let problem = agent.hand_in(&claim, "r", &agent.statement(&claim, "r"), &old).problem();
    assert_eq!(code(&problem), "bad_signature");
    agent.complete(&claim, "r");
    assert_eq!(code(&Agent::enrolment(&operator, &json!({"name": "heir"}), &old).unwrap_err()), "name_taken");
}
