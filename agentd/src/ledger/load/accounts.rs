//! Accounts above a work, in their current periods.

use agentd_schemas::unit::name::Slug;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::Loaded;
use crate::domain::Env;
use crate::domain::account::AccountFacts;

/// The accounts that a work of this owner spends from: days and months of agent, owner and host. All are charged, also
/// those without a limit: one that is set in the middle of a month counts what was spent before.
pub fn above(tx: &Connection, owner: u32, agent: Option<&Slug>, env: &Env) -> Loaded<Vec<AccountFacts>> {
    let defaults = &env.defaults;
    let mut accounts = Vec::with_capacity(6);
    let mut add = |family: &str, period: &str, default: Option<u64>| -> Loaded<()> {
        accounts.push(one(tx, family, period, default)?);
        Ok(())
    };
    if let Some(agent) = agent {
        add(&format!("agent:{agent}/day"), &env.day, None)?;
        add(&format!("agent:{agent}/month"), &env.month, None)?;
    }
    add(&format!("owner:{owner}/day"), &env.day, Some(defaults.owner_day_micro_usd))?;
    add(&format!("owner:{owner}/month"), &env.month, Some(defaults.owner_month_micro_usd))?;
    add("host/day", &env.day, Some(defaults.host_day_micro_usd))?;
    add("host/month", &env.month, None)?;
    Ok(accounts)
}

fn one(tx: &Connection, family: &str, period: &str, default_max_cost: Option<u64>) -> Loaded<AccountFacts> {
    let name = format!("{family}/{period}");
    let sql = "SELECT max_cost, max_tokens FROM account_limits WHERE family = ?1";
    let limits: Option<(Option<u64>, Option<u64>)> =
        tx.prepare_cached(sql)?.query_row([family], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (max_cost, max_tokens) = limits.unwrap_or_default();
    let max_cost = max_cost.or(default_max_cost);
    if max_cost.is_none() && max_tokens.is_none() {
        // Nobody asks how much is left of what has no limit.
        let (spent, reserved, tokens, reserved_tokens) = (0, 0, 0, 0);
        return Ok(AccountFacts { name, max_cost, max_tokens, spent, reserved, tokens, reserved_tokens });
    }
    let sql = "SELECT spent, reserved, tokens, reserved_tokens FROM accounts WHERE name = ?1";
    let used: Option<(u64, u64, u64, u64)> = tx
        .prepare_cached(sql)?
        .query_row(params![name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let (spent, reserved, tokens, reserved_tokens) = used.unwrap_or_default();
    Ok(AccountFacts { name, max_cost, max_tokens, spent, reserved, tokens, reserved_tokens })
}
