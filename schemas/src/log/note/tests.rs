//! Notes against published examples, round trips, and every change of one byte.

use proptest::prelude::*;

use super::*;
use crate::log::tree::{Hash, empty_root};

/// The key and the note of the documentation of Go's `golang.org/x/mod/sumdb/note`.
const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn verifier(name: &str, seed: u8) -> VerifierKey {
    VerifierKey::new(name, key(seed).verifying_key()).unwrap()
}

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: "agentd.example/log".to_owned(), size: 0, root: empty_root() }
}

fn witness() -> NoteSignature {
    NoteSignature { name: "witness.example/w1".to_owned(), key_id: KeyId([1, 2, 3, 4]), signature: vec![5; 72] }
}

#[test]
fn a_note_signed_by_another_implementation_verifies() {
    let key: VerifierKey = GO_KEY.parse().unwrap();
    assert_eq!(key.to_string(), GO_KEY);
    let note = SignedNote::parse(GO_NOTE).unwrap();
    assert_eq!(note.to_string(), GO_NOTE);
    assert_eq!(note.verify(std::slice::from_ref(&key)), Ok(vec![&key]));
    assert!(matches!(Checkpoint::open(&note, &[key]), Err(NoteError::Checkpoint { .. })));
}

#[test]
fn a_checkpoint_comes_back_from_its_note() {
    let keys = [verifier("agentd.example/log", 1)];
    let note = checkpoint().sign(&key(1)).unwrap().with_signature(witness()).unwrap();
    let text = note.to_string();
    assert!(text.starts_with("agentd.example/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n\u{2014} agentd"));
    let parsed = SignedNote::parse(&text).unwrap();
    assert_eq!(parsed, note);
    assert_eq!(parsed.to_string(), text);
    assert_eq!(parsed.signatures()[1], witness());
    assert_eq!(Checkpoint::open(&parsed, &keys), Ok(checkpoint()));
    let json = serde_json::to_string(&keys[0]).unwrap();
    assert_eq!(serde_json::from_str::<VerifierKey>(&json).unwrap(), keys[0]);
}

