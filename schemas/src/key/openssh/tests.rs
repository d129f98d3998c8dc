use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;

const LINE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
}

/// RFC 8032 §7.1, test 1.
fn rfc_key() -> PrivateKey {
    PrivateKey::from_seed(&bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
}

#[test]
fn the_first_vector_of_rfc_8032_holds() {
    let key = rfc_key();
    let signature = bytes(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe\
         24655141438e7a100b",
    );
    assert_eq!(key.public_key().as_bytes(), &bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"));
    assert_eq!(key.sign(b""), signature);
    assert_eq!(key.public_key().verify(b"", &signature), Ok(()));
}

#[test]
fn a_public_key_is_written_as_it_was_read() {
    let key: PublicKey = LINE.parse().unwrap();
    assert_eq!(key, rfc_key().public_key());
    assert_eq!(key.to_string(), LINE);
    assert_eq!(key.to_line("").unwrap(), LINE);
    assert_eq!(key.to_line("alice at home").unwrap(), format!("{LINE} alice at home"));
    assert_eq!(serde_json::to_string(&key).unwrap(), format!("\"{LINE}\""));
    assert_eq!(serde_json::from_str::<PublicKey>(&format!("\"{LINE} alice\"")).unwrap(), key);
}

#[test]
fn a_comment_is_told_apart_from_the_key() {
    for (line, comment) in [
        (LINE.to_owned(), ""),
        (format!("{LINE}\n"), ""),
        (format!("{LINE} alice@host\r\n"), "alice@host"),
        (format!("{LINE}  two words "), "two words"),
        (format!("{LINE} größe"), "größe"),
    ] {
        assert_eq!(PublicKey::parse_with_comment(&line), Ok((rfc_key().public_key(), comment)), "{line:?}");
    }
}

#[test]
fn a_comment_that_breaks_its_line_is_not_written() {
    for comment in ["a\nb", "a\0b", "a\u{85}b", &"x".repeat(MAX_COMMENT_BYTES + 1)] {
        assert_eq!(rfc_key().public_key().to_line(comment), Err(KeyError::Comment), "{comment:?}");
        assert_eq!(rfc_key().to_openssh(comment).err(), Some(KeyError::Comment), "{comment:?}");
    }
}

#[test]
fn the_longest_comment_is_read_again() {
    let comment = "x".repeat(MAX_COMMENT_BYTES);
    let line = rfc_key().public_key().to_line(&comment).unwrap();
    assert_eq!(PublicKey::parse_with_comment(&line), Ok((rfc_key().public_key(), &comment[..])));
    let text = rfc_key().to_openssh(&comment).unwrap();
    assert!(PrivateKey::from_openssh(&text).is_ok());
}

#[test]
fn other_key_types_are_refused_by_name() {
    for (line, found) in [
        ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAB alice", "ssh-rsa"),
        ("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY=", "ecdsa-sha2-nistp256"),
        ("sk-ssh-ed25519@openssh.com AAAAGnNr", "sk-ssh-ed25519@openssh.com"),
        ("ssh-ed25519-cert-v01@openssh.com AAAAIHNz", "ssh-ed25519-cert-v01@openssh.com"),
        (&format!("restrict {LINE}"), "restrict"),
        ("ssh\u{2010}ed25519 AAAA", "ssh\\u{2010}ed25519"),
        // The word says Ed25519, the blob says ssh-rsa.
        ("ssh-ed25519 AAAAB3NzaC1yc2EAAAADAQABAAAB", "ssh-rsa"),
    ] {
        assert_eq!(line.parse::<PublicKey>(), Err(KeyError::UnsupportedType { found: found.to_owned() }), "{line}");
    }
}

#[test]
fn malformed_public_keys_are_refused() {
    let cut = &LINE[..LINE.len() - 4];
    for line in [
        String::new(),
        " \n".to_owned(),
        KEY_TYPE.to_owned(),
        format!("{KEY_TYPE} "),
        cut.to_owned(),
        format!("{cut}===="),
        format!("{LINE}AAAA"),
        format!("{LINE}="),
        LINE.replace("+08", "-08"),
        LINE.replace(' ', "\t"),
        LINE.replace(' ', "  "),
        format!("{LINE}\n{LINE}"),
        format!("{LINE} \u{0}"),
        format!("{LINE} {}", "x".repeat(1024)),
        rfc_key().to_openssh("").unwrap().to_string(),
    ] {
        let error = line.parse::<PublicKey>().unwrap_err();
        assert!(matches!(error, KeyError::MalformedPublicKey { .. }), "{line:?}: {error}");
    }
}

#[test]
fn keys_of_small_order_are_weak() {
    for hex in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        // Other encodings of the same points.
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        assert_eq!(PublicKey::from_bytes(&bytes(hex)), Err(KeyError::Weak), "{hex}");
    }
}

#[test]
fn a_second_encoding_of_a_key_is_refused() {
    let mut readable = 0;
    for low in 0xef..=0xff {
        let mut encoding = [0xff; 32];
        encoding[0] = low;
        encoding[31] = 0x7f;
        readable += u32::from(VerifyingKey::from_bytes(&encoding).is_ok_and(|key| !key.is_weak()));
        assert_eq!(PublicKey::from_bytes(&encoding), Err(KeyError::NotOnCurve), "{low:x}");
    }
    assert!(readable > 0, "the curve library refuses them by itself now");
}

#[test]
fn bytes_off_the_curve_are_no_key() {
    let mut encoding = [0; 32];
    encoding[0] = 2;
    assert_eq!(PublicKey::from_bytes(&encoding), Err(KeyError::NotOnCurve));
}

#[test]
fn a_changed_signature_message_or_key_is_refused() {
    let key = rfc_key();
    let signature = key.sign(b"message");
    for bit in 0..512 {
        let mut changed = signature;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(key.public_key().verify(b"message", &changed).is_err(), "bit {bit}");
    }
    assert!(key.public_key().verify(b"messagE", &signature).is_err());
    assert!(PrivateKey::from_seed(&[1; 32]).public_key().verify(b"message", &signature).is_err());
    assert!(key.public_key().verify(b"message", &[0; 64]).is_err());
}

#[test]
fn a_signature_with_s_raised_by_the_group_order_is_refused() {
    let order: [u8; 32] = bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let key = rfc_key();
    let mut signature = key.sign(b"message");
    let mut carry = 0;
    for (s, l) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*s) + u16::from(l) + carry;
        *s = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert!(key.public_key().verify(b"message", &signature).is_err());
}

