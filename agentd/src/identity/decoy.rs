//! Keys that nobody has: what a challenge names for an agent that is not there, so that its answer looks like any other.
//!
//! One name always gets the same key, also after a restart: a key that changed would give itself away.

use agentd_schemas::key::openssh::{PrivateKey, PublicKey};
use agentd_schemas::unit::name::Slug;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::keystore::HostKeys;

/// Makes them up from a secret of this host.
pub struct Decoys {
    secret: Zeroizing<[u8; 32]>,
}

impl Decoys {
    /// Derives the secret from the issuer's key: nobody outside can tell what comes of it from a key that an agent made.
    pub fn new(keys: &HostKeys) -> Self {
        let issuer = Zeroizing::new(keys.issuer.signing_key().to_bytes());
        let secret = Sha256::new().chain_update("agentd-decoy-v1\0").chain_update(*issuer).finalize();
        Self { secret: Zeroizing::new(secret.into()) }
    }

    /// The key that stands in for the agent of this name.
    pub fn key(&self, name: &Slug) -> PublicKey {
        let hash = Sha256::new().chain_update(*self.secret).chain_update(name.as_str()).finalize();
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(hash.into());
        PrivateKey::from_seed(&seed).public_key()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::KeyFiles;
    use crate::sys::scratch::Scratch;
    use std::sync::Arc;

    #[test]
    fn a_name_keeps_its_key_and_each_host_has_its_own() {
        let (one, two) = (Scratch::new(), Scratch::new());
        let key = |host: &Scratch, name: &str| {
            Decoys::new(&HostKeys::open(&KeyFiles::of(host.path(), Arc::default()), true).unwrap())
                .key(&name.parse().unwrap())
        };
        assert_eq!(key(&one, "ghost"), key(&one, "ghost"));
        assert_ne!(key(&one, "ghost"), key(&one, "spirit"));
        assert_ne!(key(&one, "ghost"), key(&two, "ghost"));
    }
}
