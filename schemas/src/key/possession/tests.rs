use proptest::prelude::*;

use super::*;

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[7; 32])
}

fn possession(public_key: &PublicKey) -> Possession<'_> {
    Possession {
        kind: PossessionKind::Enroll,
        trust_domain: "h-00.agentd.internal",
        name: "reviewer",
        nonce: "n0nce",
        public_key,
    }
}

#[test]
fn the_text_is_fixed() {
    let public = key().public_key();
    let text = format!(
        "agentd-possession-v1\nkind: enroll\ntrust-domain: h-00.agentd.internal\nname: reviewer\nnonce: n0nce\n\
         public-key: {public}\n"
    );
    assert_eq!(possession(&public).message(), Ok(text.into_bytes()));
}

#[test]
fn kind_text_serde_name_and_namespace_agree() {
    for kind in PossessionKind::ALL {
        assert_eq!(kind.namespace(), format!("agentd-{}", kind.as_str()));
        assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.as_str()));
    }
}

#[test]
fn both_forms_of_signature_are_accepted_and_survive_their_text() {
    let public = key().public_key();
    let possession = possession(&public);
    let ssh = SshSignature::sign(&key(), "agentd-enroll", &possession.message().unwrap()).unwrap();
    for signature in [possession.sign(&key()).unwrap(), PossessionSignature::Ssh(Box::new(ssh))] {
        assert_eq!(possession.verify(&signature), Ok(()));
        assert_eq!(signature.to_string().parse(), Ok(signature.clone()));
        assert_eq!(format!("\n{signature}\n").parse(), Ok(signature.clone()));
        let json = serde_json::to_string(&signature).unwrap();
        assert_eq!(serde_json::from_str::<PossessionSignature>(&json).unwrap(), signature);
    }
}

#[test]
fn a_signature_proves_nothing_about_another_text() {
    let (public, other) = (key().public_key(), PrivateKey::from_seed(&[8; 32]).public_key());
    let honest = possession(&public);
    let raw = honest.sign(&key()).unwrap();
    let ssh = SshSignature::sign(&key(), "agentd-enroll", &honest.message().unwrap()).unwrap();
    let ssh = PossessionSignature::Ssh(Box::new(ssh));
    for (what, changed) in [
        ("kind", Possession { kind: PossessionKind::Rotate, ..honest }),
        ("trust domain", Possession { trust_domain: "h-01.agentd.internal", ..honest }),
        ("name", Possession { name: "reviewer2", ..honest }),
        ("nonce", Possession { nonce: "n0ncf", ..honest }),
        ("key", Possession { public_key: &other, ..honest }),
    ] {
        assert!(matches!(changed.verify(&raw), Err(PossessionError::Raw(_))), "{what}");
        assert!(matches!(changed.verify(&ssh), Err(PossessionError::Ssh(_))), "{what}");
        // Even the true signer has not signed the changed text.
        assert!(changed.verify_by(&public, &raw).is_err(), "{what}");
        assert!(changed.verify_by(&public, &ssh).is_err(), "{what}");
    }
}

#[test]
fn the_old_key_consents_to_a_rotation_over_the_same_text() {
    let old = PrivateKey::from_seed(&[8; 32]);
    let new = key().public_key();
    let rotation = Possession { kind: PossessionKind::Rotate, ..possession(&new) };
    let (by_new, by_old) = (rotation.sign(&key()).unwrap(), rotation.sign(&old).unwrap());
    assert_eq!(rotation.verify(&by_new), Ok(()));
    assert_eq!(rotation.verify_by(&old.public_key(), &by_old), Ok(()));
    assert!(rotation.verify(&by_old).is_err());
    assert!(rotation.verify_by(&old.public_key(), &by_new).is_err());
}

#[test]
fn an_ssh_signature_with_another_namespace_is_refused() {
    let public = key().public_key();
    let possession = possession(&public);
    for namespace in ["agentd", "agentd-rotate", "git", "file"] {
        let ssh = SshSignature::sign(&key(), namespace, &possession.message().unwrap()).unwrap();
        let error = possession.verify(&PossessionSignature::Ssh(Box::new(ssh))).unwrap_err();
        assert!(matches!(error, PossessionError::Ssh(SshsigError::Namespace { .. })), "{namespace}: {error}");
    }
}

#[test]
fn values_that_could_be_confused_are_refused_by_name() {
    let public = key().public_key();
    let long = "x".repeat(513);
    for value in ["", "a\nname: b", "a\r", "a b", "a\0", "\u{202e}a", "ä", &long] {
        let honest = possession(&public);
        for (field, changed) in [
            ("trust-domain", Possession { trust_domain: value, ..honest }),
            ("name", Possession { name: value, ..honest }),
            ("nonce", Possession { nonce: value, ..honest }),
        ] {
            assert_eq!(changed.message(), Err(PossessionError::Field { field }), "{value:?}");
            assert_eq!(changed.sign(&key()).err(), Some(PossessionError::Field { field }), "{value:?}");
        }
    }
}

#[test]
fn texts_in_neither_form_are_refused() {
    let valid = possession(&key().public_key()).sign(&key()).unwrap().to_string();
    for text in ["", "AAAA", &valid[..86], &format!("{valid}A"), &format!("{}-=", &valid[..86]), &"=".repeat(88)] {
        assert_eq!(text.parse::<PossessionSignature>(), Err(PossessionError::Form), "{text}");
    }
    for text in ["-----BEGIN SSH SIGNATURE-----", "-----BEGIN PGP SIGNATURE-----\nAAAA\n-----END PGP SIGNATURE-----"] {
        assert!(matches!(text.parse::<PossessionSignature>(), Err(PossessionError::Ssh(_))), "{text}");
    }
}

#[test]
fn a_document_with_a_malformed_signature_says_why() {
    let error = serde_json::from_str::<PossessionSignature>("\"-----BEGIN X-----\"").unwrap_err();
    let reason = "the text does not begin with the line `-----BEGIN SSH SIGNATURE-----`";
    assert!(error.to_string().contains(reason), "{error}");
}

proptest! {
    #[test]
    fn different_values_never_give_one_text(
        a in ["[!-~]{1,12}", "[!-~]{1,12}", "[!-~]{1,12}"],
        b in ["[!-~]{1,12}", "[!-~]{1,12}", "[!-~]{1,12}"],
    ) {
        let public = key().public_key();
        let text = |values: &[String; 3]| {
            let [trust_domain, name, nonce] = values;
            Possession { trust_domain, name, nonce, ..possession(&public) }.message().unwrap()
        };
        prop_assert_eq!(a == b, text(&a) == text(&b));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}", bytes in proptest::collection::vec(any::<u8>(), 60..70)) {
        let _ = text.parse::<PossessionSignature>();
        let read = BASE64.encode(&bytes).parse::<PossessionSignature>();
        prop_assert_eq!(read.is_ok(), bytes.len() == 64);
    }
}