#[test]
fn a_private_key_is_read_as_it_was_written() {
    for comment in ["", "a", "alice@host", "größe and spaces", "1234567", "12345678"] {
        let text = rfc_key().to_openssh(comment).unwrap();
        let read = PrivateKey::from_openssh(&text).unwrap();
        assert_eq!(read.0.as_bytes(), rfc_key().0.as_bytes(), "{comment}");
        assert_eq!(read.to_openssh(comment).unwrap(), text, "{comment}");
    }
}

#[test]
fn a_private_key_that_does_not_hold_together_is_refused() {
    let text = rfc_key().to_openssh("alice").unwrap();
    let blob = armor::decode(PRIVATE_KEY_LABEL, &text, MAX_PRIVATE_KEY_BYTES).unwrap();
    let read = |blob: &[u8]| PrivateKey::from_openssh(&armor::encode(PRIVATE_KEY_LABEL, blob));
    for length in 0..blob.len() {
        assert!(read(&blob[..length]).is_err(), "cut to {length}");
    }
    // Both copies of the public half exchanged, and the seed left: signing with these would leak the seed.
    let public = rfc_key().public_key();
    let other = PrivateKey::from_seed(&[1; 32]).public_key();
    let mut mixed = blob.to_vec();
    for at in 0..mixed.len() - 32 {
        if &mixed[at..at + 32] == public.as_bytes() {
            mixed[at..at + 32].copy_from_slice(other.as_bytes());
        }
    }
    let error = read(&mixed).unwrap_err();
    assert!(error.to_string().contains("does not belong to the private key"), "{error}");
}

#[test]
fn another_kind_of_armor_is_no_private_key() {
    for text in ["", "hello", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", LINE] {
        let error = PrivateKey::from_openssh(text).unwrap_err();
        assert!(matches!(error, KeyError::PrivateKeyArmor(ArmorError::Begin { .. })), "{text:?}: {error}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?}", rfc_key());
    assert_eq!(shown, format!("PrivateKey(of {})", rfc_key().public_key().fingerprint()));
}

proptest! {
    #[test]
    fn every_seed_gives_a_key_that_survives_both_formats(seed: [u8; 32], comment in "[ -~]{0,60}") {
        let key = PrivateKey::from_seed(&seed);
        let public = key.public_key();
        prop_assert_eq!(PublicKey::from_bytes(public.as_bytes()), Ok(public));
        prop_assert_eq!(public.to_line(&comment).unwrap().parse(), Ok(public));
        let text = key.to_openssh(&comment).unwrap();
        prop_assert_eq!(PrivateKey::from_openssh(&text).unwrap().0.to_bytes(), seed);
    }

    #[test]
    fn no_line_makes_the_reader_panic(line in ".{0,200}", tail: Vec<u8>) {
        let _ = line.parse::<PublicKey>();
        let _ = format!("{KEY_TYPE} {}", BASE64.encode(&tail)).parse::<PublicKey>();
    }

    #[test]
    fn a_blob_is_read_only_if_it_is_the_one_that_would_be_written(tail in proptest::collection::vec(any::<u8>(), 0..60)) {
        let mut blob = rfc_key().public_key().to_blob()[..19].to_vec();
        blob.extend(tail);
        if let Ok(key) = PublicKey::from_blob(&blob) {
            prop_assert_eq!(key.to_blob(), blob);
        }
    }

    #[test]
    fn no_private_key_blob_makes_the_reader_panic(at in 0_usize..200, bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let text = rfc_key().to_openssh("alice").unwrap();
        let mut blob = armor::decode(PRIVATE_KEY_LABEL, &text, MAX_PRIVATE_KEY_BYTES).unwrap().to_vec();
        let end = (at + bytes.len()).min(blob.len());
        blob.splice(at..end.max(at), bytes);
        let _ = PrivateKey::from_openssh(&armor::encode(PRIVATE_KEY_LABEL, &blob));
    }
}
