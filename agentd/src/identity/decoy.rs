//! Keys that nobody has: what a challenge names for an agent that is not there, so that its answer looks like any other.
//!
//! One name always gets the same key, also after a restart: a key that changed would give itself away.

use std::path::Path;
use std::sync::OnceLock;

use agentd_schemas::key::openssh::{PrivateKey, PublicKey};
use agentd_schemas::unit::name::Slug;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::keystore::{HostKeys, KeystoreError};

/// Makes them up from a secret of this host.
#[derive(Default)]
pub struct Decoys {
    secret: OnceLock<Zeroizing<[u8; 32]>>,
}

impl Decoys {
    /// The key that stands in for the agent of this name on the host with this state directory.
    pub fn key(&self, state: &Path, name: &Slug) -> Result<PublicKey, KeystoreError> {
        let secret = match self.secret.get() {
            Some(secret) => secret,
            None => {
                let secret = derive(state)?;
                self.secret.get_or_init(|| secret)
            }
        };
        let hash = Sha256::new().chain_update(**secret).chain_update(name.as_str()).finalize();
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(hash.into());
        Ok(PrivateKey::from_seed(&seed).public_key())
    }
}

/// Nobody outside can tell what comes of it from a key that an agent made.
fn derive(state: &Path) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
    let keys = HostKeys::open(state, false)?;
    let issuer = Zeroizing::new(keys.issuer.signing_key().to_bytes());
    Ok(Zeroizing::new(Sha256::new().chain_update("agentd-decoy-v1\0").chain_update(*issuer).finalize().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn a_name_keeps_its_key_and_each_host_has_its_own() {
        let (one, two) = (Scratch::new(), Scratch::new());
        for host in [&one, &two] {
            HostKeys::open(host.path(), true).unwrap();
        }
        let key = |host: &Scratch, name: &str| Decoys::default().key(host.path(), &name.parse().unwrap()).unwrap();
        assert_eq!(key(&one, "ghost"), key(&one, "ghost"));
        assert_ne!(key(&one, "ghost"), key(&one, "spirit"));
        assert_ne!(key(&one, "ghost"), key(&two, "ghost"));
    }
}
