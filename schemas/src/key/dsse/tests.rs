use proptest::prelude::*;

use super::*;

const TYPE: &str = "application/x-agentd-test";

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[7; 32])
}

fn signed() -> String {
    Envelope::sign(&key(), TYPE, b"{\"a\":1}").unwrap().to_json().unwrap()
}

fn open(json: &str) -> Result<Vec<u8>, DsseError> {
    Envelope::parse(json.as_bytes())?.verify(&key().public_key(), TYPE).map(<[u8]>::to_vec)
}

#[test]
fn the_pre_authentication_encoding_is_the_one_of_the_specification() {
    let encoded = pae("http://example.com/HelloWorld", b"hello world");
    assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
    // Lengths count bytes, not characters.
    assert_eq!(pae("ä", b"\0\xff"), [&b"DSSEv1 2 "[..], "ä".as_bytes(), b" 2 \0\xff"].concat());
}

#[test]
fn the_json_has_the_fields_of_the_specification() {
    let json: serde_json::Value = serde_json::from_str(&signed()).unwrap();
    let signature = key().sign(&pae(TYPE, b"{\"a\":1}"));
    assert_eq!(
        json,
        serde_json::json!({
            "payloadType": TYPE,
            "payload": "eyJhIjoxfQ==",
            "signatures": [{"keyid": key().public_key().fingerprint(), "sig": BASE64.encode(&signature)}],
        })
    );
}

#[test]
fn the_exact_payload_comes_back() {
    for payload in [&b""[..], b"{ }", b"{}\n", b"\0\xff\xfe"] {
        let json = Envelope::sign(&key(), TYPE, payload).unwrap().to_json().unwrap();
        assert_eq!(open(&json).unwrap(), payload);
        let embedded: Envelope = serde_json::from_str(&json).unwrap();
        assert_eq!(embedded.verify(&key().public_key(), TYPE).unwrap(), payload);
    }
}

#[test]
fn another_type_or_key_is_refused() {
    let envelope = Envelope::parse(signed().as_bytes()).unwrap();
    let other = PrivateKey::from_seed(&[8; 32]);
    let error = envelope.verify(&key().public_key(), "text/plain").unwrap_err();
    assert!(matches!(error, DsseError::PayloadType { .. }), "{error}");
    let error = envelope.verify(&other.public_key(), TYPE).unwrap_err();
    assert!(matches!(error, DsseError::OtherKey { .. }), "{error}");
}

#[test]
fn a_signature_under_a_claimed_key_type_or_payload_does_not_verify() {
    let other = PrivateKey::from_seed(&[8; 32]).public_key();
    let honest = Envelope::sign(&key(), TYPE, b"payload").unwrap();
    let raw = key().sign(b"payload");
    for (what, forged, expected, payload_type) in [
        ("key", Envelope { keyid: other.fingerprint(), ..honest.clone() }, other, TYPE),
        ("type", Envelope { payload_type: "t".into(), ..honest.clone() }, key().public_key(), "t"),
        ("payload", Envelope { payload: b"payloaD".to_vec(), ..honest.clone() }, key().public_key(), TYPE),
        ("without encoding", Envelope { signature: raw, ..honest.clone() }, key().public_key(), TYPE),
        ("empty", Envelope { signature: [0; 64], ..honest }, key().public_key(), TYPE),
    ] {
        let error = forged.verify(&expected, payload_type).unwrap_err();
        assert!(matches!(error, DsseError::BadSignature(_)), "{what}: {error}");
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let json = signed().into_bytes();
    let accepted =
        |json: &[u8]| Envelope::parse(json).is_ok_and(|envelope| envelope.verify(&key().public_key(), TYPE).is_ok());
    assert!(accepted(&json));
    for bit in 0..json.len() * 8 {
        let mut flipped = json.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!accepted(&flipped), "bit {bit}");
    }
    for length in 0..json.len() {
        assert!(!accepted(&json[..length]), "cut to {length}");
    }
}

