//! Agents that prove who they are: challenge, token, bearer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use agentd_schemas::http::{ChallengeRequest, ChallengeResponse, TokenRequest, TokenResponse};
use agentd_schemas::id::RunId;
use agentd_schemas::key::openssh::PublicKey;
use agentd_schemas::key::possession::{Possession, PossessionKind, PossessionSignature};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;
use rusqlite::OptionalExtension as _;

use crate::engine::Engine;
use crate::identity::Decoys;
use crate::identity::token::{Bearer, TOKEN_LIFE_MS, TokenError};
use crate::policy::Caller;
use crate::sys::groups::dynamic_user;

/// What the name of the user of an agent's unit begins with: `User=agent-%i`.
const UNIT_USER: &str = "agent-";

/// What authentication needs to know of an agent.
pub(crate) struct Known {
    /// Its key.
    pub(in crate::engine) public_key: PublicKey,
    /// The uid that answers for it.
    pub(super) owner: u32,
    /// `spiffe://…`.
    pub(in crate::engine) agent_id: String,
    /// Why it may not come in.
    pub(super) shut_out: Option<&'static str>,
}

/// Agents that are remembered: as many as a host may have, and none longer than until its next event.
pub(crate) struct KnownAgents {
    /// How often something was forgotten, and what is remembered.
    inner: Mutex<(u64, HashMap<Slug, Arc<Known>>)>,
    /// What is shown instead of agents that are not there.
    decoys: Decoys,
}

impl KnownAgents {
    /// Nobody is remembered yet.
    pub(crate) fn new(decoys: Decoys) -> Self {
        Self { inner: Mutex::default(), decoys }
    }

    fn with<T>(&self, change: impl FnOnce(&mut u64, &mut HashMap<Slug, Arc<Known>>) -> T) -> T {
        let mut inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (forgotten, agents) = &mut *inner;
        change(forgotten, agents)
    }

    /// Forgets an agent of which there is a new event.
    pub(crate) fn forget(&self, name: &Slug) {
        self.with(|forgotten, agents| {
            *forgotten += 1;
            agents.remove(name);
        });
    }

    fn get(&self, name: &Slug) -> (Option<Arc<Known>>, u64) {
        self.with(|forgotten, agents| (agents.get(name).cloned(), *forgotten))
    }

    /// Remembers what was read, unless something was forgotten since: it may have been this.
    fn remember(&self, name: &Slug, known: &Arc<Known>, since: u64) {
        self.with(|forgotten, agents| {
            if *forgotten == since {
                agents.insert(name.clone(), known.clone());
            }
        });
    }
}

impl Engine {
    pub(in crate::engine) fn known(&self, name: &Slug) -> Result<Option<Arc<Known>>, Problem> {
        let (known, since) = self.0.known.get(name);
        if known.is_some() {
            return Ok(known);
        }
        let read = self.read_known(name)?.map(Arc::new);
        if let Some(known) = &read {
            self.0.known.remember(name, known, since);
        }
        Ok(read)
    }

