//! What a file declares of one account: its limits in a day or a month.

use serde::{Deserialize, Serialize};

use crate::document::request::Period;
use crate::unit::money::Usd;

/// Limits of one account as a person writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BudgetDocument {
    /// `host`, `owner:UID`, `owner:USER` or `agent:NAME`.
    pub account: String,
    /// The period that the limits are for.
    pub per: Period,
    /// Money; left out, it is as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Usd>,
    /// Tokens; left out, they are as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
}
