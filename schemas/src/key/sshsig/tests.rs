use proptest::prelude::*;

use super::*;

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[7; 32])
}

fn signed() -> SshSignature {
    SshSignature::sign(&key(), "agentd-test", b"message").unwrap()
}

/// A blob with chosen parts; what is honest about it is up to the test.
fn blob(version: u32, key: &[u8], namespace: &str, reserved: &[u8], hash: &[u8], signature: &[u8]) -> Vec<u8> {
    let mut blob = b"SSHSIG".to_vec();
    blob.extend_from_slice(&version.to_be_bytes());
    for part in [key, namespace.as_bytes(), reserved, hash, signature] {
        put_string(&mut blob, part);
    }
    blob
}

fn inner(algorithm: &str, bytes: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    put_string(&mut blob, algorithm.as_bytes());
    put_string(&mut blob, bytes);
    blob
}

#[test]
fn a_signature_is_accepted_by_key_namespace_and_message() {
    let signature: SshSignature = signed().to_string().parse().unwrap();
    assert_eq!(signature, signed());
    assert_eq!(signature.verify(&key().public_key(), "agentd-test", b"message"), Ok(()));
    assert_eq!(signature.claimed_key(), &key().public_key());
    assert_eq!((signature.namespace(), signature.hash()), ("agentd-test", MessageHash::Sha512));
}

#[test]
fn another_key_namespace_or_message_is_refused() {
    let other = PrivateKey::from_seed(&[8; 32]).public_key();
    let error = signed().verify(&other, "agentd-test", b"message").unwrap_err();
    let (expected, found) = (other.fingerprint(), key().public_key().fingerprint());
    assert_eq!(error, SshsigError::OtherKey { expected, found });

    let error = signed().verify(&key().public_key(), "git", b"message").unwrap_err();
    assert_eq!(error, SshsigError::Namespace { expected: "git".to_owned(), found: "agentd-test".to_owned() });

    let error = signed().verify(&key().public_key(), "agentd-test", b"messag").unwrap_err();
    assert!(matches!(error, SshsigError::BadSignature(_)), "{error}");
}

#[test]
fn a_signature_under_a_claimed_key_namespace_or_hash_does_not_verify() {
    let other = PrivateKey::from_seed(&[8; 32]).public_key();
    let refused = |forged: &SshSignature, key: &PublicKey, namespace: &str| {
        matches!(forged.verify(key, namespace, b"message"), Err(SshsigError::BadSignature(_)))
    };
    assert!(refused(&SshSignature { public_key: other, ..signed() }, &other, "agentd-test"));
    assert!(refused(&SshSignature { namespace: "git".to_owned(), ..signed() }, &key().public_key(), "git"));
    let forged = SshSignature { hash: MessageHash::Sha256, ..signed() };
    assert!(refused(&forged, &key().public_key(), "agentd-test"));
}

#[test]
fn a_raw_signature_of_the_message_is_no_ssh_signature() {
    let forged = SshSignature { signature: key().sign(b"message"), ..signed() };
    assert!(forged.verify(&key().public_key(), "agentd-test", b"message").is_err());
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let blob = signed().to_blob();
    let accepted = |blob: &[u8]| {
        SshSignature::from_blob(blob)
            .and_then(|signature| signature.verify(&key().public_key(), "agentd-test", b"message"))
            .is_ok()
    };
    assert!(accepted(&blob));
    for bit in 0..blob.len() * 8 {
        let mut flipped = blob.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!accepted(&flipped), "bit {bit}");
    }
    for length in 0..blob.len() {
        assert!(!accepted(&blob[..length]), "cut to {length}");
    }
    assert!(!accepted(&[&blob[..], b"\0"].concat()));
}

#[test]
fn what_is_not_version_one_with_ed25519_is_refused_by_reason() {
    let honest = signed();
    let (key_blob, sig) = (honest.public_key.to_blob(), inner(KEY_TYPE, &honest.signature));
    let weak = inner(KEY_TYPE, &{
        let mut identity = [0; 32];
        identity[0] = 1;
        identity
    });
    let malformed = |reason| SshsigError::Malformed { reason };
    let wrong_algorithm = malformed("its signature algorithm is not ssh-ed25519");
    let wrong_length = malformed("its Ed25519 signature is not 64 bytes");
    for (blob, error) in [
        (blob(0, &key_blob, "n", b"", b"sha512", &sig), SshsigError::Version { found: 0 }),
        (blob(2, &key_blob, "n", b"", b"sha512", &sig), SshsigError::Version { found: 2 }),
        (blob(1, &key_blob, "n", b"x", b"sha512", &sig), malformed("its reserved field is not empty")),
        (blob(1, &key_blob, "", b"", b"sha512", &sig), SshsigError::BadNamespace),
        (blob(1, &key_blob, "a b", b"", b"sha512", &sig), SshsigError::BadNamespace),
        (blob(1, &key_blob, &"n".repeat(129), b"", b"sha512", &sig), SshsigError::BadNamespace),
        (blob(1, &key_blob, "n", b"", b"sha1", &sig), SshsigError::Hash),
        (blob(1, &key_blob, "n", b"", b"", &sig), SshsigError::Hash),
        (blob(1, &weak, "n", b"", b"sha512", &sig), SshsigError::Key(KeyError::Weak)),
        (
            blob(1, &inner("ssh-rsa", &[0; 32]), "n", b"", b"sha512", &sig),
            SshsigError::Key(KeyError::UnsupportedType { found: "ssh-rsa".to_owned() }),
        ),
        (blob(1, &key_blob, "n", b"", b"sha512", &inner("rsa-sha2-512", &[0; 64])), wrong_algorithm.clone()),
        (blob(1, &key_blob, "n", b"", b"sha512", &inner("none", b"")), wrong_algorithm),
        (blob(1, &key_blob, "n", b"", b"sha512", &inner(KEY_TYPE, &[0; 63])), wrong_length.clone()),
        (blob(1, &key_blob, "n", b"", b"sha512", &[&sig[..], b"x"].concat()), wrong_length),
        (b"SSHSIh\0\0\0\x01".to_vec(), malformed("it does not begin with SSHSIG")),
    ] {
        assert_eq!(SshSignature::from_blob(&blob), Err(error));
    }
}

#[test]
fn a_namespace_that_cannot_be_written_is_not_signed() {
    for namespace in ["", "a b", "a\n", "ä", &"n".repeat(129)] {
        assert_eq!(SshSignature::sign(&key(), namespace, b"").err(), Some(SshsigError::BadNamespace), "{namespace:?}");
    }
}

proptest! {
    #[test]
    fn what_is_signed_is_accepted_after_a_round_trip(
        seed: [u8; 32],
        namespace in "[!-~]{1,128}",
        message: Vec<u8>,
    ) {
        let key = PrivateKey::from_seed(&seed);
        let text = SshSignature::sign(&key, &namespace, &message).unwrap().to_string();
        let signature: SshSignature = text.parse().unwrap();
        prop_assert_eq!(signature.verify(&key.public_key(), &namespace, &message), Ok(()));
    }

    #[test]
    fn no_blob_makes_the_reader_panic(blob: Vec<u8>, head in 0_usize..100) {
        let _ = SshSignature::from_blob(&blob);
        let spliced = [&signed().to_blob()[..head], &blob].concat();
        if let Ok(signature) = SshSignature::from_blob(&spliced) {
            prop_assert_eq!(signature.to_blob(), spliced);
        }
    }
}
