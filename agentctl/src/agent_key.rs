//! Keys of agents on disk: made here, readable by their owner alone, used to prove possession.

use std::fs::{DirBuilder, File};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use agentd_schemas::dbus::{AgentsProxy, HostProxy};
use agentd_schemas::key::openssh::{MAX_PRIVATE_KEY_BYTES, PrivateKey, PublicKey};
use agentd_schemas::key::possession::{Possession, PossessionKind};
use agentd_schemas::unit::name::Slug;
use zeroize::Zeroizing;

use crate::ambient;
use crate::error::Failure;
use crate::new_file::NewFile;

/// File name of a private key; the public one has `.pub` after it.
const FILE: &str = "id_ed25519";

/// Where the key of an agent is: under `directory` when given, else in the configuration of the user.
pub(crate) fn path(name: &Slug, directory: Option<&Path>) -> Result<PathBuf, Failure> {
    let directory = match directory {
        Some(directory) => directory.to_owned(),
        None => ambient::config_dir()?.join("agents").join(name.as_str()),
    };
    Ok(directory.join(FILE))
}

/// A fresh key.
pub(crate) fn generate() -> Result<PrivateKey, Failure> {
    let seed = Zeroizing::new(ambient::random::<32>()?);
    Ok(PrivateKey::from_seed(&seed))
}

/// Writes a key and its public half beside it; a key that is there already is never replaced.
pub(crate) fn save(key: &PrivateKey, name: &Slug, path: &Path) -> Result<(), Failure> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| Failure::file(directory, "create", &error))?;
    let failed = |error| Failure::local(format!("cannot write the key: {error}"));
    let comment = format!("agentd:{name}");
    let mut file = NewFile::create(path, false).map_err(|failure| occupied(failure, path))?;
    file.write(key.to_openssh(&comment).map_err(failed)?.as_bytes())?;
    file.keep().map_err(|failure| occupied(failure, path))?;
    let line = key.public_key().to_line(&comment).map_err(failed)?;
    let mut public = NewFile::create(&public_path(path), true)?;
    public.write(format!("{line}\n").as_bytes())?;
    public.keep().map(drop)
}

fn occupied(failure: Failure, path: &Path) -> Failure {
    failure.hint(format!("--key {} uses that key, --key-dir DIR makes a new one elsewhere", path.display()))
}

/// The file of the public half.
pub(crate) fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// Takes back a key that nobody came to know.
pub(crate) fn discard(path: &Path) {
    for file in [path.to_owned(), public_path(path)] {
        // What stays is harmless: the key is enrolled nowhere.
        let _ = std::fs::remove_file(file);
    }
}

/// The bits of a mode by which others could read a key. A credential of a unit is root's, with an access control list for
/// the user of the unit, and what looks like the bit of the group is the most that the list gives anybody.
fn others(path: &Path, credentials: Option<&Path>) -> u32 {
    if credentials.is_some_and(|folder| path.starts_with(folder)) { 0o037 } else { 0o077 }
}

/// Reads a private key that is its owner's alone.
pub(crate) fn load(path: &Path) -> Result<PrivateKey, Failure> {
    let failed = |error: std::io::Error| Failure::file(path, "read", &error);
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode();
    if mode & others(path, ambient::var("CREDENTIALS_DIRECTORY").as_deref().map(Path::new)) != 0 {
        return Err(Failure::local(format!("{} can be read by others (mode {:o})", path.display(), mode & 0o777))
            .hint(format!("chmod 600 {}", crate::output::shell_word(&path.display().to_string()))));
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_PRIVATE_KEY_BYTES));
    file.take(MAX_PRIVATE_KEY_BYTES as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    PrivateKey::from_openssh(&text).map_err(|error| Failure::local(format!("{}: {error}", path.display())))
}

/// Reads a public key line from a file.
pub(crate) fn load_public(file: &str) -> Result<PublicKey, Failure> {
    let text = crate::input::text(file, agentd_schemas::key::openssh::MAX_PUBLIC_KEY_BYTES)?;
    text.parse().map_err(|error| Failure::usage(format!("{file}: {error}")))
}

/// The text that proves possession, its nonce, and a signature where the private key is at hand.
pub(crate) struct Challenge {
    /// The nonce that the daemon gave out.
    pub(crate) nonce: String,
    /// The text to sign.
    pub(crate) message: Vec<u8>,
}

/// Asks the daemon for a nonce and makes the text to sign.
pub(crate) async fn challenge(
    agents: &AgentsProxy<'_>,
    host: &HostProxy<'_>,
    kind: PossessionKind,
    name: &Slug,
    key: &PublicKey,
) -> Result<Challenge, Failure> {
    let trust_domain = host.trust_domain().await?;
    let nonce = agents.challenge(name.as_str()).await?;
    let possession =
        Possession { kind, trust_domain: &trust_domain, name: name.as_str(), nonce: &nonce, public_key: key };
    let message = possession.message().map_err(|error| Failure::local(error.to_string()))?;
    Ok(Challenge { nonce, message })
}

/// The raw signature of a text, in base64.
pub(crate) fn sign(key: &PrivateKey, message: &[u8]) -> String {
    data_encoding::BASE64.encode(&key.sign(message))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn scratch() -> PathBuf {
        let random = data_encoding::HEXLOWER.encode(&ambient::random::<8>().unwrap());
        std::env::temp_dir().join(format!("agentctl-key-{random}"))
    }

    #[test]
    fn the_bit_of_the_group_is_that_of_a_list_on_credentials_alone() {
        let credentials = Some(Path::new("/run/credentials/agentd-agent@fixer.service"));
        let file = |folder: &str| Path::new(folder).join("key");
        assert_eq!(others(&file("/run/credentials/agentd-agent@fixer.service"), credentials) & 0o440, 0);
        for (path, credentials) in [(file("/home/alice"), credentials), (file("/run/credentials"), None)] {
            assert_eq!(others(&path, credentials) & 0o440, 0o040, "{}", path.display());
        }
    }

    #[test]
    fn a_key_is_its_owners_alone_comes_back_and_is_never_replaced() {
        let name: Slug = "fixer".parse().unwrap();
        let directory = scratch();
        let path = path(&name, Some(&directory)).unwrap();
        let key = generate().unwrap();
        save(&key, &name, &path).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&path)), (0o700, 0o600));
        assert_eq!(load(&path).unwrap().public_key(), key.public_key());
        assert_eq!(load_public(public_path(&path).to_str().unwrap()).unwrap(), key.public_key());
        let refused = save(&generate().unwrap(), &name, &path).unwrap_err();
        assert!(refused.message().ends_with("exists already"), "{}", refused.message());
        assert_eq!(load(&path).unwrap().public_key(), key.public_key());
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_way_out() {
        let name: Slug = "fixer".parse().unwrap();
        let directory = scratch();
        let path = path(&name, Some(&directory)).unwrap();
        save(&generate().unwrap(), &name, &path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = load(&path).unwrap_err().told(false);
        assert!(refused.contains("mode 640") && refused.contains("hint: chmod 600 "), "{refused}");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
