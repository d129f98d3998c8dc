//! Key-encryption keys: what the service manager hands over as credentials, and the form of a secret encrypted under one.
//!
//! Format 1 is a line `agentd-sealed 1 kek=ID`, and a line with base64 of nonce and XChaCha20-Poly1305 ciphertext. The
//! first line and the name of the secret are authenticated with it, so a file in the place of another does not open.

use std::fmt;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::sys::env::{self, NotUtf8};
use crate::sys::random::{self, RandomError};
use crate::sys::secret_file::{self, SecretFileError};

/// The credential that secrets are encrypted under.
pub const CURRENT: &str = "agentd.kek";
/// The credential of before a rotation: it opens what is still under it.
pub const PREVIOUS: &str = "agentd.kek.previous";
/// Where the service manager puts credentials.
const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// Bytes of a credential, at most.
const MAX_CREDENTIAL: usize = 128;
/// How every encrypted secret begins, whatever its format.
const MAGIC: &str = "agentd-sealed ";
const NONCE: usize = 24;

/// Which key-encryption key: the first bytes of its SHA-256. It tells nothing of the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KekId([u8; 8]);

impl fmt::Display for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why the key-encryption keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KekError {
    /// The environment cannot be read.
    #[error(transparent)]
    Environment(#[from] NotUtf8),
    /// A credential cannot be read.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// A credential does not hold a key.
    #[error(
        "credential {} is no key-encryption key, which has 64 hex digits; bring the right one back, or where no secret is \
         under it yet, remove it and run: agentd credentials provision",
        .0.display()
    )]
    Malformed(PathBuf),
    /// The old key is there, the present one is not.
    #[error(
        "credential {PREVIOUS} is there, and {CURRENT} is not; run: agentd credentials provision, then start agentd again"
    )]
    PreviousAlone,
}

/// Why a text is no secret encrypted under a key at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No format that this version knows.
    #[error("it is encrypted in a form that this agentd does not know; it was changed, or a newer agentd wrote it")]
    Format,
    /// Encrypted under a key that is not at hand.
    #[error("it is encrypted under key-encryption key {0}, which is not at hand")]
    Unknown(KekId),
    /// The key is at hand and does not open it.
    #[error("it does not open under its key-encryption key {0}: it was changed, or is another secret under this name")]
    Damaged(KekId),
}

/// One key-encryption key; wiped from memory when dropped.
pub struct Kek {
    id: KekId,
    key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kek({})", self.id)
    }
}

impl Kek {
    /// The key that 64 hex digits are; a newline may follow.
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        let digits = text.strip_suffix(b"\n").unwrap_or(text);
        let mut key = Zeroizing::new([0; 32]);
        if digits.len() != 64 || HEXLOWER_PERMISSIVE.decode_mut(digits, key.as_mut()).is_err() {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(key.as_ref()).into();
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        Some(Self { id: KekId(id), key })
    }

    /// A new key as 64 hex digits.
    pub fn make_hex() -> Result<Zeroizing<String>, RandomError> {
        let key = Zeroizing::new(random::bytes::<32>()?);
        Ok(Zeroizing::new(HEXLOWER.encode(key.as_ref())))
    }

    /// Which it is.
    pub fn id(&self) -> KekId {
        self.id
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.key).into())
    }

    /// The text of a secret, encrypted for a name. None for one that is too long for the cipher, which no file is.
    pub(super) fn seal(&self, name: &str, secret: &[u8]) -> Result<Option<String>, RandomError> {
        let nonce = random::bytes::<NONCE>()?;
        let header = header(self.id);
        let bound = bound(&header, name);
        let payload = Payload { msg: secret, aad: bound.as_bytes() };
        let Ok(sealed) = self.cipher().encrypt(&XNonce::from(nonce), payload) else { return Ok(None) };
        Ok(Some(format!("{header}\n{}\n", BASE64.encode(&[&nonce[..], &sealed].concat()))))
    }
}

fn header(id: KekId) -> String {
    format!("{MAGIC}1 kek={id}")
}

/// What is authenticated with a secret.
fn bound(header: &str, name: &str) -> String {
    format!("{header} name={name}")
}

/// Whether these bytes are an encrypted secret, of whatever format.
pub(super) fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC.as_bytes())
}

/// Under which key an encrypted secret is, and what of it is base64.
pub(super) fn parse(bytes: &[u8]) -> Result<(KekId, &str), OpenError> {
    let text = std::str::from_utf8(bytes).map_err(|_| OpenError::Format)?;
    let (id, body) = text
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.strip_prefix("1 kek="))
        .and_then(|rest| rest.split_once('\n'))
        .and_then(|(id, body)| Some((id, body.strip_suffix('\n')?)))
        .ok_or(OpenError::Format)?;
    let mut read = [0; 8];
    let digits = id.as_bytes();
    if digits.len() != 16 || HEXLOWER.decode_mut(digits, &mut read).is_err() {
        return Err(OpenError::Format);
    }
    Ok((KekId(read), body))
}

/// The key-encryption keys at hand.
#[derive(Debug, Default)]
pub struct Keks {
    current: Option<Kek>,
    previous: Option<Kek>,
}

impl Keks {
    /// Those that the service manager handed over; none where it handed over none.
    pub fn handed_over() -> Result<Self, KekError> {
        match env::var(DIRECTORY)? {
            Some(directory) if !directory.is_empty() => Self::read(Path::new(&directory)),
            _ => Ok(Self::default()),
        }
    }

