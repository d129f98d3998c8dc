//! Reading columns, events and content into the types of the documents.

use std::str::FromStr;

use agentd_schemas::content::WorkContent;
use agentd_schemas::event::envelope::EventError;
use agentd_schemas::event::{Actor, Event, WorkState};
use agentd_schemas::unit::money::{MicroUsd, Usd};
use agentd_schemas::unit::time::WallMs;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, RowIndex};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::ledger::load::{LoadError, Loaded};
use crate::ledger::project::state_of;

/// Characters of a message that a list shows.
const LINE_CHARS: usize = 120;
/// Bytes that hold one character more than that.
const LINE_BYTES: i64 = 484;

/// What stands for erased content.
pub(super) const REDACTED: &str = "(redacted)";
/// Bytes of a blob that is read whole when only its title is wanted.
const SMALL_BYTES: i64 = 16 << 10;
/// Bytes that hold any title with its key: 200 bytes, each escaped as `\u0000` at worst.
const TITLE_BYTES: usize = 1300;
/// How every work content begins.
const TITLE_KEY: &[u8] = br#"{"title":"#;

type Read<T> = rusqlite::Result<T>;

/// A count; tables hold no negative one.
pub(super) const fn count(n: i64) -> u64 {
    if n < 0 { 0 } else { n.cast_unsigned() }
}

/// Millionths as money; the largest amount stands for all above it.
pub(super) fn money(micro_usd: u64) -> Usd {
    Usd(MicroUsd::new(micro_usd).unwrap_or(MicroUsd::MAX))
}

pub(super) fn unsigned(row: &Row<'_>, column: impl RowIndex) -> Read<u64> {
    row.get(column).map(count)
}

pub(super) fn usd(row: &Row<'_>, column: impl RowIndex) -> Read<Usd> {
    unsigned(row, column).map(money)
}

pub(super) fn limit(row: &Row<'_>, column: impl RowIndex) -> Read<Option<u64>> {
    row.get::<_, Option<i64>>(column).map(|n| n.map(count))
}

pub(super) fn wall(row: &Row<'_>, column: impl RowIndex) -> Read<WallMs> {
    row.get(column).map(WallMs::saturating)
}

