//! Money and tokens: reservations, spending, and the limits of accounts.

use agentd_schemas::event::{AmountSource, CostReserved, CostSettled, Event, EventData};
use rusqlite::{Connection, Result, params};

use super::works::Row;
use super::{exec, misplaced};
use crate::domain::account::MAX_AMOUNT;

/// Limits of an account; `id` is its family: `owner:1000/day`. One that is not given stays; a family without any has no row.
pub(super) fn project_limit(tx: &Connection, event: &Event, id: &str) -> Result<()> {
    let EventData::AccountLimitSet(data) = &event.data else { return Err(misplaced(&event.data)) };
    let sql = "INSERT INTO account_limits (family, max_cost, max_tokens, declared) VALUES (?1, ?2, ?3, ?6)
               ON CONFLICT (family) DO UPDATE SET declared = coalesce(excluded.declared, declared),
                 max_cost = CASE WHEN ?4 THEN NULL ELSE coalesce(excluded.max_cost, max_cost) END,
                 max_tokens = CASE WHEN ?5 THEN NULL ELSE coalesce(excluded.max_tokens, max_tokens) END";
    exec(
        tx,
        sql,
        params![id, data.max_cost_micro_usd, data.max_tokens, data.no_max_cost, data.no_max_tokens, data.declared],
    )?;
    exec(tx, "DELETE FROM account_limits WHERE family = ?1 AND max_cost IS NULL AND max_tokens IS NULL", [id])
}

/// Change of an account or a work: what is settled and what is set aside.
#[derive(Default, Clone, Copy)]
struct Change {
    spent: i64,
    reserved: i64,
    tokens: i64,
    reserved_tokens: i64,
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount.min(MAX_AMOUNT)).unwrap_or(i64::MAX)
}

/// Adds to the sums of a work and its accounts. A sum stops at the largest amount, and none falls below nothing: more
/// than that no ledger means, and an overflow would end everybody's spending for the day.
fn apply(tx: &Connection, work: i64, accounts: &[String], change: Change) -> Result<()> {
    let Change { spent, reserved, tokens, reserved_tokens } = change;
    let sql = "UPDATE works SET spent = min(spent + ?2, ?6), reserved = max(0, min(reserved + ?3, ?6)),
                 tokens = min(tokens + ?4, ?6), reserved_tokens = max(0, min(reserved_tokens + ?5, ?6)) WHERE key = ?1";
    exec(tx, sql, params![work, spent, reserved, tokens, reserved_tokens, MAX_AMOUNT])?;
    for account in accounts {
        let sql =
            "INSERT INTO accounts (name, spent, reserved, tokens, reserved_tokens) VALUES (?1, ?2, max(0, ?3), ?4, max(0, ?5))
                   ON CONFLICT (name) DO UPDATE SET spent = min(spent + ?2, ?6), reserved = max(0, min(reserved + ?3, ?6)),
                     tokens = min(tokens + ?4, ?6), reserved_tokens = max(0, min(reserved_tokens + ?5, ?6))";
        exec(tx, sql, params![account, spent, reserved, tokens, reserved_tokens, MAX_AMOUNT])?;
    }
    Ok(())
}

pub(super) fn reserved(tx: &Connection, event: &Event, row: &Row, data: &CostReserved) -> Result<()> {
    let accounts = serde_json::to_string(&data.accounts).unwrap_or_default();
    let sql = "INSERT INTO reservations (idx, run, micro_usd, tokens, accounts) VALUES (?1, ?2, ?3, ?4, ?5)";
    exec(tx, sql, params![event.envelope.index, row.run_key(), data.micro_usd, data.tokens, accounts])?;
    let change = Change { reserved: signed(data.micro_usd), reserved_tokens: signed(data.tokens), ..Change::default() };
    apply(tx, row.key, &data.accounts, change)
}

/// The number that stands for a source in tables: a bit, so that sets of them fit one column.
pub(in crate::ledger) const fn source_bit(source: AmountSource) -> i64 {
    match source {
        AmountSource::Metered => 1,
        AmountSource::Reported => 2,
        AmountSource::Estimated => 4,
    }
}

pub(super) fn settled(tx: &Connection, row: &Row, data: &CostSettled) -> Result<()> {
    if let Some(reservation) = data.reservation {
        exec(tx, "DELETE FROM reservations WHERE idx = ?1", [reservation])?;
    }
    let micro_usd = signed(data.micro_usd.unwrap_or(0));
    let tokens = signed(data.tokens);
    let change = Change {
        spent: micro_usd,
        reserved: -signed(data.released_micro_usd),
        tokens,
        reserved_tokens: -signed(data.released_tokens),
    };
    apply(tx, row.key, &data.accounts, change)?;
    let unpriced = i64::from(data.micro_usd.is_none());
    exec(tx, "UPDATE works SET unpriced = unpriced + ?2 WHERE key = ?1", params![row.key, unpriced])?;
    let bit = source_bit(data.source);
    let sql = "UPDATE runs SET spent = min(spent + ?2, ?5), tokens = min(tokens + ?3, ?5), sources = sources | ?4
               WHERE key = ?1 RETURNING agent, epoch";
    let (agent, epoch): (i64, i64) = tx
        .prepare_cached(sql)?
        .query_row(params![row.run_key(), micro_usd, tokens, bit, MAX_AMOUNT], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sql = "UPDATE epochs SET spent = min(spent + ?3, ?4) WHERE agent = ?1 AND epoch = ?2";
    exec(tx, sql, params![agent, epoch, micro_usd, MAX_AMOUNT])?;
    let sql = "INSERT INTO spending (day, owner, agent, source, micro_usd, tokens, unpriced) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
               ON CONFLICT (day, owner, agent, source) DO UPDATE SET micro_usd = min(micro_usd + excluded.micro_usd, ?8),
                 tokens = min(tokens + excluded.tokens, ?8), unpriced = unpriced + excluded.unpriced";
    exec(tx, sql, params![day(data), row.owner, agent, bit, micro_usd, tokens, unpriced, MAX_AMOUNT])
}

/// The day that was charged, in the host's zone, as the accounts name it.
fn day(data: &CostSettled) -> &str {
    let of_day = data.accounts.iter().find_map(|account| account.split_once("/day/").map(|(_, day)| day));
    of_day.unwrap_or("")
}
