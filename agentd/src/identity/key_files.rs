//! The secret files of one state directory: plain, or encrypted under a key-encryption key where there is one.
//!
//! Invariant: where there is a key-encryption key, [`KeyFiles::adopt`] has left no file that is not under it, and nothing
//! is written otherwise. A file that does not open is an error; none is ever made anew in its place.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentd_schemas::unit::name::Slug;
use zeroize::Zeroizing;

use super::kek::{self, CURRENT, KekId, Keks, OpenError};
use crate::sys::random::RandomError;
use crate::sys::secret_file::{self, Existing, SecretFileError};

/// Bytes of a secret file, at most; encrypted it is a third larger.
pub(super) const MAX_KEY_FILE: usize = 4096;
/// Bytes of an encrypted secret file, at most.
const MAX_SEALED_FILE: usize = 8192;
/// The host's keys, below `keys`.
pub(super) const HOST_KEYS: [&str; 3] = ["authority", "issuer", "log"];
/// Ends the name of the key that is to follow an agent's. No name of an agent has a tilde.
pub(super) const NEXT: &str = "~next";

/// Why an encrypted file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key that it is under is not at hand.
    #[error(
        "key file {} is encrypted under key-encryption key {id}, and the credential {CURRENT} {at_hand}; start agentd by its \
         unit (systemctl start agentd), bring the credential of that id back to /etc/credstore.encrypted, or restore the \
         ledger under new keys into another directory (agentd --state DIR restore BACKUP)",
        path.display()
    )]
    NoKey {
        /// Which file.
        path: PathBuf,
        /// The key that it needs.
        id: KekId,
        /// Which there are.
        at_hand: String,
    },
    /// It does not open.
    #[error("key file {}: {source}; bring it back from a copy", path.display())]
    Bad {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: OpenError,
    },
    /// A directory of keys cannot be read.
    #[error("directory {} cannot be read", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// The secret files of a state directory.
#[derive(Debug, Clone)]
pub struct KeyFiles {
    state: PathBuf,
    keks: Arc<Keks>,
}

impl KeyFiles {
    /// Those of a state directory, with the key-encryption keys at hand.
    pub fn of(state: &Path, keks: Arc<Keks>) -> Self {
        Self { state: state.to_owned(), keks }
    }

    /// The directory of the keys.
    pub(super) fn directory(&self) -> PathBuf {
        self.state.join("keys")
    }

    /// What a file is encrypted for. A key that follows is encrypted for the place that it will have.
    fn name(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.state).unwrap_or(path).to_string_lossy();
        below.strip_suffix(NEXT).unwrap_or(&below).to_owned()
    }

    /// Reads a secret.
    pub(super) fn read(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.read_what_it_is_under(path).map(|(secret, _)| secret)
    }

    /// Reads a secret, and tells whether it is as it would be written now.
    fn read_what_it_is_under(&self, path: &Path) -> Result<(Zeroizing<Vec<u8>>, bool), SealError> {
        let bytes = secret_file::read(path, MAX_SEALED_FILE)?;
        if !kek::is_sealed(bytes.expose()) {
            if bytes.expose().len() > MAX_KEY_FILE {
                return Err(too_large(path).into());
            }
            return Ok((Zeroizing::new(bytes.expose().to_vec()), self.keks.current().is_none()));
        }
        self.keks.open(&self.name(path), bytes.expose()).map_err(|source| match source {
            OpenError::Unknown(id) => SealError::NoKey { path: path.to_owned(), id, at_hand: self.keks.described() },
            source => SealError::Bad { path: path.to_owned(), source },
        })
    }

    /// Writes a secret, encrypted where there is a key for that.
    pub(super) fn write(&self, path: &Path, secret: &[u8], existing: Existing) -> Result<(), SealError> {
        let Some(kek) = self.keks.current() else { return Ok(secret_file::write(path, secret, existing)?) };
        let sealed = kek.seal(&self.name(path), secret)?.ok_or_else(|| too_large(path))?;
        Ok(secret_file::write(path, sealed.as_bytes(), existing)?)
    }

    /// Encrypts under the current key whatever is plain or under the previous one, and removes what an interrupted write has
    /// left. Opens every file, so that none is found wanting later. Gives the number of files that were written anew; 0
    /// where there is no key-encryption key.
    pub fn adopt(&self) -> Result<usize, SealError> {
        let mut anew = 0;
        for path in files(&self.state)? {
            let (secret, is_up_to_date) = self.read_what_it_is_under(&path)?;
            if !is_up_to_date {
                self.write(&path, &secret, Existing::ReplaceAndWipe)?;
                anew += 1;
            }
        }
        if self.keks.current().is_some() {
            for directory in directories(&self.state) {
                secret_file::remove_unfinished(&directory, &|_| true)?;
            }
        }
        Ok(anew)
    }
}

