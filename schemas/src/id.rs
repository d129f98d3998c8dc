//! Public ids: a kind letter, a dash and 80 random bits in lowercase base32 (RFC 4648 alphabet, no padding).
//!
//! Ids are compared as bytes and never normalised. People may write any unique prefix; resolving a prefix needs the
//! ledger and happens in the daemon.

use std::fmt;
use std::str::FromStr;

use data_encoding::{Encoding, Specification};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of randomness in one id.
pub const ID_BYTES: usize = 10;
/// Characters after the kind letter and the dash.
pub const ID_CHARS: usize = 16;
/// Shortest prefix that a table shows, so that ids of one screen align.
pub const SHORT_CHARS: usize = 4;

fn base32() -> &'static Encoding {
    static ENCODING: std::sync::OnceLock<Encoding> = std::sync::OnceLock::new();
    ENCODING.get_or_init(|| {
        let mut spec = Specification::new();
        spec.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
        // A fixed, valid alphabet: the fallback is never taken.
        spec.encoding().unwrap_or(data_encoding::BASE32HEX_NOPAD)
    })
}

/// What is wrong with the text of an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text does not begin with the kind letter and a dash.
    #[error("{text:?} is not a {kind} id: it should look like {letter}-7kq3x2mbnd5fa6uz")]
    Kind {
        /// The text as given, cut to 64 characters.
        text: String,
        /// The kind that was asked for.
        kind: &'static str,
        /// Its letter.
        letter: char,
    },
    /// A run is named without its attempt.
    #[error("{text:?} names no run: a run id is the id of the work, a dot and the attempt, as in w-7kq3x2mbnd5fa6uz.1")]
    Run {
        /// The text as given, cut to 64 characters.
        text: String,
    },
    /// The rest is not 16 characters of base32.
    #[error("{text:?} is not a whole {kind} id: {letter}- and 16 characters of a-z and 2-7")]
    Body {
        /// The text as given, cut to 64 characters.
        text: String,
        /// The kind that was asked for.
        kind: &'static str,
        /// Its letter.
        letter: char,
    },
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $letter:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; ID_BYTES]);

        impl $name {
            /// The kind letter.
            pub const LETTER: char = $letter;

            /// Makes an id from fresh random bytes.
            pub const fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
                Self(bytes)
            }

            /// The random bytes, as the store keeps them.
            pub const fn as_bytes(&self) -> &[u8; ID_BYTES] {
                &self.0
            }

            /// The first `chars` characters of the random part, with the letter: `w-7kq3`.
            pub fn short(&self, chars: usize) -> String {
                let text = self.to_string();
                text.chars().take(2 + chars.clamp(SHORT_CHARS, ID_CHARS)).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0_u8; ID_CHARS];
                base32().encode_mut(&self.0, &mut text);
                let text = std::str::from_utf8(&text).map_err(|_| fmt::Error)?;
                write!(f, "{}-{text}", Self::LETTER)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let kind = || IdError::Kind { text: cut(text), kind: $kind, letter: $letter };
                let body = || IdError::Body { text: cut(text), kind: $kind, letter: $letter };
                let rest = text.strip_prefix(concat!($letter, "-")).ok_or_else(kind)?;
                if rest.len() != ID_CHARS {
                    return Err(body());
                }
                let bytes = base32().decode(rest.as_bytes()).map_err(|_| body())?;
                Ok(Self(bytes.try_into().map_err(|_| body())?))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": concat!("^", $letter, "-[a-z2-7]{16}$"),
                })
            }
        }
    };
}

id!(
    /// One work.
    WorkId, "work", 'w'
);
id!(
    /// One schedule.
    ScheduleId, "schedule", 's'
);

/// The bytes range `[low, high]` of ids whose random part begins with `prefix` (without the letter), for a look-up
/// in an ordered index. `None` when the prefix has a character outside the alphabet or is too long.
pub fn prefix_range(prefix: &str) -> Option<([u8; ID_BYTES], [u8; ID_BYTES])> {
    if prefix.len() > ID_CHARS {
        return None;
    }
    let bound = |fill: char| -> Option<[u8; ID_BYTES]> {
        let mut text = prefix.to_owned();
        text.extend(std::iter::repeat_n(fill, ID_CHARS - prefix.len()));
        base32().decode(text.as_bytes()).ok()?.try_into().ok()
    };
    Some((bound('a')?, bound('7')?))
}

/// One run: the work and the number of the attempt, written `w-….2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId {
    /// The work that was attempted.
    pub work: WorkId,
    /// 1 for the first attempt.
    pub attempt: u32,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.work, self.attempt)
    }
}

impl FromStr for RunId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = || IdError::Run { text: cut(text) };
        let (work, attempt) = text.split_once('.').ok_or_else(bad)?;
        let attempt = attempt.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?;
        Ok(Self { work: work.parse()?, attempt })
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for RunId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RunId".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": r"^w-[a-z2-7]{16}\.[0-9]+$" })
    }
}

/// The fencing token of a lease: (incarnation of the ledger, index of the claim event), written `1.4711`.
///
/// Tokens grow strictly: within an incarnation because indexes do, across a restore because the incarnation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fence {
    /// Which incarnation of the ledger promised the lease.
    pub incarnation: u32,
    /// Log index of the claim.
    pub n: u64,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.incarnation, self.n)
    }
}

impl FromStr for Fence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{:?} is not a fence: it should look like 1.4711", cut(text));
        let (incarnation, n) = text.split_once('.').ok_or_else(bad)?;
        let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        if !digits(incarnation) || !digits(n) {
            return Err(bad());
        }
        Ok(Self { incarnation: incarnation.parse().map_err(|_| bad())?, n: n.parse().map_err(|_| bad())? })
    }
}

impl Serialize for Fence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Fence {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Fence".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": r"^[0-9]+\.[0-9]+$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = WorkId::from_bytes([0, 1, 2, 3, 4, 250, 251, 252, 253, 254]);
        assert_eq!(id.to_string().len(), 18);
        assert_eq!(id.to_string().parse::<WorkId>(), Ok(id));
    }

    #[test]
    fn a_text_that_is_no_id_is_refused() {
        for text in ["", "w-", "w-ABCDEFGHIJKLMNOP", "s-abcdefghijklmnop", "w-abcdefghijklmno1", "w-abcdefghijklmnopq"]
        {
            assert!(text.parse::<WorkId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_run_without_its_attempt_is_told_what_is_missing() {
        for text in ["xx", "w-7kq3x2mbnd5fa6uz", "w-7kq3x2mbnd5fa6uz.", "w-7kq3x2mbnd5fa6uz.0"] {
            assert!(text.parse::<RunId>().unwrap_err().to_string().contains("a dot and the attempt"), "{text}");
        }
    }

    #[test]
    fn a_prefix_covers_its_ids_and_no_other() {
        let id = WorkId::from_bytes([7; 10]);
        let text = id.to_string();
        let (low, high) = prefix_range(&text[2..6]).unwrap();
        assert!(low <= *id.as_bytes() && *id.as_bytes() <= high);
        let (low, high) = prefix_range("7777").unwrap();
        assert!(!(low <= *id.as_bytes() && *id.as_bytes() <= high));
        assert_eq!(prefix_range("1"), None);
    }

    #[test]
    fn fences_of_a_later_incarnation_are_greater() {
        let old: Fence = "1.900".parse().unwrap();
        let new: Fence = "2.3".parse().unwrap();
        assert!(old < new);
        assert!("1".parse::<Fence>().is_err() && "+1.2".parse::<Fence>().is_err());
    }
}
