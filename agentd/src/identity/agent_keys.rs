//! Private keys of agents that the daemon holds for them: OpenSSH files, 0600, one for each agent.

use std::path::{Path, PathBuf};

use agentd_schemas::key::openssh::PrivateKey;
use agentd_schemas::unit::name::Slug;

use super::keystore::{KeystoreError, MAX_KEY_FILE};
use crate::sys::directory::{Directory, Visibility};
use crate::sys::random;
use crate::sys::secret_file::{self, Existing};

/// The folder of these keys.
#[derive(Debug, Clone)]
pub struct AgentKeys(PathBuf);

impl AgentKeys {
    /// Those of a state directory.
    pub fn of(state: &Path) -> Self {
        Self(state.join("keys").join("agents"))
    }

    fn path(&self, name: &Slug) -> PathBuf {
        self.0.join(name.as_str())
    }

    /// Makes a key for an agent that is about to be enrolled, durable. One that an enrolment which did not happen has left
    /// is replaced.
    pub fn make(&self, name: &Slug) -> Result<PrivateKey, KeystoreError> {
        Directory::ensure(&self.0, Visibility::Private)?;
        let seed = zeroize::Zeroizing::new(random::bytes::<32>()?);
        let (path, key) = (self.path(name), PrivateKey::from_seed(&seed));
        let bad = |source| KeystoreError::Key { path: path.clone(), source };
        let text = key.to_openssh(&format!("agent {name}, held by agentd")).map_err(bad)?;
        secret_file::write(&path, text.as_bytes(), Existing::Replace)?;
        Ok(key)
    }

    /// The key of an agent.
    pub fn load(&self, name: &Slug) -> Result<PrivateKey, KeystoreError> {
        let path = self.path(name);
        let secret = secret_file::read(&path, MAX_KEY_FILE)?;
        let text = std::str::from_utf8(secret.expose()).unwrap_or_default();
        PrivateKey::from_openssh(text).map_err(|source| KeystoreError::Key { path, source })
    }
}