    fn read_known(&self, name: &Slug) -> Result<Option<Known>, Problem> {
        let sql = "SELECT public_key, owner, agent_id, key_revoked, state FROM agents WHERE name = ?1";
        let found = self.0.readers.with(|conn| {
            let mut statement = conn.prepare_cached(sql).map_err(Problem::internal)?;
            let row = statement.query_row([name.as_str()], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, u32>(1)?,
                    row.get::<_, String>(2)?,
                    row.get::<_, bool>(3)?,
                    row.get::<_, String>(4)?,
                ))
            });
            row.optional().map_err(Problem::internal)
        })?;
        let Some((key, owner, agent_id, revoked, state)) = found else { return Ok(None) };
        let public_key = key.parse().map_err(Problem::internal)?;
        let shut_out = match state.as_str() {
            "suspended" => Some("suspended"),
            "retired" => Some("retired"),
            _ if revoked => Some("revoked_key"),
            _ => None,
        };
        Ok(Some(Known { public_key, owner, agent_id, shut_out }))
    }

    /// Whether a uid may prove to be an agent: its owner's, and where the daemon serves the host, that of the unit
    /// `agentd-agent@NAME.service`, whose user systemd made and named for it.
    fn may_be(&self, uid: u32, name: &Slug, known: &Known) -> bool {
        known.owner == uid
            || self.host().mode == "system" && dynamic_user(uid).is_some_and(|user| is_user_of(&user, name))
    }

    /// The key that a uid has to prove for a name: the agent's, or one that nobody has where there is no such agent of
    /// this uid.
    fn asked_key(&self, uid: u32, name: &Slug, known: Option<&Known>) -> PublicKey {
        let decoy = self.0.known.decoys.key(name);
        known.filter(|known| self.may_be(uid, name, known)).map_or(decoy, |known| known.public_key)
    }

    /// Gives an agent a nonce, and the text to sign. Whether the agent exists does not show: where it does not, or is
    /// another uid's, the text names a key that nobody has.
    pub fn agent_challenge(&self, uid: u32, request: &ChallengeRequest) -> Result<ChallengeResponse, Problem> {
        let now = self.0.clock.boot_ms();
        let nonce = {
            let mut challenges = self.0.challenges.lock().map_err(|_| Problem::internal("challenges are poisoned"))?;
            challenges.issue(uid, &request.agent, now).map_err(Problem::internal)?
        };
        let known = self.known(&request.agent)?;
        let key = self.asked_key(uid, &request.agent, known.as_deref());
        let possession = self.possession(PossessionKind::Authenticate, &request.agent, &nonce, &key);
        let message = possession.message().map_err(Problem::internal)?;
        Ok(ChallengeResponse { nonce, message: String::from_utf8(message).map_err(Problem::internal)? })
    }

    pub(super) fn possession<'a>(
        &'a self,
        kind: PossessionKind,
        name: &'a Slug,
        nonce: &'a str,
        public_key: &'a PublicKey,
    ) -> Possession<'a> {
        Possession { kind, trust_domain: &self.host().trust_domain, name: name.as_str(), nonce, public_key }
    }

    /// Takes a proof of possession and gives a token for it. Until possession is proven, an agent that is not there, one
    /// of another uid and one that is shut out are answered alike; the record says which it was.
    pub fn agent_token(&self, uid: u32, request: &TokenRequest) -> Result<TokenResponse, Problem> {
        let name = &request.agent;
        let now = self.0.clock.boot_ms();
        let redeemed = {
            let mut challenges = self.0.challenges.lock().map_err(|_| Problem::internal("challenges are poisoned"))?;
            challenges.redeem(name, &request.nonce, now)
        };
        redeemed.map_err(|error| self.unproven(uid, name, error.word(), &error.to_string()))?;
        let signature: PossessionSignature = request
            .signature
            .parse()
            .map_err(|error| self.unproven(uid, name, "bad_signature", &format!("{error}")))?;
        let known = self.known(name)?;
        let key = self.asked_key(uid, name, known.as_deref());
        let proven = self.possession(PossessionKind::Authenticate, name, &request.nonce, &key).verify(&signature);
        let known = match (known, proven) {
            (Some(known), Ok(())) if self.may_be(uid, name, &known) => known,
            (known, _) => {
                let word = match known {
                    None => "unknown_agent",
                    Some(known) if !self.may_be(uid, name, &known) => "wrong_uid",
                    Some(_) => "bad_signature",
                };
                return Err(self.not_possessed(uid, name, word));
            }
        };
        if let Some(why) = known.shut_out {
            return Err(self.shut_out(uid, name, why));
        }
        let mut tokens = self.0.tokens.lock().map_err(|_| Problem::internal("tokens are poisoned"))?;
        let token = tokens.issue(name, uid, known.public_key, now).map_err(Problem::internal)?;
        Ok(TokenResponse {
            token,
            expires_in_s: u32::try_from(TOKEN_LIFE_MS / 1000).unwrap_or(900),
            agent_id: known.agent_id.clone(),
            origin: self.host().origin.clone(),
        })
    }

    /// One answer for every signature that does not prove what it should.
    fn not_possessed(&self, uid: u32, name: &Slug, word: &str) -> Problem {
        self.record_failure(uid, name.as_str(), word);
        let message = format!("agent {name} was not authenticated: the signature is not by the key of such an agent");
        Problem::new(Code::BadSignature, message).hint(
            "an agent of this user has to have this name and this key: agentctl agent show; then ask for a fresh nonce",
        )
    }

    /// Its key is proven, and of no use.
    fn shut_out(&self, uid: u32, name: &Slug, why: &str) -> Problem {
        self.record_failure(uid, name.as_str(), why);
        let message = match why {
            "revoked_key" => format!("the key of agent {name} is revoked"),
            state => format!("agent {name} is {state}"),
        };
        Problem::new(Code::KeyRevoked, message).hint(format!("a person can help: agentctl agent show {name}"))
    }

    /// Puts a failed proof on record; the loop that writes it is woken.
    fn record_failure(&self, uid: u32, claimed: &str, word: &str) {
        if self.0.denials.unauthenticated(uid, claimed, word) {
            self.0.timer.notify_one();
        }
    }

    /// What a proof is told that fails before anything of the agent is looked at; the record has the word.
    pub(super) fn unproven(&self, uid: u32, name: &Slug, word: &str, why: &str) -> Problem {
        self.record_failure(uid, name.as_str(), word);
        let code = if word == "bad_signature" { Code::BadSignature } else { Code::Unauthenticated };
        Problem::new(code, format!("agent {name} was not authenticated: {why}")).hint(
            "ask for a fresh nonce (POST /v1/challenge), sign its message with the agent's key, and send it at once",
        )
    }

    /// Who a token stands for.
    pub fn bearer(&self, uid: u32, token: &str) -> Result<Caller, Problem> {
        let now = self.0.clock.boot_ms();
        let found = {
            let tokens = self.0.tokens.lock().map_err(|_| Problem::internal("tokens are poisoned"))?;
            tokens.check(token, uid, now).cloned()
        };
        let error = match found {
            // Looked at each time: a key may be rotated between the proof and the token too.
            Ok(bearer) => match self.holder(&bearer)? {
                // The owner answers for it, whichever user proved the key.
                Some(known) => return Ok(Caller::agent(bearer.agent, known.owner)),
                None => TokenError::Void(bearer.agent),
            },
            Err(error) => error,
        };
        match &error {
            TokenError::WrongUid(agent) => self.record_failure(uid, agent.as_str(), "wrong_uid"),
            TokenError::Void(agent) => self.record_failure(uid, agent.as_str(), "void_token"),
            // A token that grew old, or was given out before a restart, is the daily course of things and no attempt of
            // anybody; 32 random bytes are not guessed.
            TokenError::Expired | TokenError::Unknown => {}
        }
        Err(Problem::new(Code::Unauthenticated, "the token is unknown, expired, void, or of another uid")
            .hint("prove possession again: POST /v1/challenge, then POST /v1/token"))
    }

    /// The agent of a token, where the key that the token was given for is its own and lets it in.
    fn holder(&self, bearer: &Bearer) -> Result<Option<Arc<Known>>, Problem> {
        let known = self.known(&bearer.agent)?;
        Ok(known.filter(|known| known.public_key == bearer.key && known.shut_out.is_none()))
    }

    /// Puts on record that somebody else was at the socket of a run.
    pub fn not_of_this_run(&self, uid: u32, run: RunId) {
        self.record_failure(uid, &format!("run {run}"), "not_of_this_run");
    }

    /// Puts on record that somebody of a run was at a door that is not for runs.
    pub fn is_of_a_run(&self, uid: u32, door: &str) {
        if self.0.denials.denied(&Caller::person(uid, false, false), "connect", door, "run.speaks_for_itself") {
            self.0.timer.notify_one();
        }
    }

    /// Puts on record that a request came without a usable token: `no_token` or `malformed_token`.
    pub fn no_bearer(&self, uid: u32, word: &str) {
        self.record_failure(uid, "bearer", word);
    }
}

/// Whether a user has the name that the unit of an agent gives it.
fn is_user_of(user: &str, agent: &Slug) -> bool {
    user.strip_prefix(UNIT_USER) == Some(agent.as_str())
}

#[cfg(test)]
mod tests;
