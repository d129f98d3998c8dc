//! The trust domain: the host part of every agent's name.

use agentd_schemas::problem::{Code, Problem};

/// Longest trust domain, as SPIFFE has it.
pub const MAX_BYTES: usize = 255;

/// A fresh one: `h-<32 hex>.agentd.internal`.
pub fn generate(random: [u8; 16]) -> String {
    format!("h-{}.agentd.internal", data_encoding::HEXLOWER.encode(&random))
}

/// Checks a configured one: SPIFFE's alphabet, nothing is normalised.
pub fn check(text: &str) -> Result<(), Problem> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    if text.is_empty() || text.len() > MAX_BYTES || !text.bytes().all(fits) {
        return Err(Problem::new(Code::InvalidDocument, format!("{text:?} is not a trust domain"))
            .hint("1 to 255 characters of a-z, 0-9, dot, dash and underscore"));
    }
    Ok(())
}

/// The id of an agent: `spiffe://<trust-domain>/agent/<name>-<ulid>`. The ULID (48 bits of Unix milliseconds, 80 random
/// bits, Crockford base32) makes ids of two hosts with one trust domain differ.
pub fn agent_id(trust_domain: &str, name: &str, wall_ms: i64, random: [u8; 10]) -> String {
    format!("spiffe://{trust_domain}/agent/{name}-{}", ulid(wall_ms, random))
}

fn ulid(wall_ms: i64, random: [u8; 10]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut bytes = [0_u8; 16];
    bytes[..6].copy_from_slice(&wall_ms.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&random);
    let value = u128::from_be_bytes(bytes);
    (0..26).rev().map(|place| char::from(ALPHABET[usize::try_from((value >> (place * 5)) & 31).unwrap_or(0)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ulid_has_26_characters_and_sorts_by_time() {
        let early = ulid(1_700_000_000_000, [0xff; 10]);
        let late = ulid(1_700_000_000_001, [0; 10]);
        assert_eq!((early.len(), late.len()), (26, 26));
        assert!(early < late);
        // The time part of the example in the ULID specification.
        assert_eq!(&ulid(1_469_918_176_385, [0; 10])[..10], "01aryz6s41");
    }

    #[test]
    fn a_trust_domain_is_refused_not_normalised() {
        assert!(check("host-1.example").is_ok());
        for text in ["", "Host", "a b", "ünïcode", "a/b", &"a".repeat(256)] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
