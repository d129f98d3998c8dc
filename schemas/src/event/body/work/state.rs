//! Where a work stands.

use serde::{Deserialize, Serialize};

/// The state of a work. `parked` is not stored: it is `ready` while nobody is eligible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WorkState {
    /// Waits for a time: not-before, or a backoff.
    Scheduled,
    /// Waits for other works.
    Blocked,
    /// Waits for an agent.
    Ready,
    /// An agent has it.
    Claimed,
    /// The agent said that it began.
    Running,
    /// The run waits for a person, a budget, an approval.
    Waiting,
    /// There is a result; a person has not decided.
    Verifying,
    /// Done and accepted.
    Completed,
    /// Attempts ran out.
    Failed,
    /// Somebody, or the failure of another work, called it off.
    Cancelled,
    /// Not started by its deadline.
    Expired,
}

impl WorkState {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 11] = [
        Self::Scheduled,
        Self::Blocked,
        Self::Ready,
        Self::Claimed,
        Self::Running,
        Self::Waiting,
        Self::Verifying,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
    ];

    /// As written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Blocked => "blocked",
            Self::Ready => "ready",
            Self::Claimed => "claimed",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Verifying => "verifying",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// Reads the wire form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Nothing happens to it any more, unless a person retries it.
    pub const fn is_past(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// An agent holds a lease on it.
    pub const fn is_leased(self) -> bool {
        matches!(self, Self::Claimed | Self::Running | Self::Waiting)
    }

    /// No agent has it yet.
    pub const fn is_future(self) -> bool {
        matches!(self, Self::Scheduled | Self::Blocked | Self::Ready)
    }
}
