//! An agent at its door: it proves that it has its key, and signs what it hands in.

use std::path::PathBuf;

use agentd_schemas::http::{ChallengeResponse, Claim, Completed, TokenResponse};
use agentd_schemas::key::dsse::Envelope;
use agentd_schemas::key::openssh::PrivateKey;
use agentd_schemas::key::possession::{Possession, PossessionKind};
use agentd_schemas::key::statement::{Artefact, Completion, PAYLOAD_TYPE, Sha256Digest, StatementError};
use agentd_schemas::problem::Problem;
use data_encoding::BASE64;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::http::{Answer, Request};
use super::{Daemon, Operator};

/// The key of a name: the same in each run.
pub fn key_of(name: &str) -> PrivateKey {
    PrivateKey::from_seed(&Sha256::digest(name.as_bytes()).into())
}

/// An agent that is signed in.
pub struct Agent {
    /// Its name.
    pub name: String,
    /// Its key.
    pub key: PrivateKey,
    /// Its token.
    pub token: String,
    /// `spiffe://…`.
    pub id: String,
    /// Origin of the ledger.
    pub origin: String,
    socket: PathBuf,
}

impl Agent {
    /// Enrols an agent over D-Bus and signs it in.
    pub fn enrol(daemon: &Daemon, operator: &Operator, name: &str, skills: &[&str]) -> Self {
        Self::enrol_as(daemon, operator, &json!({"name": name, "skills": skills}))
    }

    /// Enrols an agent from its document.
    pub fn enrol_as(daemon: &Daemon, operator: &Operator, document: &Value) -> Self {
        let name = document["name"].as_str().unwrap();
        Self::enrolment(operator, document, &key_of(name)).unwrap();
        let mut agent = Self::stranger(daemon, name);
        agent.sign_in().unwrap();
        agent
    }

    /// Sends an enrolment.
    pub fn enrolment(operator: &Operator, document: &Value, key: &PrivateKey) -> Result<Value, Problem> {
        let name = document["name"].as_str().unwrap();
        let nonce: String = operator.call("Agents", "Challenge", &name)?;
        let signature = prove(operator, PossessionKind::Enroll, name, &nonce, key, key);
        let enrolment = json!({"agent": document, "public_key": key.public_key().to_string(), "nonce": nonce,
            "signature": signature});
        operator.ask("Agents", "Enroll", &enrolment.to_string())
    }

    /// An agent with the key of its name that has not signed in.
    pub fn stranger(daemon: &Daemon, name: &str) -> Self {
        let (token, id, origin) = Default::default();
        Self { name: name.to_owned(), key: key_of(name), token, id, origin, socket: daemon.agents_socket() }
    }

    /// Gets a token for its key.
    pub fn sign_in(&mut self) -> Result<(), Problem> {
        let challenge = self.challenge();
        let answer = self.redeem(&challenge, &self.key);
        if answer.status != 200 {
            return Err(answer.problem());
        }
        let token: TokenResponse = answer.read();
        (self.token, self.id, self.origin) = (token.token, token.agent_id, token.origin);
        Ok(())
    }

    /// Asks for a nonce.
    pub fn challenge(&self) -> ChallengeResponse {
        self.post("/v1/challenge", &json!({"agent": self.name})).read()
    }

    /// Signs a challenge with a key and hands it in.
    pub fn redeem(&self, challenge: &ChallengeResponse, key: &PrivateKey) -> Answer {
        let signature = BASE64.encode(&key.sign(challenge.message.as_bytes()));
        self.post("/v1/token", &json!({"agent": self.name, "nonce": challenge.nonce, "signature": signature}))
    }

    /// Sends a document.
    pub fn post(&self, path: &str, document: &Value) -> Answer {
        self.post_bytes(path, document.to_string().as_bytes())
    }

    /// Sends bytes.
    pub fn post_bytes(&self, path: &str, body: &[u8]) -> Answer {
        let token = Some(self.token.as_str()).filter(|token| !token.is_empty());
        Request { method: "POST", path, token, body }.send(&self.socket)
    }

    /// Asks for work and waits so many seconds.
    pub fn ask(&self, wait_s: u32) -> Option<Claim> {
        let answer = self.post("/v1/claim", &json!({"wait_s": wait_s}));
        if answer.status == 204 { None } else { Some(answer.read()) }
    }

    /// Claims a work, which must come.
    pub fn claim(&self) -> Claim {
        self.ask(30).expect("there is work")
    }

    /// Claims a work with the shortest lease.
    pub fn claim_briefly(&self) -> Claim {
        self.post("/v1/claim", &json!({"wait_s": 30, "lease_s": 5})).read()
    }

    /// Says something about a run; the fence is added.
    pub fn say(&self, claim: &Claim, verb: &str, mut document: Value) -> Answer {
        document["fence"] = json!(claim.fence);
        self.post(&format!("/v1/runs/{}/{verb}", claim.run), &document)
    }

    /// The statement that fits a claim and a result.
    pub fn statement(&self, claim: &Claim, result: &str) -> Completion {
        statement(claim, result, &self.id, &self.origin).unwrap()
    }

    /// Hands in a result with a statement by a key.
    pub fn hand_in(&self, claim: &Claim, result: &str, statement: &Completion, key: &PrivateKey) -> Answer {
        let envelope = Envelope::sign(key, PAYLOAD_TYPE, &statement.to_json().unwrap()).unwrap();
        self.say(claim, "complete", json!({"result": result, "statement": envelope}))
    }

    /// Hands in a result, signed as it must be.
    pub fn complete(&self, claim: &Claim, result: &str) -> Completed {
        self.hand_in(claim, result, &self.statement(claim, result), &self.key).read()
    }
}

/// The statement by which an agent says that a result is what it made of a claim.
pub fn statement(claim: &Claim, result: &str, agent: &str, origin: &str) -> Result<Completion, StatementError> {
    let sha256 = Sha256Digest(Sha256::digest(result.as_bytes()).into());
    Ok(Completion {
        artefacts: vec![Artefact { name: "result".to_owned(), sha256 }],
        origin: origin.to_owned(),
        work: claim.work.to_string(),
        run: claim.run.to_string(),
        fence: claim.fence.n,
        agent: agent.to_owned(),
        epoch: u64::from(claim.epoch),
        acceptance: claim.acceptance.parse()?,
        finished_at: None,
    })
}

/// A raw signature over a possession text: `key` is proven, `signer` signs.
fn prove(
    operator: &Operator,
    kind: PossessionKind,
    name: &str,
    nonce: &str,
    key: &PrivateKey,
    signer: &PrivateKey,
) -> String {
    let status = operator.ask("Host", "Status", &()).unwrap();
    let trust_domain = status["trust_domain"].as_str().unwrap();
    let public_key = key.public_key();
    let possession = Possession { kind, trust_domain, name, nonce, public_key: &public_key };
    possession.sign(signer).unwrap().to_string()
}