#[test]
fn every_flipped_bit_of_a_checkpoint_is_refused() {
    let keys = [verifier("agentd.example/log", 1)];
    let text = checkpoint().sign(&key(1)).unwrap().to_string();
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let opened = std::str::from_utf8(&bytes)
                .map(|text| SignedNote::parse(text).and_then(|note| Checkpoint::open(&note, &keys)));
            assert!(!matches!(opened, Ok(Ok(_))), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_note_needs_a_known_signature_and_no_wrong_one() {
    let note = checkpoint().sign(&key(1)).unwrap();
    let (log, other) = (verifier("agentd.example/log", 1), verifier("agentd.example/log", 2));
    assert_eq!(note.verify(&[]), Err(NoteError::Unsigned));
    // The same name with another key has another id, so its line is one of an unknown key.
    assert_eq!(note.verify(std::slice::from_ref(&other)), Err(NoteError::Unsigned));
    assert!(note.verify(&[other.clone(), log.clone()]).is_ok());
    let forged = NoteSignature { name: other.name().to_owned(), key_id: other.id(), signature: vec![7; 64] };
    let forged = note.with_signature(forged).unwrap();
    assert!(forged.verify(std::slice::from_ref(&log)).is_ok());
    assert!(matches!(forged.verify(&[log, other]), Err(NoteError::BadSignature { .. })));
}

#[test]
fn a_witness_does_not_sign_in_place_of_the_log() {
    let note = SignedNote::sign(checkpoint().to_text(), "witness.example", &key(3)).unwrap();
    let refused = Checkpoint::open(&note, &[verifier("witness.example", 3)]);
    assert_eq!(refused, Err(NoteError::NotByOrigin { origin: "agentd.example/log".to_owned() }));
}

#[test]
fn checkpoints_have_one_form_only() {
    let root = BASE64.encode(&[0; 32]);
    let cases = [
        ("a\n1\n", "too few lines"),
        ("a\n1\nROOT\nextension\n", "extension"),
        ("a\n1\nROOT\n\n", "blank extension"),
        ("a\n1\nROOT", "no newline"),
        ("a\n01\nROOT\n", "leading zero"),
        ("a\n+1\nROOT\n", "sign"),
        ("a\n-1\nROOT\n", "negative"),
        ("a\n\nROOT\n", "no size"),
        ("a\n9223372036854775808\nROOT\n", "size"),
        ("a\n18446744073709551616\nROOT\n", "overflow"),
        ("\n1\nROOT\n", "no origin"),
        ("a b\n1\nROOT\n", "space in origin"),
        ("a+b\n1\nROOT\n", "plus in origin"),
        ("a\n1\nAAAA\n", "short root"),
        ("a\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n", "base64 with trailing bits"),
        ("a\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", "base64 without padding"),
    ];
    for (text, why) in cases {
        assert!(Checkpoint::from_text(&text.replace("ROOT", &root)).is_err(), "{why}");
    }
    let good = format!("a\n9223372036854775807\n{root}\n");
    let checkpoint = Checkpoint::from_text(&good).unwrap();
    assert_eq!(checkpoint, Checkpoint { origin: "a".to_owned(), size: i64::MAX as u64, root: Hash::default() });
    assert_eq!(checkpoint.to_text(), good);
    assert!(Checkpoint { size: u64::MAX, ..checkpoint.clone() }.sign(&key(1)).is_err());
    assert!(Checkpoint { origin: "a\nb".to_owned(), ..checkpoint }.sign(&key(1)).is_err());
}

#[test]
fn malformed_notes_are_refused() {
    let line = witness().to_string();
    let cases = [
        (String::new(), NoteError::Layout),
        ("text\n".to_owned(), NoteError::Layout),
        (format!("text\n{line}"), NoteError::Layout),
        (format!("\n\n{line}"), NoteError::Layout),
        (format!("text\n\n{}", line.trim_end()), NoteError::Layout),
        ("text\n\n\n".to_owned(), NoteError::Layout),
        (format!("text\n\n{line}x\n"), NoteError::SignatureLine { line: 2 }),
        (format!("text\n\n{}", line.replace('\u{2014}', "-")), NoteError::SignatureLine { line: 1 }),
        (format!("text\n\n{}", line.replace(" AQ", "  AQ")), NoteError::SignatureLine { line: 1 }),
        (format!("text\n\n{}", line.replace('\n', " \n")), NoteError::SignatureLine { line: 1 }),
        ("text\n\n\u{2014} name AQIDBA==\n".to_owned(), NoteError::SignatureLine { line: 1 }),
        ("text\n\n\u{2014} name AQID\n".to_owned(), NoteError::SignatureLine { line: 1 }),
        (format!("te\rxt\n\n{line}"), NoteError::Control { code: 13 }),
        (format!("text\n\n{}", line.repeat(33)), NoteError::TooManySignatures),
        ("x".repeat(MAX_NOTE_BYTES + 1), NoteError::TooLong { bytes: MAX_NOTE_BYTES + 1 }),
    ];
    for (text, error) in cases {
        assert_eq!(SignedNote::parse(&text), Err(error), "{text:.40?}");
    }
    assert!(SignedNote::parse(&format!("text\n\n{}", line.repeat(32))).is_ok());
    assert_eq!(SignedNote::sign("no newline".to_owned(), "a", &key(1)), Err(NoteError::Layout));
    let note = SignedNote::sign("text\n".to_owned(), "a", &key(1)).unwrap();
    let huge = NoteSignature { signature: vec![0; MAX_SIGNATURE_BYTES + 1], ..witness() };
    assert!(note.with_signature(huge).is_err());
}

#[test]
fn malformed_verifier_keys_are_refused() {
    let good = verifier("log.example", 1).to_string();
    let (name, rest) = good.split_once('+').unwrap();
    let (id, base64) = rest.split_once('+').unwrap();
    let mut weak = [0; 33];
    (weak[0], weak[1]) = (1, 1);
    let bad = [
        name.to_owned(),
        format!("{name}+{id}"),
        format!("+{id}+{base64}"),
        format!("{name}x+{id}+{base64}"),
        format!("{name}+00000000+{base64}"),
        format!("{name}+{}+{base64}", id.to_uppercase()),
        format!("{name}+{id}+{base64} "),
        format!("{name}+{id}+{}", BASE64.encode(&[1; 32])),
        format!("{name}+{id}+{}", BASE64.encode(&[4; 33])),
        format!("{name}+{id}+{}", BASE64.encode(&weak)),
        format!("{name}+{id}+"),
    ];
    for text in bad {
        assert!(text.parse::<VerifierKey>().is_err(), "{text}");
    }
    assert_eq!(good.parse::<VerifierKey>().unwrap().to_string(), good);
}

proptest! {
    #[test]
    fn any_text_that_signs_comes_back(text in "\\PC{1,9}\n(\\PC{0,20}\n){0,5}") {
        let note = SignedNote::sign(text, "log.example", &key(1)).unwrap();
        let parsed = SignedNote::parse(&note.to_string()).unwrap();
        prop_assert_eq!(&parsed, &note);
        prop_assert!(parsed.verify(&[verifier("log.example", 1)]).is_ok());
    }

    #[test]
    fn what_parses_formats_to_the_same_bytes(text in "(a|\n){1,6}\n\n(\u{2014} [ab+ ]{1,3} (AQIDBAU=|AQIDBAUG|AQID|AB=)\n){0,3}") {
        if let Ok(note) = SignedNote::parse(&text) {
            prop_assert_eq!(note.to_string(), text);
        }
    }
}
