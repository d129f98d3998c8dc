//! An agent that has proved who it is: a token from the daemon, taken anew when it is no longer good.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use agentd_schemas::http::{ChallengeRequest, ChallengeResponse, TokenRequest, TokenResponse};
use agentd_schemas::key::openssh::PrivateKey;
use agentd_schemas::key::possession::{Possession, PossessionKind};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::door::{Door, Trouble};
use crate::agent_key;

/// For one step of the proof.
const PATIENCE: Duration = Duration::from_secs(15);

/// One agent at the door.
pub(crate) struct Session {
    door: Door,
    name: Slug,
    key: RwLock<Arc<PrivateKey>>,
    /// Where the key came from, and comes from again after a rotation.
    file: Option<PathBuf>,
    token: Mutex<Option<Arc<TokenResponse>>>,
}

impl Session {
    /// An agent that has not proved itself yet.
    pub(crate) fn new(door: Door, name: Slug, key: PrivateKey) -> Self {
        Self { door, name, key: RwLock::new(Arc::new(key)), file: None, token: Mutex::new(None) }
    }

    /// The same with the file of its key, which is read anew when agentd refuses the key.
    #[must_use]
    pub(crate) fn with_file(mut self, file: PathBuf) -> Self {
        self.file = Some(file);
        self
    }

    /// The key that signs results.
    pub(crate) fn key(&self) -> Arc<PrivateKey> {
        self.key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the key that is in the file now; false when it is the one that was refused.
    fn read_again(&self) -> bool {
        let Some(Ok(key)) = self.file.as_deref().map(agent_key::load) else {
            return false;
        };
        if key.public_key() == self.key().public_key() {
            return false;
        }
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
        true
    }

    /// The token, and with it the agent's id and the origin of the log.
    pub(crate) async fn token(&self) -> Result<Arc<TokenResponse>, Trouble> {
        let mut held = self.token.lock().await;
        if let Some(token) = &*held {
            return Ok(token.clone());
        }
        let fresh = Arc::new(self.prove().await?);
        *held = Some(fresh.clone());
        Ok(fresh)
    }

    /// Posts a document as this agent; proves itself again when the token is no longer good.
    pub(crate) async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        question: &Q,
        patience: Duration,
    ) -> Result<Option<A>, Trouble> {
        let token = self.token().await?;
        let answer = self.door.post(path, Some(&token.token), question, patience).await;
        match &answer {
            Err(Trouble::Refused(problem)) if problem.code == Code::Unauthenticated => {}
            _ => return answer,
        }
        self.forget(&token).await;
        let token = self.token().await?;
        self.door.post(path, Some(&token.token), question, patience).await
    }

    /// Drops a token, unless somebody has a newer one already.
    async fn forget(&self, token: &Arc<TokenResponse>) {
        let mut held = self.token.lock().await;
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, token)) {
            *held = None;
        }
    }

    /// Proves the key, and after a refusal once more with the key that is in its file by then.
    async fn prove(&self) -> Result<TokenResponse, Trouble> {
        match self.prove_once().await {
            Err(trouble) if is_about_the_key(&trouble) && self.read_again() => {
                super::log("the key was rotated: goes on with the new one in its file");
                self.prove_once().await
            }
            proved => proved,
        }
    }

    async fn prove_once(&self) -> Result<TokenResponse, Trouble> {
        let agent = self.name.clone();
        let asked = ChallengeRequest { agent: agent.clone() };
        let challenge: ChallengeResponse = whole(self.door.post("/v1/challenge", None, &asked, PATIENCE).await?)?;
        let key = self.key();
        if !self.is_proof_of_possession(&challenge, &key) {
            return Err(Trouble::Refused(self.not_its_key()));
        }
        let signature = agent_key::sign(&key, challenge.message.as_bytes());
        let proof = TokenRequest { agent, nonce: challenge.nonce, signature };
        whole(self.door.post("/v1/token", None, &proof, PATIENCE).await?)
    }

    fn not_its_key(&self) -> Problem {
        let agent = &self.name;
        let file = self.file.as_ref().map_or_else(String::new, |file| format!(" in {}", file.display()));
        let words =
            format!("agent {agent} does not have the key{file}: it has another one, or belongs to another user");
        let hint = format!(
            "agentctl agent show {agent} names its key; --key FILE takes another one. An agent that is not there is enrolled by \
             its owner: agentctl agent enroll {agent} --key-dir DIR"
        );
        Problem::new(Code::Denied, words + "; nothing was signed").hint(hint)
    }

    /// Whether the text is exactly the one that proves this key to this agent's daemon: a key signs nothing else for
    /// somebody who asks nicely.
    fn is_proof_of_possession(&self, challenge: &ChallengeResponse, key: &PrivateKey) -> bool {
        let line = challenge.message.lines().find_map(|line| line.strip_prefix("trust-domain: "));
        let Some(trust_domain) = line else {
            return false;
        };
        let possession = Possession {
            kind: PossessionKind::Authenticate,
            trust_domain,
            name: self.name.as_str(),
            nonce: &challenge.nonce,
            public_key: &key.public_key(),
        };
        possession.message().is_ok_and(|message| message == challenge.message.as_bytes())
    }
}

/// Whether another key may be the cure.
fn is_about_the_key(trouble: &Trouble) -> bool {
    let codes = [Code::Denied, Code::Unauthenticated, Code::BadSignature, Code::KeyRevoked];
    matches!(trouble, Trouble::Refused(problem) if codes.contains(&problem.code))
}

/// An answer that must have a body.
pub(super) fn whole<A>(answer: Option<A>) -> Result<A, Trouble> {
    answer.ok_or_else(|| Trouble::Away("its answer is empty".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_signs_only_the_text_that_proves_it_to_its_own_daemon() {
        let key = PrivateKey::from_seed(&[7; 32]);
        let public = key.public_key();
        let session = Session::new(Door::new("/nowhere".into()), "fixer".parse().unwrap(), key.clone());
        let text = |kind, name: &str, nonce: &str| {
            let possession = Possession { kind, trust_domain: "h-1.agentd.internal", name, nonce, public_key: &public };
            String::from_utf8(possession.message().unwrap()).unwrap()
        };
        let is_proof = |message: String| {
            session.is_proof_of_possession(&ChallengeResponse { nonce: "n1".to_owned(), message }, &key)
        };
        assert!(is_proof(text(PossessionKind::Authenticate, "fixer", "n1")));
        assert!(!is_proof(text(PossessionKind::Rotate, "fixer", "n1")));
        assert!(!is_proof(text(PossessionKind::Authenticate, "other", "n1")));
        assert!(!is_proof(text(PossessionKind::Authenticate, "fixer", "n2")));
        assert!(!is_proof(text(PossessionKind::Authenticate, "fixer", "n1") + "DSSEv1"));
        assert!(!is_proof("DSSEv1 4 text".to_owned()));
    }
}
