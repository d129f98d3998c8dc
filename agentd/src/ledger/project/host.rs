//! The host: which log this is, what is frozen, whether the clock is held, what was erased, which effects are done.
//! What the daemon merely notes about itself and about refusals stays in the log alone.

use agentd_schemas::event::{ClockJumped, ContentRedacted, Event, EventData, Frozen};
use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::{exec, json, misplaced};

/// Applies one event about the host.
pub(super) fn project(tx: &Connection, event: &Event) -> Result<()> {
    match &event.data {
        EventData::LogStarted(data) => {
            incarnation(tx, &data.origin, data.incarnation, [&data.log_key, &data.authority_key, &data.issuer_key])?;
            meta(tx, "trust_domain", &data.trust_domain)
        }
        EventData::IncarnationStarted(data) => {
            incarnation(tx, &data.origin, data.incarnation, [&data.log_key, &data.authority_key, &data.issuer_key])
        }
        EventData::Frozen(data) => frozen(tx, event, data),
        EventData::Thawed(data) => exec(tx, "DELETE FROM frozen WHERE scope = ?1", [json(&data.scope)?]),
        EventData::ClockJumped(data) => clock_jumped(tx, data),
        EventData::ClockAccepted(_) => exec(tx, "DELETE FROM clock WHERE id = 1", []),
        EventData::ContentRedacted(data) => redacted(tx, data),
        EventData::EffectFinished(data) => exec(tx, "DELETE FROM outbox WHERE effect = ?1", [data.effect]),
        EventData::DaemonStarted(_)
        | EventData::DaemonStopped(_)
        | EventData::ConfigurationReloaded(_)
        | EventData::PoliciesLoaded(_)
        | EventData::PoliciesRejected(_)
        | EventData::AccessDenied(_)
        | EventData::AuthenticationFailed(_)
        | EventData::DenialsSummarised(_) => Ok(()),
        other => Err(misplaced(other)),
    }
}

/// A restored ledger keeps its trust domain and nothing else of what it was called.
fn incarnation(tx: &Connection, origin: &str, number: u32, keys: [&str; 3]) -> Result<()> {
    meta(tx, "origin", origin)?;
    meta(tx, "incarnation", &number.to_string())?;
    ["log_key", "authority_key", "issuer_key"].iter().zip(keys).try_for_each(|(name, key)| meta(tx, name, key))
}

fn meta(tx: &Connection, key: &str, value: &str) -> Result<()> {
    let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    exec(tx, sql, [key, value])
}

fn frozen(tx: &Connection, event: &Event, data: &Frozen) -> Result<()> {
    let sql = "INSERT INTO frozen (scope, idx) VALUES (?1, ?2) ON CONFLICT (scope) DO NOTHING";
    exec(tx, sql, params![json(&data.scope)?, event.envelope.index])
}

/// Jumps that nobody looked at add up: one back and one forth leave the clock where it was, and held all the same.
fn clock_jumped(tx: &Connection, data: &ClockJumped) -> Result<()> {
    let held: Option<i64> =
        tx.prepare_cached("SELECT held_ms FROM clock WHERE id = 1")?.query_row([], |row| row.get(0)).optional()?;
    let by_ms = held.unwrap_or(0).saturating_add(data.by_ms);
    let sql =
        "INSERT INTO clock (id, held_ms) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET held_ms = excluded.held_ms";
    exec(tx, sql, [by_ms])
}

/// The bound keeps a slot that no event has from naming content of the next event. The freed bytes are overwritten with
/// zeros, or the content would stay in the file until something else needs its room.
fn redacted(tx: &Connection, data: &ContentRedacted) -> Result<()> {
    let sql = "UPDATE blobs SET salt = NULL, data = NULL WHERE id = ?1 * 16 + ?2 AND ?2 < 16";
    tx.execute_batch("PRAGMA secure_delete = ON")?;
    let erased = exec(tx, sql, params![data.event, data.slot]);
    tx.execute_batch("PRAGMA secure_delete = OFF")?;
    erased
}

#[cfg(test)]
mod tests;
