//! Agents that prove who they are: challenge, token, bearer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use agentd_schemas::http::{ChallengeRequest, ChallengeResponse, TokenRequest, TokenResponse};
use agentd_schemas::key::openssh::PublicKey;
use agentd_schemas::key::possession::{Possession, PossessionKind, PossessionSignature};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;
use rusqlite::OptionalExtension as _;

use crate::engine::Engine;
use crate::identity::token::TOKEN_LIFE_MS;
use crate::policy::Caller;

/// What authentication needs to know of an agent.
pub(crate) struct Known {
    /// Its key.
    pub(super) public_key: PublicKey,
    /// The uid that answers for it.
    pub(super) owner: u32,
    /// `spiffe://…`.
    pub(super) agent_id: String,
    /// Why it may not come in.
    pub(super) shut_out: Option<&'static str>,
}

/// Agents that are remembered: as many as a host may have, and none longer than until its next event.
#[derive(Default)]
pub(crate) struct KnownAgents {
    /// How often something was forgotten, and what is remembered.
    inner: Mutex<(u64, HashMap<Slug, Arc<Known>>)>,
}

impl KnownAgents {
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
    pub(super) fn known(&self, name: &Slug) -> Result<Option<Arc<Known>>, Problem> {
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

    /// Gives an agent a nonce, and the text to sign. Whether the agent exists does not show.
    pub fn agent_challenge(&self, _uid: u32, request: &ChallengeRequest) -> Result<ChallengeResponse, Problem> {
        let now = self.0.clock.boot_ms();
        let nonce = {
            let mut challenges = self.0.challenges.lock().map_err(|_| Problem::internal("challenges are poisoned"))?;
            challenges.issue(&request.agent, now).map_err(Problem::internal)?
        };
        let message = match self.known(&request.agent)? {
            None => String::new(),
            Some(known) => {
                let possession =
                    self.possession(PossessionKind::Authenticate, &request.agent, &nonce, &known.public_key);
                let message = possession.message().map_err(Problem::internal)?;
                String::from_utf8(message).map_err(Problem::internal)?
            }
        };
        Ok(ChallengeResponse { nonce, message })
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

    /// Takes a proof of possession and gives a token for it.
    pub fn agent_token(&self, uid: u32, request: &TokenRequest) -> Result<TokenResponse, Problem> {
        let name = &request.agent;
        let now = self.0.clock.boot_ms();
        let redeemed = {
            let mut challenges = self.0.challenges.lock().map_err(|_| Problem::internal("challenges are poisoned"))?;
            challenges.redeem(name, &request.nonce, now)
        };
        redeemed.map_err(|error| self.unproven(uid, name, error.word(), &error.to_string()))?;
        let known = self.known(name)?;
        let known = known.ok_or_else(|| self.unproven(uid, name, "unknown_agent", "no such agent"))?;
        if let Some(why) = known.shut_out {
            self.0.denials.unauthenticated(uid, name.as_str(), why);
            let message = match why {
                "revoked_key" => format!("the key of agent {name} is revoked"),
                state => format!("agent {name} is {state}"),
            };
            return Err(
                Problem::new(Code::KeyRevoked, message).hint(format!("a person can help: agentctl agent show {name}"))
            );
        }
        let signature: PossessionSignature = request
            .signature
            .parse()
            .map_err(|error| self.unproven(uid, name, "bad_signature", &format!("{error}")))?;
        let possession = self.possession(PossessionKind::Authenticate, name, &request.nonce, &known.public_key);
        possession.verify(&signature).map_err(|error| self.unproven(uid, name, "bad_signature", &error.to_string()))?;
        if uid != known.owner {
            return Err(self.unproven(uid, name, "wrong_uid", "the agent belongs to another uid"));
        }
        let mut tokens = self.0.tokens.lock().map_err(|_| Problem::internal("tokens are poisoned"))?;
        let token = tokens.issue(name, uid, now).map_err(Problem::internal)?;
        Ok(TokenResponse {
            token,
            expires_in_s: u32::try_from(TOKEN_LIFE_MS / 1000).unwrap_or(900),
            agent_id: known.agent_id.clone(),
            origin: self.host().origin.clone(),
        })
    }

    /// One answer for everything that fails, in words that help the honest; the record says which it was.
    pub(super) fn unproven(&self, uid: u32, name: &Slug, word: &str, why: &str) -> Problem {
        self.0.denials.unauthenticated(uid, name.as_str(), word);
        self.0.timer.notify_one();
        let code = if word == "bad_signature" { Code::BadSignature } else { Code::Unauthenticated };
        Problem::new(code, format!("agent {name} was not authenticated: {why}")).hint(
            "ask for a fresh nonce (POST /v1/challenge), sign its message with the agent's key, and send it at once",
        )
    }

    /// Who a token stands for.
    pub fn bearer(&self, uid: u32, token: &str) -> Result<Caller, Problem> {
        let now = self.0.clock.boot_ms();
        let tokens = self.0.tokens.lock().map_err(|_| Problem::internal("tokens are poisoned"))?;
        if let Some(bearer) = tokens.check(token, uid, now) {
            Ok(Caller::agent(bearer.agent.clone(), uid))
        } else {
            drop(tokens);
            self.0.denials.unauthenticated(uid, "bearer", "expired_token");
            Err(Problem::new(Code::Unauthenticated, "the token is unknown, expired, void, or of another uid")
                .hint("prove possession again: POST /v1/challenge, then POST /v1/token"))
        }
    }
}