#[test]
fn a_second_reading_of_the_json_is_refused() {
    let json = signed();
    let keyid = key().public_key().fingerprint();
    let signature = &json[json.find("{\"keyid").unwrap()..json.len() - 2];
    for (what, changed) in [
        ("unknown key", json.replacen('{', "{\"alg\":\"none\",", 1)),
        ("unknown key in a signature", json.replace("\"keyid\"", "\"alg\":\"none\",\"keyid\"")),
        ("repeated payload", json.replacen('{', "{\"payload\":\"\",", 1)),
        ("repeated sig", json.replace("\"keyid\"", "\"sig\":\"\",\"keyid\"")),
        ("repeated key, escaped", json.replacen('{', "{\"payloa\\u0064\":\"\",", 1)),
        ("envelope as an array", format!("[\"{TYPE}\",\"eyJhIjoxfQ==\",[{signature}]]")),
        ("signature as an array", json.replace(signature, &format!("[\"{keyid}\",\"AA==\"]"))),
        ("more text", format!("{json} {{}}")),
        ("byte order mark", format!("\u{feff}{json}")),
        ("no keyid", json.replace(&format!("\"keyid\":\"{keyid}\","), "")),
        ("null keyid", json.replace(&format!("\"{keyid}\""), "null")),
        ("nothing", String::new()),
        ("number", "1".to_owned()),
    ] {
        let error = open(&changed).unwrap_err();
        assert!(matches!(error, DsseError::Json(_)), "{what}: {error}");
    }
}

#[test]
fn malformed_fields_are_refused_by_name() {
    let json = signed();
    let keyid = key().public_key().fingerprint();
    let sig = Envelope::parse(json.as_bytes()).unwrap().signature;
    let sig = BASE64.encode(&sig);
    for (from, to, name) in [
        ("eyJhIjoxfQ==", "eyJhIjoxfQ", "payload"),
        ("eyJhIjoxfQ==", "eyJhIjoxfR==", "payload"),
        ("eyJhIjoxfQ==", "eyJhIjox\\nfQ==", "payload"),
        ("eyJhIjoxfQ==", "__8=", "payload"),
        (&sig, "", "sig"),
        (&sig, "AAAA", "sig"),
        (&keyid, "", "keyid"),
        (&keyid, "*", "keyid"),
        (TYPE, "", "payloadType"),
        (TYPE, "a b", "payloadType"),
        (TYPE, "\\u202ea", "payloadType"),
    ] {
        let error = open(&json.replace(from, to)).unwrap_err();
        assert!(matches!(error, DsseError::Field { field, .. } if field == name), "{name} {to}: {error}");
    }
}

#[test]
fn exactly_one_signature_is_expected() {
    let json = signed();
    let at = json.find("{\"keyid").unwrap();
    let signature = &json[at..json.len() - 2];
    for (signatures, count) in [(String::new(), 0), (format!("{signature},{signature}"), 2)] {
        let error = open(&format!("{}{signatures}]}}", &json[..at])).unwrap_err();
        assert!(matches!(error, DsseError::SignatureCount { found } if found == count), "{error}");
    }
}

#[test]
fn size_is_bounded_when_signing_and_when_reading() {
    let overhead = Envelope::sign(&key(), TYPE, b"").unwrap().to_json().unwrap().len();
    let fits = (MAX_ENVELOPE_BYTES - overhead) / 4 * 3;
    let json = Envelope::sign(&key(), TYPE, &vec![b'x'; fits]).unwrap().to_json().unwrap();
    assert_eq!(open(&json).unwrap().len(), fits);
    for payload in [fits + 1, MAX_ENVELOPE_BYTES, 1 << 20] {
        let error = Envelope::sign(&key(), TYPE, &vec![b'x'; payload]).unwrap_err();
        assert!(matches!(error, DsseError::TooLong { .. }), "{payload}: {error}");
    }
    let padded = format!("{json}{}", " ".repeat(MAX_ENVELOPE_BYTES + 1 - json.len()));
    assert!(matches!(open(&padded), Err(DsseError::TooLong { found }) if found == MAX_ENVELOPE_BYTES + 1));
}

#[test]
fn deep_json_is_refused_without_a_crash() {
    for open_bracket in ["[", "{\"a\":", "{\"signatures\":["] {
        let deep = open_bracket.repeat(MAX_ENVELOPE_BYTES / open_bracket.len());
        assert!(matches!(Envelope::parse(deep.as_bytes()), Err(DsseError::Json(_))), "{open_bracket}");
    }
}

proptest! {
    #[test]
    fn what_is_signed_is_accepted_after_a_round_trip(seed: [u8; 32], payload: Vec<u8>, payload_type in "[!-~]{1,128}") {
        let key = PrivateKey::from_seed(&seed);
        let json = Envelope::sign(&key, &payload_type, &payload).unwrap().to_json().unwrap();
        let envelope = Envelope::parse(json.as_bytes()).unwrap();
        prop_assert_eq!(envelope.verify(&key.public_key(), &payload_type).unwrap(), payload);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, at in 0_usize..250) {
        let _ = Envelope::parse(&bytes);
        let mut json = signed().into_bytes();
        let at = at.min(json.len());
        let end = (at + bytes.len()).min(json.len());
        json.splice(at..end, bytes);
        let _ = Envelope::parse(&json);
    }
}