/// The state of a work by its number.
pub(super) fn state(row: &Row<'_>, column: usize) -> Read<WorkState> {
    let number = row.get(column)?;
    state_of(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A name or another checked text.
pub(super) fn parsed<T>(row: &Row<'_>, column: impl RowIndex) -> Read<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.get::<_, String>(column)?.parse().map_err(|error| malformed(row, column, error))
}

/// JSON in a column.
pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: impl RowIndex) -> Read<T> {
    serde_json::from_str(&row.get::<_, String>(column)?).map_err(|error| malformed(row, column, error))
}

/// JSON in a column that may be empty.
pub(super) fn maybe_json<T: DeserializeOwned>(row: &Row<'_>, column: impl RowIndex) -> Read<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| malformed(row, column, error))
}

/// The wire word of an enumeration.
pub(super) fn word<T: DeserializeOwned>(row: &Row<'_>, column: impl RowIndex) -> Read<T> {
    serde_json::from_value(row.get::<_, String>(column)?.into()).map_err(|error| malformed(row, column, error))
}

fn malformed(
    row: &Row<'_>,
    column: impl RowIndex,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    let place = column.idx(row.as_ref()).unwrap_or_default();
    rusqlite::Error::FromSqlConversionFailure(place, Type::Text, Box::new(error))
}

/// The first column of the only row, when there is one.
pub(super) fn one<T: rusqlite::types::FromSql>(
    conn: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Read<Option<T>> {
    conn.prepare_cached(sql)?.query_row(params, |row| row.get(0)).optional()
}

/// Every row.
pub(super) fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl FnMut(&Row<'_>) -> Read<T>,
) -> Read<Vec<T>> {
    conn.prepare_cached(sql)?.query_map(params, read)?.collect()
}

/// Events in the log.
pub(super) fn size(conn: &Connection) -> Read<i64> {
    one(conn, "SELECT max(idx) + 1 FROM events", []).map(|size| size.flatten().unwrap_or(0))
}

/// One event in full.
pub(super) fn event(conn: &Connection, index: i64) -> Loaded<Event> {
    with_body(conn, index, Event::from_bytes)
}

/// Who did something, and when: the part of an event that lists need.
#[derive(Deserialize)]
pub(super) struct Said {
    /// When.
    pub(super) time: WallMs,
    /// Who.
    pub(super) actor: Actor,
}

/// Who made an event, and when.
pub(super) fn said(conn: &Connection, index: i64) -> Loaded<Said> {
    with_body(conn, index, |body| Ok(serde_json::from_slice(body)?))
}

fn with_body<T>(conn: &Connection, index: i64, read: impl Fn(&[u8]) -> Result<T, EventError>) -> Loaded<T> {
    let mut statement = conn.prepare_cached("SELECT body FROM events WHERE idx = ?1")?;
    let mut rows = statement.query([index])?;
    let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let body = row.get_ref(0)?.as_bytes().map_err(rusqlite::Error::from)?;
    read(body).map_err(|source| LoadError::Event { index, source })
}

/// The content of one slot; nothing where it was erased or never was.
pub(super) fn blob(conn: &Connection, event: i64, slot: i64) -> Read<Option<Vec<u8>>> {
    one(conn, "SELECT data FROM blobs WHERE id = ?1", [event * 16 + slot]).map(Option::flatten)
}

/// Bytes of one slot, without reading them.
pub(super) fn blob_bytes(conn: &Connection, event: i64, slot: i64) -> Read<Option<u64>> {
    let bytes: Option<Option<i64>> = one(conn, "SELECT length(data) FROM blobs WHERE id = ?1", [event * 16 + slot])?;
    Ok(bytes.flatten().map(count))
}

/// Text content.
pub(super) fn text(conn: &Connection, event: i64, slot: i64) -> Read<Option<String>> {
    Ok(blob(conn, event, slot)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// The first line of text content as a list shows it, without reading all of it.
pub(super) fn first_line(conn: &Connection, event: i64, slot: i64) -> Read<Option<String>> {
    let sql = "SELECT substr(data, 1, ?2) FROM blobs WHERE id = ?1";
    let start: Option<Option<Vec<u8>>> = one(conn, sql, (event * 16 + slot, LINE_BYTES))?;
    let start = start.flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&start);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    Ok(line.map(|line| match line.char_indices().nth(LINE_CHARS) {
        Some((end, _)) => line.get(..end).unwrap_or(line).to_owned() + "…",
        None => line.to_owned(),
    }))
}

/// What a work says; nothing where it was erased.
pub(super) fn content(conn: &Connection, work: i64) -> Loaded<Option<WorkContent>> {
    let Some(bytes) = blob(conn, work, 0)? else { return Ok(None) };
    let malformed =
        |error: serde_json::Error| LoadError::Table { table: "blobs", row: work * 16, what: error.to_string() };
    serde_json::from_slice(&bytes).map(Some).map_err(malformed)
}

/// The title of a work, without reading megabytes of inputs for it.
pub(super) fn title(conn: &Connection, work: i64) -> Loaded<String> {
    let sql = "SELECT length(data), CASE WHEN length(data) <= ?2 THEN data END FROM blobs WHERE id = ?1";
    let read = |row: &Row<'_>| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<Vec<u8>>>(1)?));
    let found = conn.prepare_cached(sql)?.query_row([work * 16, SMALL_BYTES], read).optional()?;
    let start = match found {
        Some((_, Some(bytes))) => bytes,
        Some((Some(_), None)) => {
            let blob = conn.blob_open("main", "blobs", "data", work * 16, true)?;
            let mut start = vec![0; TITLE_BYTES];
            let read = blob.read_at(&mut start, 0)?;
            start.truncate(read);
            start
        }
        _ => return Ok(REDACTED.to_owned()),
    };
    match start.strip_prefix(TITLE_KEY).map(|rest| serde_json::Deserializer::from_slice(rest).into_iter().next()) {
        Some(Some(Ok(title))) => Ok(title),
        _ => Ok(content(conn, work)?.map_or_else(|| REDACTED.to_owned(), |content| content.title)),
    }
}

/// A stable word as people read it: `lease_expired` is `lease expired`.
pub(super) fn words(word: &impl serde::Serialize) -> String {
    match serde_json::to_value(word) {
        Ok(serde_json::Value::String(word)) => word.replace('_', " "),
        _ => String::new(),
    }
}
