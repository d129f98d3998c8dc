//! Who a thing belongs to, as people write it: a uid, or the name of a user.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of the name of a user, at most: what the kernel's and the C library's tools take.
pub const MAX_USER_BYTES: usize = 256;

/// A uid, or the name of a user that is looked up where the document is handed in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// As the kernel has it.
    Uid(u32),
    /// As `/etc/passwd` has it.
    Name(String),
}

impl Owner {
    /// Reads a uid or a name.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match text.parse() {
                Ok(uid) if uid < u32::MAX => Ok(Self::Uid(uid)),
                _ => Err(format!("{} is no uid; they end at {}", super::shown(text), u32::MAX - 1)),
            };
        }
        let plain = |c: char| !c.is_control() && !c.is_whitespace() && c != ':' && c != '/';
        if text.is_empty() || text.len() > MAX_USER_BYTES || text.starts_with('-') || !text.chars().all(plain) {
            return Err(format!("{} is no name of a user; write a name or a uid", super::shown(text)));
        }
        Ok(Self::Name(text.to_owned()))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "{uid}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Serialize for Owner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Uid(uid) => serializer.serialize_u32(*uid),
            Self::Name(name) => serializer.serialize_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Owner;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a uid or the name of a user")
            }

            fn visit_u64<E: Error>(self, uid: u64) -> Result<Owner, E> {
                Owner::parse(&uid.to_string()).map_err(E::custom)
            }

            fn visit_i64<E: Error>(self, uid: i64) -> Result<Owner, E> {
                Owner::parse(&uid.to_string()).map_err(E::custom)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Owner, E> {
                Owner::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_a_uid_or_a_name_and_nothing_else() {
        for (json, owner) in
            [("1000", Owner::Uid(1000)), ("\"1000\"", Owner::Uid(1000)), ("\"alice\"", Owner::Name("alice".to_owned()))]
        {
            assert_eq!(serde_json::from_str::<Owner>(json).unwrap(), owner, "{json}");
        }
        for json in ["-1", "4294967295", "\"\"", "\"a b\"", "\"-x\"", "\"a:b\"", "1.5", "[]", "\"../x\""] {
            assert!(serde_json::from_str::<Owner>(json).is_err(), "{json}");
        }
        assert_eq!(serde_json::to_string(&Owner::Uid(7)).unwrap(), "7");
    }
}
