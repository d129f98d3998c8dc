//! The floor of a submit: the same rows, in the same tables, with the same pragmas, by one SQLite connection in one
//! process, one durable transaction for each work.
//!
//! Tables and rows are read from the ledger that the daemon has just written, so the floor never falls behind it.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};

use crate::client::Sample;

/// A table and one of its rows.
type Stored = (&'static str, Vec<Value>);

/// Writes the newest `works` submits of `ledger` into a new database at `into`, one commit each.
pub(crate) fn run(ledger: &Path, into: &Path, works: usize) -> anyhow::Result<Sample> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let from = Connection::open_with_flags(ledger, flags).context("the ledger that was measured")?;
    let to = copy_tables(&from, into)?;
    let submits = submits(&from, works)?;
    let begun = Instant::now();
    let mut latencies = Vec::with_capacity(submits.len());
    for rows in &submits {
        let begun = Instant::now();
        commit(&to, rows)?;
        latencies.push(begun.elapsed());
    }
    Ok(Sample::of(begun.elapsed(), latencies))
}

fn copy_tables(from: &Connection, into: &Path) -> anyhow::Result<Connection> {
    drop(std::fs::remove_file(into));
    let to = Connection::open(into).context("the database of the floor")?;
    to.execute_batch("PRAGMA page_size = 4096")?;
    to.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    to.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -16384")?;
    to.set_prepared_statement_cache_capacity(64);
    let mut tables = from.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")?;
    let tables: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    to.execute_batch(&format!("BEGIN; {}; COMMIT;", tables.join(";")))?;
    for table in ["queues", "counts", "head"] {
        for row in rows(from, table, "true", &[])? {
            insert(&to, table, &row)?;
        }
    }
    Ok(to)
}

/// What each of the newest submits wrote, oldest first.
fn submits(from: &Connection, works: usize) -> anyhow::Result<Vec<Vec<Stored>>> {
    let mut keys = from.prepare("SELECT key FROM works ORDER BY key DESC LIMIT ?1")?;
    let keys: Vec<i64> = keys.query_map([works], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut submits = Vec::with_capacity(keys.len());
    for key in keys.into_iter().rev() {
        let mut all: Vec<Stored> = Vec::new();
        for (table, condition) in [
            ("requests", "first = ?1"),
            ("blobs", "id >= ?1 * 16 AND id < ?1 * 16 + 16"),
            ("events", "idx = ?1"),
            ("works", "key = ?1"),
        ] {
            all.extend(rows(from, table, condition, &[Value::Integer(key)])?.into_iter().map(|row| (table, row)));
        }
        submits.push(all);
    }
    Ok(submits)
}

fn rows(from: &Connection, table: &str, condition: &str, values: &[Value]) -> anyhow::Result<Vec<Vec<Value>>> {
    let mut statement = from.prepare_cached(&format!("SELECT * FROM {table} WHERE {condition}"))?;
    let columns = statement.column_count();
    let rows = statement.query_map(params_from_iter(values), |row| (0..columns).map(|at| row.get(at)).collect())?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn insert(to: &Connection, table: &str, row: &[Value]) -> anyhow::Result<()> {
    let places = vec!["?"; row.len()].join(", ");
    let sql = format!("INSERT OR REPLACE INTO {table} VALUES ({places})");
    to.prepare_cached(&sql)?.execute(params_from_iter(row))?;
    Ok(())
}

fn commit(to: &Connection, rows: &[Stored]) -> anyhow::Result<()> {
    to.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    for (table, row) in rows {
        insert(to, table, row)?;
    }
    to.prepare_cached("UPDATE counts SET n = n + 1")?.execute([])?;
    to.prepare_cached("UPDATE queues SET ready = ready + 1")?.execute([])?;
    to.prepare_cached("UPDATE head SET size = size + 1, boot_ms = boot_ms + 1")?.execute([])?;
    to.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}
