//! Accounts above a work, in their current periods.

use agentd_schemas::unit::name::Slug;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::Loaded;
use crate::domain::Env;
use crate::domain::account::AccountFacts;

/// The accounts that a work of this owner spends from: agent's day, owner's day and month, host's day.
pub fn above(tx: &Connection, owner: u32, agent: Option<&Slug>, env: &Env) -> Loaded<Vec<AccountFacts>> {
    let defaults = &env.defaults;
    let owner_day = format!("owner:{owner}/day");
    let owner_month = format!("owner:{owner}/month");
    let mut accounts = Vec::with_capacity(4);
    if let Some(agent) = agent {
        accounts.push(one(tx, &format!("agent:{agent}/day"), &env.day, None)?);
    }
    accounts.push(one(tx, &owner_day, &env.day, Some(defaults.owner_day_micro_usd))?);
    accounts.push(one(tx, &owner_month, &env.month, Some(defaults.owner_month_micro_usd))?);
    accounts.push(one(tx, "host/day", &env.day, Some(defaults.host_day_micro_usd))?);
    Ok(accounts)
}

fn one(tx: &Connection, family: &str, period: &str, default_max_cost: Option<u64>) -> Loaded<AccountFacts> {
    let name = format!("{family}/{period}");
    let sql = "SELECT max_cost, max_tokens FROM account_limits WHERE family = ?1";
    let limits: Option<(Option<u64>, Option<u64>)> =
        tx.prepare_cached(sql)?.query_row([family], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (max_cost, max_tokens) = limits.unwrap_or((default_max_cost, None));
    let sql = "SELECT spent, reserved, tokens, reserved_tokens FROM accounts WHERE name = ?1";
    let used: Option<(u64, u64, u64, u64)> = tx
        .prepare_cached(sql)?
        .query_row(params![name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let (spent, reserved, tokens, reserved_tokens) = used.unwrap_or_default();
    Ok(AccountFacts { name, max_cost, max_tokens, spent, reserved, tokens, reserved_tokens })
}
