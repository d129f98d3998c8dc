//! A real table against the temporary one of the same name, row by row in the order of the primary key.

use std::cmp::Ordering;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::fault::VerifyError;

/// Columns that hold the index of an event that a row is about, the most telling first.
const EVENTS: [&str; 8] = ["key", "idx", "changed_by", "effect", "first", "work", "on_work", "agent"];
/// Characters of a value that are told, at most.
const MAX_SHOWN: usize = 80;

/// The columns of a table, and which of them are its primary key, in the key's order.
struct Columns {
    names: Vec<String>,
    key: Vec<usize>,
}

/// Compares a table, as far as `filter` (an SQL condition with WHERE, or nothing) lets it. Gives the number of rows.
pub(super) fn table(connection: &Connection, table: &str, filter: &str) -> Result<u64, VerifyError> {
    let columns = Columns::of(connection, table)?;
    let mut real = connection.prepare(&columns.select("main", table, filter))?;
    let mut made = connection.prepare(&columns.select("temp", table, filter))?;
    let (mut real, mut made) = (real.query([])?, made.query([])?);
    let mut rows = 0;
    loop {
        let (real, made) = (real.next()?, made.next()?);
        let (row, why) = match (real, made) {
            (None, None) => return Ok(rows),
            (Some(real), None) => (real, Some("no event makes it".to_owned())),
            (None, Some(made)) => (made, Some("it is missing".to_owned())),
            (Some(real), Some(made)) => match columns.order(real, made)? {
                Ordering::Less => (real, Some("no event makes it".to_owned())),
                Ordering::Greater => (made, Some("it is missing".to_owned())),
                Ordering::Equal => (made, columns.difference(real, made)?),
            },
        };
        if let Some(why) = why {
            let (row, event) = (columns.name(row)?, columns.event(row)?);
            return Err(VerifyError::Table { table: table.to_owned(), row, event, why });
        }
        rows += 1;
    }
}

impl Columns {
    fn of(connection: &Connection, table: &str) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare("SELECT name, pk FROM pragma_table_info(?1, 'temp') ORDER BY cid")?;
        let columns = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let columns = columns.collect::<Result<Vec<(String, i64)>, _>>()?;
        let mut key: Vec<_> = (0..columns.len()).filter(|at| columns[*at].1 > 0).collect();
        key.sort_by_key(|at| columns[*at].1);
        Ok(Self { names: columns.into_iter().map(|(name, _)| name).collect(), key })
    }

    fn select(&self, schema: &str, table: &str, filter: &str) -> String {
        let key: Vec<_> = self.key.iter().map(|at| format!("\"{}\"", self.names[*at])).collect();
        let all: Vec<_> = self.names.iter().map(|name| format!("\"{name}\"")).collect();
        format!("SELECT {} FROM {schema}.\"{table}\" {filter} ORDER BY {}", all.join(", "), key.join(", "))
    }

    fn order(&self, one: &Row<'_>, other: &Row<'_>) -> rusqlite::Result<Ordering> {
        for at in &self.key {
            match order(one.get_ref(*at)?, other.get_ref(*at)?) {
                Ordering::Equal => {}
                unequal => return Ok(unequal),
            }
        }
        Ok(Ordering::Equal)
    }

    /// The first column that differs, in words.
    fn difference(&self, real: &Row<'_>, made: &Row<'_>) -> rusqlite::Result<Option<String>> {
        for (at, name) in self.names.iter().enumerate() {
            let (real, made) = (real.get_ref(at)?, made.get_ref(at)?);
            if real != made {
                return Ok(Some(format!("{name} is {}, the events give {}", shown(real), shown(made))));
            }
        }
        Ok(None)
    }

    fn name(&self, row: &Row<'_>) -> rusqlite::Result<String> {
        let part = |at: &usize| Ok(format!("{} {}", self.names[*at], shown(row.get_ref(*at)?)));
        Ok(self.key.iter().map(part).collect::<rusqlite::Result<Vec<_>>>()?.join(", "))
    }

    fn event(&self, row: &Row<'_>) -> rusqlite::Result<Option<u64>> {
        let named = |name: &&str| self.names.iter().position(|column| column == name);
        match EVENTS.iter().find_map(named) {
            Some(at) => row.get_ref(at).map(|value| value.as_i64().ok().and_then(|n| u64::try_from(n).ok())),
            None => Ok(None),
        }
    }
}

/// The order in which the database sorts values of strict tables without collations.
fn order(one: ValueRef<'_>, other: ValueRef<'_>) -> Ordering {
    let class = |value: ValueRef<'_>| match value {
        ValueRef::Null => 0,
        ValueRef::Integer(_) | ValueRef::Real(_) => 1,
        ValueRef::Text(_) => 2,
        ValueRef::Blob(_) => 3,
    };
    match (one, other) {
        (ValueRef::Integer(one), ValueRef::Integer(other)) => one.cmp(&other),
        (ValueRef::Text(one), ValueRef::Text(other)) | (ValueRef::Blob(one), ValueRef::Blob(other)) => one.cmp(other),
        _ => class(one).cmp(&class(other)),
    }
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(n) => n.to_string(),
        ValueRef::Real(n) => n.to_string(),
        ValueRef::Text(text) => {
            String::from_utf8_lossy(text).chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect()
        }
        ValueRef::Blob(bytes) => data_encoding::HEXLOWER.encode(&bytes[..bytes.len().min(MAX_SHOWN / 2)]),
    }
}
