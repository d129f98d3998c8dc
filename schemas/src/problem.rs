//! Errors as they cross a door: a stable code, a message for people, a hint that says the way out, and details for
//! programs. One page per code is in `docs/errors.md`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:literal, $exit:literal;)*) => {
        /// A stable error code. The text form never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The code as it is written on the wire: `stale_fence`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text,)* }
            }

            /// The HTTP status of the agents' door.
            pub const fn http_status(self) -> u16 {
                match self { $(Code::$variant => $status,)* }
            }

            /// The exit code of agentctl.
            pub const fn exit_code(self) -> u8 {
                match self { $(Code::$variant => $exit,)* }
            }

            /// The last part of the D-Bus error name: `StaleFence`.
            pub const fn dbus_name(self) -> &'static str {
                match self { $(Code::$variant => stringify!($variant),)* }
            }

            /// Reads a code from its text.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == text)
            }
        }
    };
}

codes! {
    /// The document or an argument is malformed.
    InvalidDocument = "invalid_document", 400, 2;
    /// A value is well-formed but outside its bound.
    OutOfBounds = "out_of_bounds", 400, 2;
    /// The thing does not exist, or the caller may not learn of it.
    NotFound = "not_found", 404, 6;
    /// A prefix that fits more than one thing.
    Ambiguous = "ambiguous", 409, 2;
    /// A rule forbids it for this caller.
    Denied = "denied", 403, 5;
    /// The caller did not prove who it is, or the proof has expired.
    Unauthenticated = "unauthenticated", 401, 5;
    /// A signature does not verify, or is not by the expected key.
    BadSignature = "bad_signature", 403, 5;
    /// The key was rotated or revoked.
    KeyRevoked = "key_revoked", 403, 5;
    /// No certificate of the owner lets the agent's key sign now.
    Uncertified = "uncertified", 403, 5;
    /// The state of the thing does not allow it.
    WrongState = "wrong_state", 409, 1;
    /// The lease is over, or a newer one was given out.
    StaleFence = "stale_fence", 409, 1;
    /// An idempotency key was used before with another body.
    KeyReused = "key_reused", 409, 1;
    /// The name is taken, and names are never reused.
    NameTaken = "name_taken", 409, 1;
    /// Dependencies would form a cycle.
    Cycle = "cycle", 409, 1;
    /// An account has too little left; the run waits until it is raised.
    BudgetExhausted = "budget_exhausted", 402, 1;
    /// Starts are frozen.
    Frozen = "frozen", 409, 1;
    /// A queue is full, or a rate is exceeded; try again later.
    Busy = "busy", 429, 1;
    /// The message is larger than its bound.
    TooLarge = "too_large", 413, 2;
    /// The state directory or the database cannot be written.
    ReadOnly = "read_only", 503, 1;
    /// The disk is full.
    DiskFull = "disk_full", 507, 1;
    /// What the request was decided on changed too often meanwhile.
    Conflict = "conflict", 409, 1;
    /// The content was redacted.
    Redacted = "redacted", 410, 6;
    /// The daemon is stopping.
    Stopping = "stopping", 503, 4;
    /// A defect of agentd.
    Internal = "internal", 500, 255;
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Code::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("unknown error code {text:?}")))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Code {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Code".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        schemars::json_schema!({ "type": "string", "enum": names })
    }
}

/// One error as both doors send it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[error("{message}")]
pub struct Problem {
    /// What kind of error.
    pub code: Code,
    /// Lowercase, names the object and the reason.
    pub message: String,
    /// The way out, where there is one: a command to run or a value to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Facts for programs: a JSON object, possibly empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, serde_json::Value>,
}

impl Problem {
    /// An error without hint and details.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, details: BTreeMap::new() }
    }

    /// Adds the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds one fact for programs.
    #[must_use]
    pub fn detail(mut self, key: &str, value: impl Into<serde_json::Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }

    /// A defect of agentd, reported without its internals.
    pub fn internal(what: impl std::fmt::Display) -> Self {
        Self::new(Code::Internal, format!("internal error: {what}"))
            .hint("this is a defect of agentd: see the daemon's log (journalctl -u agentd) for the same moment")
    }
}