fn too_large(path: &Path) -> SecretFileError {
    SecretFileError::TooLarge { path: path.to_owned(), limit_bytes: MAX_KEY_FILE }
}

fn directories(state: &Path) -> [PathBuf; 2] {
    let keys = state.join("keys");
    [keys.join("agents"), keys]
}

/// Every secret file there is.
fn files(state: &Path) -> Result<Vec<PathBuf>, SealError> {
    let [agents, keys] = directories(state);
    let mut found: Vec<PathBuf> =
        HOST_KEYS.iter().map(|name| keys.join(name)).filter(|path| path.symlink_metadata().is_ok()).collect();
    let failed = |source| SealError::Directory { path: agents.clone(), source };
    let entries = match std::fs::read_dir(&agents) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let is_key = name.to_str().is_some_and(|name| name.strip_suffix(NEXT).unwrap_or(name).parse::<Slug>().is_ok());
        if is_key {
            found.push(agents.join(name));
        }
    }
    found.sort();
    Ok(found)
}

/// The key-encryption keys that secrets of a state directory are under, whoever owns them, without opening any.
pub fn ids_in_use(state: &Path) -> Result<BTreeSet<KekId>, SealError> {
    let mut ids = BTreeSet::new();
    for path in files(state)? {
        let bytes = secret_file::read_of_anybody(&path, MAX_SEALED_FILE)?;
        if kek::is_sealed(bytes.expose()) {
            let bad = |source| SealError::Bad { path: path.clone(), source };
            ids.insert(kek::parse(bytes.expose()).map_err(bad)?.0);
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::kek::Kek;
    use crate::identity::keystore::KeystoreError;
    use crate::identity::{AgentKeys, HostKeys};
    use crate::sys::directory::{Directory, Visibility};
    use crate::sys::scratch::Scratch;
    use std::fs;

    /// The secret files of a directory, under keys of these bytes.
    fn under(state: &Scratch, current: &str, previous: Option<&str>) -> KeyFiles {
        let credentials = Scratch::new();
        for (name, byte) in [(CURRENT, Some(current)), (kek::PREVIOUS, previous)] {
            if let Some(byte) = byte {
                secret_file::write(&credentials.join(name), byte.repeat(32).as_bytes(), Existing::Refuse).unwrap();
            }
        }
        KeyFiles::of(state.path(), Keks::read(credentials.path()).unwrap().into())
    }

    fn plain(state: &Scratch) -> KeyFiles {
        KeyFiles::of(state.path(), Arc::default())
    }

    fn fixer() -> Slug {
        "fixer".parse().unwrap()
    }

    /// A state directory with the host's keys, and an agent's with the one to follow; and the public halves of all.
    fn made(files: &KeyFiles) -> Vec<String> {
        HostKeys::open(files, true).unwrap();
        let agents = AgentKeys::of(files.clone());
        let [key, next] = [agents.make(&fixer()).unwrap(), agents.make_next(&fixer()).unwrap()];
        let mut all = host(files);
        all.extend([key.public_key().to_string(), next.public_key().to_string()]);
        all
    }

    fn host(files: &KeyFiles) -> Vec<String> {
        let keys = HostKeys::open(files, false).unwrap();
        [keys.authority, keys.issuer, keys.log].map(|key| key.public_key().to_string()).into()
    }

    fn opens_all(files: &KeyFiles, all: &[String]) {
        assert_eq!(host(files), all[..3]);
        let agents = AgentKeys::of(files.clone());
        for public in &all[3..] {
            assert_eq!(agents.load(&fixer(), &public.parse().unwrap()).unwrap().public_key().to_string(), *public);
        }
    }

    fn texts(state: &Scratch) -> Vec<String> {
        files(state.path()).unwrap().iter().map(|path| fs::read_to_string(path).unwrap()).collect()
    }

    #[test]
    fn plain_files_are_encrypted_at_the_first_look_and_left_alone_at_the_next() {
        let state = Scratch::new();
        let all = made(&plain(&state));
        let before = texts(&state);
        assert!(before.len() == 5 && before.iter().all(|text| text.contains("PRIVATE KEY")), "{before:?}");
        fs::write(state.join("keys/.log.new-0123456789abcdef"), &before[0]).unwrap();
        let sealed = under(&state, "0a", None);
        assert_eq!(sealed.adopt().unwrap(), 5);
        let after = texts(&state);
        assert!(after.iter().all(|text| text.starts_with("agentd-sealed 1 kek=")), "{after:?}");
        assert!(!state.join("keys/.log.new-0123456789abcdef").exists(), "a plain leftover");
        assert_eq!((sealed.adopt().unwrap(), texts(&state)), (0, after));
        opens_all(&sealed, &all);
    }

    #[test]
    fn what_is_made_under_a_key_was_never_plain() {
        let state = Scratch::new();
        let files = under(&state, "0a", None);
        let all = made(&files);
        assert!(texts(&state).iter().all(|text| !text.contains("PRIVATE KEY")));
        assert_eq!(files.adopt().unwrap(), 0);
        opens_all(&files, &all);
    }

    #[test]
    fn after_a_rotation_all_is_under_the_new_key_and_nothing_opens_under_the_old_one() {
        let state = Scratch::new();
        let all = made(&under(&state, "0a", None));
        let old = ids_in_use(state.path()).unwrap();
        let rotated = under(&state, "0b", Some("0a"));
        assert_eq!(rotated.adopt().unwrap(), 5);
        assert!(ids_in_use(state.path()).unwrap().is_disjoint(&old));
        opens_all(&under(&state, "0b", None), &all);
        for refused in [under(&state, "0a", None), under(&state, "0a", Some("0c")), plain(&state)] {
            let before = texts(&state);
            for error in [refused.adopt().unwrap_err().into(), HostKeys::open(&refused, true).err().unwrap()] {
                let error: KeystoreError = error;
                let text = error.to_string();
                let id = Kek::from_hex("0b".repeat(32).as_bytes()).unwrap().id().to_string();
                assert!(
                    text.contains(&id) && text.contains(CURRENT) && text.contains("bring the credential"),
                    "{text}"
                );
            }
            assert_eq!(texts(&state), before, "nothing is made anew");
        }
    }

    #[test]
    fn files_that_change_places_do_not_open() {
        let state = Scratch::new();
        let files = under(&state, "0a", None);
        made(&files);
        let [issuer, log] = ["issuer", "log"].map(|name| files.directory().join(name));
        fs::copy(&issuer, &log).unwrap();
        let error = files.adopt().unwrap_err();
        assert!(matches!(error, SealError::Bad { source: OpenError::Damaged(_), .. }), "{error}");
        assert!(error.to_string().contains("keys/log"), "{error}");
        fs::write(&log, "x".repeat(MAX_KEY_FILE + 1)).unwrap();
        assert!(matches!(files.adopt(), Err(SealError::File(SecretFileError::TooLarge { .. }))));
    }

    #[test]
    fn keys_at_rest_are_told_by_their_ids_whoever_asks() {
        let state = Scratch::new();
        assert!(ids_in_use(state.path()).unwrap().is_empty());
        made(&plain(&state));
        assert!(ids_in_use(state.path()).unwrap().is_empty());
        let files = under(&state, "0a", None);
        Directory::ensure(&files.directory(), Visibility::Private).unwrap();
        files.adopt().unwrap();
        let ids = ids_in_use(state.path()).unwrap();
        assert_eq!(ids.into_iter().collect::<Vec<_>>(), [Kek::from_hex("0a".repeat(32).as_bytes()).unwrap().id()]);
    }
}
