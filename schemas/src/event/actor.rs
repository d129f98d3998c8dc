//! Who did it, as events name them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::unit::name::Slug;

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Actor {
    /// A person or service account, by the uid that the kernel named: `uid:1000`.
    Uid(u32),
    /// An agent that proved possession of its key: `agent:fixer`.
    Agent(Slug),
    /// The daemon itself, by a rule or a timer: `host`.
    Host,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "uid:{uid}"),
            Self::Agent(name) => write!(f, "agent:{name}"),
            Self::Host => f.write_str("host"),
        }
    }
}

impl FromStr for Actor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not an actor: uid:N, agent:NAME or host");
        match text.split_once(':') {
            Some(("uid", uid)) => Ok(Self::Uid(uid.parse().map_err(|_| bad())?)),
            Some(("agent", name)) => Ok(Self::Agent(name.parse().map_err(|_| bad())?)),
            None if text == "host" => Ok(Self::Host),
            _ => Err(bad()),
        }
    }
}

impl Serialize for Actor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
