//! The host's own keys: authority, issuer and log. OpenSSH files, 0600, made at first start; encrypted where the host has
//! a key-encryption key.

use std::path::{Path, PathBuf};

use agentd_schemas::key::host_key::certify;
use agentd_schemas::key::openssh::{KeyError, PrivateKey};

use super::key_files::{HOST_KEYS, KeyFiles, SealError};
use crate::sys::directory::{Directory, DirectoryError, Visibility};
use crate::sys::random::{self, RandomError};
use crate::sys::secret_file::{self, Existing, SecretFileError};

/// Why the host's keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// The directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A key file cannot be read or written.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// An encrypted key file cannot be read or written.
    #[error(transparent)]
    Sealed(#[from] SealError),
    /// A key file does not hold a key.
    #[error("key file {path}: {source}")]
    Key {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
    /// A key is missing that the ledger says exists.
    #[error(
        "key file {0} is missing, and the ledger was signed with it; restore it, or restore the ledger as a new incarnation: agentd restore"
    )]
    Missing(PathBuf),
    /// There are keys, and the ledger that they signed is not there.
    #[error(
        "{} has the keys of a ledger, and {} {}; bring the ledger back, or restore a backup into another directory \
         (agentd --state DIR restore BACKUP), or move both away to begin anew under new keys",
        .keys.display(), .ledger.display(), if *.missing { "is missing" } else { "is empty" }
    )]
    NoLedger {
        /// The directory of the keys.
        keys: PathBuf,
        /// Where the ledger should be.
        ledger: PathBuf,
        /// There is no such file, not even an empty one.
        missing: bool,
    },
    /// The mark of an unfinished first start, or a key that is to take the place of another, stays where it is.
    #[error("{path} cannot be removed: {source}")]
    Mark {
        /// Which file.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Stands beside the keys from before the first of them is made until the ledger's first event is durable: keys without
/// a ledger are those of an unfinished first start where it stands, and of a lost ledger where it does not.
const MARK: &str = "unfinished";

/// The host's keys.
pub struct HostKeys {
    /// Signs the other two.
    pub authority: PrivateKey,
    /// Will sign run credentials.
    pub issuer: PrivateKey,
    /// Signs checkpoints.
    pub log: PrivateKey,
}

impl HostKeys {
    /// Reads the keys of a state directory; makes what is missing when `may_create`.
    pub fn open(files: &KeyFiles, may_create: bool) -> Result<Self, KeystoreError> {
        Directory::ensure(&files.directory(), Visibility::Private)?;
        let [authority, issuer, log] = HOST_KEYS.map(|name| key(files, name, may_create));
        Ok(Self { authority: authority?, issuer: issuer?, log: log? })
    }

    /// Signatures of the authority that bind issuer and log key to this trust domain, base64.
    pub fn certificates(&self, trust_domain: &str) -> Vec<String> {
        certify(&self.authority, trust_domain, &self.issuer.public_key(), &self.log.public_key())
    }
}

/// Takes a state directory without a ledger for a first start, unless it has keys of one that was there.
pub fn begin(state: &Path, ledger: &Path) -> Result<(), KeystoreError> {
    let keys = state.join("keys");
    let mark = keys.join(MARK);
    if mark.exists() {
        return Ok(());
    }
    if HOST_KEYS.iter().any(|name| keys.join(name).exists()) {
        return Err(KeystoreError::NoLedger { keys, ledger: ledger.to_owned(), missing: !ledger.exists() });
    }
    Directory::ensure(&keys, Visibility::Private)?;
    Ok(secret_file::write(&mark, b"the first start has not ended\n", Existing::Refuse)?)
}

/// The ledger has its first event: from now on the keys are of no use without it.
pub fn begun(state: &Path) -> Result<(), KeystoreError> {
    let keys = state.join("keys");
    let path = keys.join(MARK);
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(Directory::open(&keys)?.sync()?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(KeystoreError::Mark { path, source }),
    }
}

fn key(files: &KeyFiles, name: &str, may_create: bool) -> Result<PrivateKey, KeystoreError> {
    let path = files.directory().join(name);
    let bad = |source| KeystoreError::Key { path: path.clone(), source };
    if !path.exists() {
        if !may_create {
            return Err(KeystoreError::Missing(path));
        }
        let seed = zeroize::Zeroizing::new(random::bytes::<32>()?);
        let text = PrivateKey::from_seed(&seed).to_openssh(&format!("agentd {name}")).map_err(bad)?;
        files.write(&path, text.as_bytes(), Existing::Refuse)?;
    }
    let secret = files.read(&path)?;
    // Bytes that are no text are no key either: the reader of the text says so.
    let text = std::str::from_utf8(&secret).unwrap_or_default();
    PrivateKey::from_openssh(text).map_err(bad)
}
