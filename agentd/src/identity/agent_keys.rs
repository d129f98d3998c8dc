//! Private keys of agents that the daemon holds for them: OpenSSH files, 0600, one for each agent.

use std::path::{Path, PathBuf};

use agentd_schemas::key::openssh::{PrivateKey, PublicKey};
use agentd_schemas::unit::name::Slug;

use super::key_files::{KeyFiles, NEXT};
use super::keystore::KeystoreError;
use crate::sys::directory::{Directory, Visibility};
use crate::sys::random;
use crate::sys::secret_file::Existing;

/// The folder of these keys.
#[derive(Debug, Clone)]
pub struct AgentKeys(KeyFiles);

impl AgentKeys {
    /// Those among the secret files of a state directory.
    pub fn of(files: KeyFiles) -> Self {
        Self(files)
    }

    fn directory(&self) -> PathBuf {
        self.0.directory().join("agents")
    }

    fn path(&self, name: &Slug) -> PathBuf {
        self.directory().join(name.as_str())
    }

    /// Makes a key for an agent that is about to be enrolled, durable. One that an enrolment which did not happen has left
    /// is replaced.
    pub fn make(&self, name: &Slug) -> Result<PrivateKey, KeystoreError> {
        self.make_at(name, &self.path(name))
    }

    /// Makes the key that is to follow when the ledger says so. Until then both are here.
    pub fn make_next(&self, name: &Slug) -> Result<PrivateKey, KeystoreError> {
        self.make_at(name, &self.next(name))
    }

    fn next(&self, name: &Slug) -> PathBuf {
        self.directory().join(format!("{name}{NEXT}"))
    }

    fn make_at(&self, name: &Slug, path: &Path) -> Result<PrivateKey, KeystoreError> {
        Directory::ensure(&self.directory(), Visibility::Private)?;
        let seed = zeroize::Zeroizing::new(random::bytes::<32>()?);
        let key = PrivateKey::from_seed(&seed);
        let bad = |source| KeystoreError::Key { path: path.to_owned(), source };
        let text = key.to_openssh(&format!("agent {name}, held by agentd")).map_err(bad)?;
        self.0.write(path, text.as_bytes(), Existing::Replace)?;
        Ok(key)
    }

    /// The key of an agent, by the public half that the ledger has. One that followed takes the place of the one before.
    pub fn load(&self, name: &Slug, public: &PublicKey) -> Result<PrivateKey, KeystoreError> {
        let (path, next) = (self.path(name), self.next(name));
        let first = self.read(path.clone());
        match first {
            Ok(key) if key.public_key() == *public => return Ok(key),
            first if !next.exists() => return first.and(Err(KeystoreError::Missing(path))),
            _ => {}
        }
        let key = self.read(next.clone())?;
        if key.public_key() != *public {
            return Err(KeystoreError::Missing(path));
        }
        std::fs::rename(&next, &path).map_err(|source| KeystoreError::Mark { path: next, source })?;
        Directory::open(&self.directory())?.sync()?;
        Ok(key)
    }

    fn read(&self, path: PathBuf) -> Result<PrivateKey, KeystoreError> {
        let secret = self.0.read(&path)?;
        let text = std::str::from_utf8(&secret).unwrap_or_default();
        PrivateKey::from_openssh(text).map_err(|source| KeystoreError::Key { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_key_that_follows_counts_once_the_ledger_says_so_and_not_before() {
        let state = std::env::temp_dir().join(format!("agentd-agent-keys-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&state);
        let files = KeyFiles::of(&state, Arc::default());
        let (keys, name) = (AgentKeys::of(files), "fixer".parse().unwrap());
        Directory::ensure(&state, Visibility::Private).unwrap();
        Directory::ensure(&state.join("keys"), Visibility::Private).unwrap();
        let first = keys.make(&name).unwrap().public_key();
        let abandoned = keys.make_next(&name).unwrap().public_key();
        let second = keys.make_next(&name).unwrap().public_key();
        assert_eq!(keys.load(&name, &first).unwrap().public_key(), first);
        assert!(keys.load(&name, &abandoned).is_err());
        assert_eq!(keys.load(&name, &second).unwrap().public_key(), second);
        assert_eq!(keys.load(&name, &second).unwrap().public_key(), second, "it has taken its place");
        assert!(keys.load(&name, &first).is_err());
        std::fs::remove_dir_all(state).unwrap();
    }
}
