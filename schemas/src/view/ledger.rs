//! The log.

use serde::{Deserialize, Serialize};

/// The newest checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeadView {
    /// Origin of the log.
    pub origin: String,
    /// Incarnation.
    pub incarnation: u32,
    /// Events.
    pub size: u64,
    /// Root, base64.
    pub root: String,
    /// Verifier key in signed-note form.
    pub log_key: String,
    /// The signed checkpoint.
    pub checkpoint: String,
}

/// One event with what belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventView {
    /// Place in the log.
    pub index: u64,
    /// The exact bytes, as text.
    pub body: String,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PageOfEvents {
    /// The events that the caller may see, in the order asked for.
    pub events: Vec<EventView>,
    /// Where to go on: pass it as `since`.
    pub next: u64,
    /// Events in the log.
    pub size: u64,
}
