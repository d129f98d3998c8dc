//! What it costs, and may cost.

use serde::{Deserialize, Serialize};

/// Where an amount comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AmountSource {
    /// agentd's own gateway measured it.
    Metered,
    /// The agent said so.
    Reported,
    /// Computed from what is known.
    Estimated,
}

/// Set aside before spending, in the work's account and every account above it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostReserved {
    /// Money.
    pub micro_usd: u64,
    /// Tokens.
    pub tokens: u64,
    /// Charged besides the work itself: `work:w-…` for each work that it is part of, and periods:
    /// `owner:1000/day/2026-11-22`.
    pub accounts: Vec<String>,
}

/// A reservation, or an amount never reserved, became spending. What a run left open, the host settles as estimated
/// before the event that ends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostSettled {
    /// Log index of the reservation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<u64>,
    /// Money; absent when unpriced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_usd: Option<u64>,
    /// Tokens.
    pub tokens: u64,
    /// Where the amount comes from.
    pub source: AmountSource,
    /// The model that answered, as reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_model: Option<String>,
    /// What the reservation had set aside.
    pub released_micro_usd: u64,
    /// What the reservation had set aside.
    pub released_tokens: u64,
    /// Charged besides the work itself; those of the reservation where there was one.
    pub accounts: Vec<String>,
}

/// A person raised limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsRaised {
    /// Money in all from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_micro_usd: Option<u64>,
    /// Tokens in all from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Attempts in all from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
}
