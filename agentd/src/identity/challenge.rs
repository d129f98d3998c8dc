//! One-use nonces for proofs of possession. In memory, bounded, good for five minutes.

use agentd_schemas::unit::name::Slug;

use super::shares::Shares;
use crate::sys::random::{self, RandomError};

/// How long a nonce is good.
pub const NONCE_LIFE_MS: u64 = 300_000;
/// Nonces at a time; the oldest give way, of the uid that has most.
pub const MAX_NONCES: usize = 16_384;
/// Nonces of one uid at a time; its oldest give way.
pub const MAX_NONCES_OF_ONE: usize = 1024;

/// Why a nonce is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NonceError {
    /// Never given out, used before, or given out for another name.
    #[error("the nonce was not given out for this name, or was used before")]
    Unknown,
    /// Too old.
    #[error("the nonce has expired")]
    Expired,
}

impl NonceError {
    /// As recorded in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "replayed_nonce",
            Self::Expired => "expired_nonce",
        }
    }
}

/// Nonces that were given out and not used.
#[derive(Debug)]
pub struct Challenges {
    open: Shares<String, (Slug, u64)>,
}

impl Default for Challenges {
    fn default() -> Self {
        Self { open: Shares::new(MAX_NONCES_OF_ONE, MAX_NONCES) }
    }
}

impl Challenges {
    /// Gives out a nonce for a name to a uid.
    pub fn issue(&mut self, uid: u32, name: &Slug, now_boot_ms: u64) -> Result<String, RandomError> {
        // Hex: a nonce is also an argument, and must never begin with a dash.
        let nonce = data_encoding::HEXLOWER.encode(&random::bytes::<24>()?);
        self.open.insert(uid, nonce.clone(), (name.clone(), now_boot_ms + NONCE_LIFE_MS));
        Ok(nonce)
    }

    /// Takes a nonce: whatever comes of it, it is used up.
    pub fn redeem(&mut self, name: &Slug, nonce: &str, now_boot_ms: u64) -> Result<(), NonceError> {
        let (owner, until) = self.open.remove(&nonce.to_owned()).ok_or(NonceError::Unknown)?;
        if owner != *name {
            return Err(NonceError::Unknown);
        }
        if now_boot_ms > until {
            return Err(NonceError::Expired);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once_for_its_name_and_for_five_minutes() {
        let (fixer, other): (Slug, Slug) = ("fixer".parse().unwrap(), "other".parse().unwrap());
        let mut challenges = Challenges::default();
        let nonce = challenges.issue(1000, &fixer, 0).unwrap();
        assert_eq!(challenges.redeem(&fixer, &nonce, 1), Ok(()));
        assert_eq!(challenges.redeem(&fixer, &nonce, 1), Err(NonceError::Unknown));
        let nonce = challenges.issue(1000, &fixer, 0).unwrap();
        assert_eq!(challenges.redeem(&other, &nonce, 1), Err(NonceError::Unknown));
        let nonce = challenges.issue(1000, &fixer, 0).unwrap();
        assert_eq!(challenges.redeem(&fixer, &nonce, NONCE_LIFE_MS + 1), Err(NonceError::Expired));
    }

    #[test]
    fn a_flood_of_challenges_stays_bounded() {
        let name: Slug = "fixer".parse().unwrap();
        let mut challenges = Challenges::default();
        let nonce = challenges.issue(1000, &name, 0).unwrap();
        for _ in 0..MAX_NONCES + 100 {
            challenges.issue(1001, &name, 0).unwrap();
        }
        assert_eq!(challenges.open.len(), MAX_NONCES_OF_ONE + 1);
        assert_eq!(challenges.redeem(&name, &nonce, 1), Ok(()), "another uid's flood took it");
        for uid in 0..40_000 {
            challenges.issue(uid, &name, 0).unwrap();
        }
        assert_eq!(challenges.open.len(), MAX_NONCES);
    }
}
