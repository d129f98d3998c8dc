//! Accounts in their current periods, with the limits that hold.

use std::collections::BTreeSet;

use agentd_schemas::document::request::Period;
use agentd_schemas::view::AccountView;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::owner;
use crate::domain::Defaults;
use crate::ledger::query::{QueryError, read};
use crate::policy::Viewer;

/// Owners, and agents, whose accounts are listed, at most.
const MAX_FAMILIES: i64 = 1000;

/// The current periods in the host's zone.
#[derive(Debug, Clone, Copy)]
pub struct Today<'a> {
    /// `2026-11-22`.
    pub day: &'a str,
    /// `2026-11`.
    pub month: &'a str,
}

/// The accounts that the viewer may see: the host's for who sees all, those of owners with works, and those of agents
/// that have a limit or spent today. Where no limit of money was set, the configured one holds.
pub fn accounts(
    conn: &Connection,
    viewer: &Viewer,
    defaults: &Defaults,
    today: Today<'_>,
) -> Result<Vec<AccountView>, QueryError> {
    let mut families = BTreeSet::new();
    if viewer.all {
        families.insert(("host".to_owned(), Period::Day));
        families.insert(("host".to_owned(), Period::Month));
    }
    for uid in owners(conn, viewer)? {
        families.insert((format!("owner:{uid}"), Period::Day));
        families.insert((format!("owner:{uid}"), Period::Month));
    }
    for name in agents(conn, viewer, today.day)? {
        families.insert((format!("agent:{name}"), Period::Day));
        families.insert((format!("agent:{name}"), Period::Month));
    }
    families.extend(limited(conn, viewer)?);
    families.into_iter().map(|(account, period)| Ok(one(conn, account, period, defaults, today)?)).collect()
}

fn owners(conn: &Connection, viewer: &Viewer) -> rusqlite::Result<Vec<i64>> {
    match owner(viewer) {
        None => {
            let sql = "SELECT DISTINCT owner FROM counts ORDER BY owner LIMIT ?1";
            read::all(conn, sql, [MAX_FAMILIES], |row| row.get(0))
        }
        Some(uid) if uid >= 0 => Ok(vec![uid]),
        Some(_) => Ok(Vec::new()),
    }
}

fn agents(conn: &Connection, viewer: &Viewer, day: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT DISTINCT agents.name FROM spending JOIN agents ON agents.key = spending.agent
               WHERE day = ?1 AND (?2 IS NULL OR agents.owner = ?2) ORDER BY agents.name LIMIT ?3";
    read::all(conn, sql, (day, owner(viewer), MAX_FAMILIES), |row| row.get(0))
}

/// Accounts with a limit of their own.
fn limited(conn: &Connection, viewer: &Viewer) -> rusqlite::Result<Vec<(String, Period)>> {
    let sql = "SELECT family FROM account_limits ORDER BY family LIMIT ?1";
    let mut families = Vec::new();
    for family in read::all(conn, sql, [MAX_FAMILIES], |row| row.get::<_, String>(0))? {
        let Some((account, period)) = family.rsplit_once('/') else { continue };
        let period = if period == "month" { Period::Month } else { Period::Day };
        let mine = match account.split_once(':') {
            Some(("owner", uid)) => uid.parse().is_ok_and(|uid| viewer.sees(uid)),
            Some(("agent", name)) => {
                let of: Option<u32> = read::one(conn, "SELECT owner FROM agents WHERE name = ?1", [name])?;
                of.is_some_and(|of| viewer.sees(of))
            }
            _ => viewer.all,
        };
        if mine {
            families.push((account.to_owned(), period));
        }
    }
    Ok(families)
}

fn one(
    conn: &Connection,
    account: String,
    period: Period,
    defaults: &Defaults,
    today: Today<'_>,
) -> rusqlite::Result<AccountView> {
    let (word, name) = match period {
        Period::Day => ("day", today.day),
        Period::Month => ("month", today.month),
    };
    let family = format!("{account}/{word}");
    let sql = "SELECT max_cost, max_tokens, declared FROM account_limits WHERE family = ?1";
    let limits = |row: &Row<'_>| Ok((read::limit(row, 0)?, read::limit(row, 1)?, row.get(2)?));
    let set = conn.prepare_cached(sql)?.query_row([&family], limits).optional()?;
    let default = match (account.split_once(':'), period) {
        (None, Period::Day) => Some(defaults.host_day_micro_usd),
        (Some(("owner", _)), Period::Day) => Some(defaults.owner_day_micro_usd),
        (Some(("owner", _)), Period::Month) => Some(defaults.owner_month_micro_usd),
        _ => None,
    };
    let is_set = set.is_some();
    let (max_cost, max_tokens, declared) = set.unwrap_or_default();
    let max_cost = max_cost.or(default);
    let sql = "SELECT spent, reserved, tokens, reserved_tokens FROM accounts WHERE name = ?1";
    let amounts = |row: &Row<'_>| {
        Ok((read::unsigned(row, 0)?, read::unsigned(row, 1)?, read::unsigned(row, 2)?, read::unsigned(row, 3)?))
    };
    let found = conn.prepare_cached(sql)?.query_row([format!("{family}/{name}")], amounts).optional()?;
    let (spent, reserved, tokens, reserved_tokens) = found.unwrap_or_default();
    Ok(AccountView {
        account,
        period,
        name: name.to_owned(),
        max_cost: max_cost.map(read::money),
        max_tokens,
        spent: read::money(spent),
        reserved: read::money(reserved),
        tokens,
        reserved_tokens,
        limit_source: if is_set { "set" } else { "default" }.to_owned(),
        declared,
    })
}