    /// Those in a directory of credentials.
    pub fn read(directory: &Path) -> Result<Self, KekError> {
        let [current, previous] = [CURRENT, PREVIOUS].map(|name| credential(&directory.join(name)));
        let keks = Self { current: current?, previous: previous? };
        if keks.current.is_none() && keks.previous.is_some() {
            return Err(KekError::PreviousAlone);
        }
        Ok(keks)
    }

    /// The key that secrets are encrypted under; none where they are not.
    pub fn current(&self) -> Option<&Kek> {
        self.current.as_ref()
    }

    /// The keys at hand, for people.
    pub(super) fn described(&self) -> String {
        match (&self.current, &self.previous) {
            (None, _) => "is not there".to_owned(),
            (Some(current), None) => format!("is {}", current.id),
            (Some(current), Some(previous)) => format!("is {}, {PREVIOUS} {}", current.id, previous.id),
        }
    }

    /// The secret in an encrypted text that was made for this name, and whether it is under the current key.
    pub(super) fn open(&self, name: &str, bytes: &[u8]) -> Result<(Zeroizing<Vec<u8>>, bool), OpenError> {
        let (id, body) = parse(bytes)?;
        let keks = [(&self.current, true), (&self.previous, false)];
        let at_hand = keks.into_iter().filter_map(|(kek, is_current)| Some((kek.as_ref()?, is_current)));
        let (kek, is_current) = at_hand.into_iter().find(|(kek, _)| kek.id == id).ok_or(OpenError::Unknown(id))?;
        let damaged = OpenError::Damaged(id);
        let body = BASE64.decode(body.as_bytes()).map_err(|_| damaged)?;
        let (nonce, sealed) = body.split_first_chunk::<NONCE>().ok_or(damaged)?;
        let bound = bound(&header(id), name);
        let payload = Payload { msg: sealed, aad: bound.as_bytes() };
        let secret = kek.cipher().decrypt(&XNonce::from(*nonce), payload).map_err(|_| damaged)?;
        Ok((Zeroizing::new(secret), is_current))
    }
}

fn credential(path: &Path) -> Result<Option<Kek>, KekError> {
    match secret_file::read_credential(path, MAX_CREDENTIAL) {
        Ok(text) => Kek::from_hex(text.expose()).map(Some).ok_or_else(|| KekError::Malformed(path.to_owned())),
        Err(SecretFileError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kek(byte: &str) -> Kek {
        Kek::from_hex(byte.repeat(32).as_bytes()).unwrap()
    }

    fn at_hand(current: &str, previous: Option<&str>) -> Keks {
        Keks { current: Some(kek(current)), previous: previous.map(kek) }
    }

    fn sealed(byte: &str, name: &str) -> String {
        kek(byte).seal(name, b"secret").unwrap().unwrap()
    }

    #[test]
    fn a_secret_opens_under_its_key_and_name_and_under_no_other() {
        let text = sealed("0a", "keys/log");
        assert!(text.starts_with("agentd-sealed 1 kek=") && is_sealed(text.as_bytes()), "{text}");
        assert_ne!(text, sealed("0a", "keys/log"), "no nonce is used twice");
        let opened = |keks: &Keks, name| keks.open(name, text.as_bytes()).map(|(secret, now)| (secret.to_vec(), now));
        let secret = b"secret".to_vec();
        assert_eq!(opened(&at_hand("0a", None), "keys/log"), Ok((secret.clone(), true)));
        assert_eq!(opened(&at_hand("0b", Some("0a")), "keys/log"), Ok((secret, false)));
        let id = kek("0a").id();
        assert_eq!(opened(&at_hand("0a", None), "keys/issuer"), Err(OpenError::Damaged(id)));
        assert_eq!(opened(&at_hand("0b", Some("0c")), "keys/log"), Err(OpenError::Unknown(id)));
        assert_eq!(opened(&Keks::default(), "keys/log"), Err(OpenError::Unknown(id)));
    }

    #[test]
    fn no_changed_byte_passes() {
        let (keks, text) = (at_hand("0a", None), sealed("0a", "n").into_bytes());
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] ^= 1;
            assert!(keks.open("n", &changed).is_err(), "byte {at}");
        }
        for length in 0..text.len() {
            assert!(keks.open("n", &text[..length]).is_err(), "cut at {length}");
        }
        let newer = String::from_utf8(text).unwrap().replacen(" 1 ", " 2 ", 1);
        assert_eq!(keks.open("n", newer.as_bytes()).unwrap_err(), OpenError::Format);
    }

    #[test]
    fn a_key_is_64_hex_digits_and_its_id_the_beginning_of_its_digest() {
        let hex = Kek::make_hex().unwrap();
        assert_ne!(*hex, *Kek::make_hex().unwrap());
        let key = Kek::from_hex(hex.as_bytes()).unwrap();
        assert_eq!(key.id(), Kek::from_hex(format!("{}\n", hex.to_uppercase()).as_bytes()).unwrap().id());
        // printf '%064d' 0 | xxd -r -p | sha256sum
        assert_eq!(kek("00").id().to_string(), "66687aadf862bd77");
        for bad in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &format!("{}\n\n", "0".repeat(64))] {
            assert!(Kek::from_hex(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(!format!("{key:?}").contains(&hex[..16]));
    }
}
