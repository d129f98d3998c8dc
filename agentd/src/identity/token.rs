//! Bearer tokens of resident agents: 15 minutes, bound to a uid and to the key that was proven. Kept as digests, so that a
//! memory dump of the table is no set of tokens.

use agentd_schemas::key::openssh::PublicKey;
use agentd_schemas::unit::name::Slug;
use sha2::{Digest as _, Sha256};

use super::shares::Shares;
use crate::sys::random::{self, RandomError};

/// How long a token is good.
pub const TOKEN_LIFE_MS: u64 = 900_000;
/// Tokens at a time; the oldest give way, of the uid that has most.
pub const MAX_TOKENS: usize = 65_536;
/// Tokens of one uid at a time; its oldest give way.
pub const MAX_TOKENS_OF_ONE: usize = 16_384;

/// Who a token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The agent.
    pub agent: Slug,
    /// The uid that proved possession.
    pub uid: u32,
    /// The key that was proven. The token is void once the agent has another.
    pub key: PublicKey,
    until_boot_ms: u64,
}

/// Why a token is refused. Who sent it is told nothing of this; the record is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Never given out, or not since the daemon started, or crowded out.
    #[error("the token is unknown")]
    Unknown,
    /// Too old.
    #[error("the token has expired")]
    Expired,
    /// This agent has another key by now, or is shut out.
    #[error("the token of agent {0} is void")]
    Void(Slug),
    /// Given out to another uid, for this agent.
    #[error("the token of agent {0} is another uid's")]
    WrongUid(Slug),
}

/// Tokens that are good.
#[derive(Debug)]
pub struct Tokens {
    by_digest: Shares<[u8; 32], Bearer>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { by_digest: Shares::new(MAX_TOKENS_OF_ONE, MAX_TOKENS) }
    }
}

impl Tokens {
    /// A fresh token for who proved a key.
    pub fn issue(&mut self, agent: &Slug, uid: u32, key: PublicKey, now_boot_ms: u64) -> Result<String, RandomError> {
        let token = data_encoding::BASE64URL_NOPAD.encode(&random::bytes::<32>()?);
        let bearer = Bearer { agent: agent.clone(), uid, key, until_boot_ms: now_boot_ms + TOKEN_LIFE_MS };
        self.by_digest.insert(uid, digest(&token), bearer);
        Ok(token)
    }

    /// Who a token stands for, when it is good for this uid now. Whether its key is still the agent's is for the caller
    /// to compare.
    pub fn check(&self, token: &str, uid: u32, now_boot_ms: u64) -> Result<&Bearer, TokenError> {
        let bearer = self.by_digest.get(&digest(token)).ok_or(TokenError::Unknown)?;
        if bearer.uid != uid {
            return Err(TokenError::WrongUid(bearer.agent.clone()));
        }
        if bearer.until_boot_ms <= now_boot_ms {
            return Err(TokenError::Expired);
        }
        Ok(bearer)
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentd_schemas::key::openssh::PrivateKey;

    #[test]
    fn a_token_is_bound_to_its_uid_its_time_and_its_agents_key() {
        let agent: Slug = "fixer".parse().unwrap();
        let mut tokens = Tokens::default();
        let key = PrivateKey::from_seed(&[1; 32]).public_key();
        let token = tokens.issue(&agent, 1000, key, 0).unwrap();
        let bearer = tokens.check(&token, 1000, 1).unwrap();
        assert_eq!((&bearer.agent, bearer.key), (&agent, key));
        assert_eq!(tokens.check(&token, 1001, 1), Err(TokenError::WrongUid(agent.clone())));
        assert_eq!(tokens.check(&token, 1000, TOKEN_LIFE_MS), Err(TokenError::Expired));
        assert_eq!(tokens.check("", 1000, 1), Err(TokenError::Unknown));
    }
}
