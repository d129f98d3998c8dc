//! Accounts above a work, in their current periods; what its parts use; what its run has set aside.

use agentd_schemas::event::CostReserved;
use agentd_schemas::id::{ID_BYTES, WorkId};
use agentd_schemas::unit::name::Slug;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{LoadError, Loaded};
use crate::domain::Env;
use crate::domain::account::{AccountFacts, Used, of_parts};
use crate::domain::work::WorkFacts;
use crate::domain::work::submit::MAX_DEPTH;

/// Every account that a run of this work spends from, its own aside: the works that it is part of, the nearest first,
/// then those of agent, owner and host.
pub fn over(tx: &Connection, work: &WorkFacts, agent: Option<&Slug>, env: &Env) -> Loaded<Vec<AccountFacts>> {
    let mut accounts = Vec::new();
    if let Some(parent) = work.spec.parent {
        accounts.extend(chain(tx, parent)?.into_iter().map(|(_, account)| account));
    }
    accounts.extend(above(tx, work.spec.owner, agent, env)?);
    Ok(accounts)
}

/// A work and those that it is part of, as accounts: with what each spent itself, and what all its parts did.
pub fn chain(tx: &Connection, work: WorkId) -> Loaded<Vec<(WorkId, AccountFacts)>> {
    let sql = "SELECT w.max_cost, w.max_tokens, w.spent, w.reserved, w.tokens, w.reserved_tokens, p.id
               FROM works w LEFT JOIN works p ON p.key = w.parent WHERE w.id = ?1";
    let mut chain = Vec::new();
    let mut next = Some(work);
    while let Some(id) = next.take().filter(|_| chain.len() <= MAX_DEPTH as usize) {
        let name = of_parts(id);
        let parts = used(tx, &name)?;
        let read = |row: &Row<'_>| {
            let account = AccountFacts {
                name,
                max_cost: row.get(0)?,
                max_tokens: row.get(1)?,
                spent: row.get::<_, u64>(2)?.saturating_add(parts.spent),
                reserved: row.get::<_, u64>(3)?.saturating_add(parts.reserved),
                tokens: row.get::<_, u64>(4)?.saturating_add(parts.tokens),
                reserved_tokens: row.get::<_, u64>(5)?.saturating_add(parts.reserved_tokens),
            };
            Ok((account, row.get::<_, Option<[u8; ID_BYTES]>>(6)?))
        };
        if let Some((account, parent)) = tx.prepare_cached(sql)?.query_row([id.as_bytes()], read).optional()? {
            chain.push((id, account));
            next = parent.map(WorkId::from_bytes);
        }
    }
    Ok(chain)
}

/// What is spent from an account and set aside in it.
pub fn used(tx: &Connection, name: &str) -> Loaded<Used> {
    let sql = "SELECT spent, reserved, tokens, reserved_tokens FROM accounts WHERE name = ?1";
    let read = |row: &Row<'_>| {
        Ok(Used { spent: row.get(0)?, reserved: row.get(1)?, tokens: row.get(2)?, reserved_tokens: row.get(3)? })
    };
    Ok(tx.prepare_cached(sql)?.query_row([name], read).optional()?.unwrap_or_default())
}

/// What a run has set aside and not settled, oldest first.
pub fn open(tx: &Connection, run: u64) -> Loaded<Vec<(u64, CostReserved)>> {
    let sql = "SELECT idx, micro_usd, tokens, accounts FROM reservations WHERE run = ?1 ORDER BY idx";
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query([run])?;
    let mut open = Vec::new();
    while let Some(row) = rows.next()? {
        let accounts = serde_json::from_str(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?);
        let broken = |row, what: String| LoadError::Table { table: "reservations", row, what };
        let accounts = match accounts {
            Ok(accounts) => accounts,
            Err(error) => return Err(broken(row.get(0)?, error.to_string())),
        };
        open.push((row.get(0)?, CostReserved { micro_usd: row.get(1)?, tokens: row.get(2)?, accounts }));
    }
    Ok(open)
}

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
    let Used { spent, reserved, tokens, reserved_tokens } = used(tx, &name)?;
    Ok(AccountFacts { name, max_cost, max_tokens, spent, reserved, tokens, reserved_tokens })
}
