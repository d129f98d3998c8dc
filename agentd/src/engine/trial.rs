//! What the tests of the engine and of the doors stand on: a real engine with a ledger of its own.

use std::sync::Arc;

use agentd_schemas::document::request::Enrolment;
use agentd_schemas::document::{AgentDocument, WorkDocument};
use agentd_schemas::key::openssh::PrivateKey;
use agentd_schemas::key::possession::{Possession, PossessionKind};
use agentd_schemas::problem::Problem;
use jiff::tz::TimeZone;

use crate::domain::{Command, Defaults};
use crate::engine::{self, Engine, Settings};
use crate::policy::Caller;
use crate::sys::scratch::Scratch;

/// An engine without its loops; its state goes away with the second value.
pub(crate) async fn engine() -> (Engine, Scratch) {
    engine_with(Defaults::default()).await
}

/// The same, with other bounds.
pub(crate) async fn engine_with(defaults: Defaults) -> (Engine, Scratch) {
    let state = Scratch::new();
    let settings = Settings {
        mode: "private",
        state: state.path().to_owned(),
        agents_socket: state.join("agents.sock"),
        trust_domain: None,
        zone: TimeZone::UTC,
        configuration: None,
        defaults: Arc::new(defaults),
        policies: None,
        keks: Arc::default(),
        journal: false,
        runs: None,
    };
    (engine::start(settings).await.unwrap(), state)
}

/// A document from its JSON, as doors read them.
pub(crate) fn document(json: serde_json::Value) -> WorkDocument {
    serde_json::from_value(json).unwrap()
}

/// Submits one work; answers with its id.
pub(crate) async fn submit(engine: &Engine, owner: &Caller, json: serde_json::Value) -> String {
    let submitted = engine.submit(owner, vec![document(json)], None, b"").await.unwrap();
    submitted.works[0].id.to_string()
}

/// Takes in an agent of the owner, whose key comes from a seed.
pub(crate) async fn enrol(engine: &Engine, owner: &Caller, name: &str, seed: u8) -> PrivateKey {
    enrolled(engine, owner, name, seed).await.unwrap()
}

/// The same, where it may be refused.
pub(crate) async fn enrolled(engine: &Engine, owner: &Caller, name: &str, seed: u8) -> Result<PrivateKey, Problem> {
    let key = PrivateKey::from_seed(&[seed; 32]);
    let (public_key, nonce) = (key.public_key(), engine.challenge(owner, name).unwrap());
    let trust_domain = &engine.host().trust_domain;
    let possession =
        Possession { kind: PossessionKind::Enroll, trust_domain, name, nonce: &nonce, public_key: &public_key };
    let signature = data_encoding::BASE64.encode(&key.sign(&possession.message().unwrap()));
    let agent: AgentDocument = serde_json::from_value(serde_json::json!({ "name": name })).unwrap();
    let enrolment = Enrolment { agent, public_key: public_key.to_string(), nonce, signature, declared: None };
    engine.enrol(owner, enrolment).await.map(|_| key)
}

/// What waits to be put on record, and is taken from there: `work.read on work w-… (no_rule)`, `fixer: wrong_uid`.
pub(crate) fn recorded(engine: &Engine) -> Vec<String> {
    let taken = engine.0.denials.take(0).into_iter();
    taken
        .map(|(_, command)| match command {
            Command::RecordDenial { action, resource, rule } => format!("{action} on {resource} ({rule})"),
            Command::RecordAuthenticationFailure { claimed, reason } => format!("{claimed}: {reason}"),
            other => format!("{other:?}"),
        })
        .collect()
}
