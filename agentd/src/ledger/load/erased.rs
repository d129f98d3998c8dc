//! What lies beside the ledger of works whose content was erased: it says the same, and must go with it.

use std::collections::BTreeSet;

use agentd_schemas::event::{ArtefactRef, Event, EventData};
use agentd_schemas::id::{RunId, WorkId};
use rusqlite::{Connection, Row, params};

use super::works::id;
use super::{LoadError, Loaded};

/// Names of what may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    /// Runs of these works, the living ones too.
    pub runs: BTreeSet<RunId>,
    /// Digests of artefacts that these works name, and no other.
    pub artefacts: BTreeSet<String>,
}

/// Works of which content was erased that is more than a note, but for those under hold.
fn works(conn: &Connection) -> Loaded<BTreeSet<i64>> {
    let sql = "SELECT DISTINCT w.key FROM events h
               CROSS JOIN events e ON e.idx = json_extract(h.body, '$.data.event')
               CROSS JOIN works w ON w.key = e.subject
               WHERE h.subject = (SELECT subject FROM events WHERE idx = 0) AND w.held = 0
                 AND json_extract(h.body, '$.type') = 'ContentRedacted'
                 AND json_extract(e.body, '$.type') <> 'NoteAdded'";
    let mut statement = conn.prepare_cached(sql)?;
    let keys = statement.query_map([], |row| row.get(0))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// Whether content of this work was erased that is more than a note: then nothing of it is given out from beside the ledger.
pub fn is_erased(conn: &Connection, work: i64) -> Loaded<bool> {
    let sql = "SELECT 1 FROM events e JOIN blobs b ON b.id BETWEEN e.idx * 16 AND e.idx * 16 + 15
               WHERE e.subject = ?1 AND b.salt IS NULL AND json_extract(e.body, '$.type') <> 'NoteAdded'";
    Ok(conn.prepare_cached(sql)?.exists([work])?)
}

/// What may go of all of them. `is_there` says of an artefact whether it is still kept: mostly none is, and then no other
/// work is looked at.
pub fn erased(conn: &Connection, is_there: impl Fn(&str) -> bool) -> Loaded<Erased> {
    let (works, mut erased) = (works(conn)?, Erased::default());
    for work in &works {
        let sql = "SELECT w.id, r.attempt FROM runs r JOIN works w ON w.key = r.work WHERE r.work = ?1";
        let mut statement = conn.prepare_cached(sql)?;
        let run = |row: &Row<'_>| Ok((id(row, 0)?, row.get(1)?));
        let runs: Vec<(WorkId, u32)> = statement.query_map([work], run)?.collect::<rusqlite::Result<_>>()?;
        erased.runs.extend(runs.into_iter().map(|(work, attempt)| RunId { work, attempt }));
        let sql = "SELECT r.work, e.idx, e.body FROM runs r JOIN events e ON e.idx IN (r.result_by, r.ended_by)
                   WHERE r.work = ?1";
        each(conn, sql, params![work], |_, made| {
            erased.artefacts.extend(made.into_iter().map(|made| made.sha256).filter(|sha256| is_there(sha256)));
        })?;
    }
    if !erased.artefacts.is_empty() {
        let sql = "SELECT r.work, e.idx, e.body FROM runs r JOIN events e ON e.idx IN (r.result_by, r.ended_by)";
        each(conn, sql, [], |work, made| {
            if !works.contains(&work) {
                for made in &made {
                    erased.artefacts.remove(&made.sha256);
                }
            }
        })?;
    }
    Ok(erased)
}

/// Each event that may name artefacts, and those that it names.
fn each(
    conn: &Connection,
    sql: &str,
    with: impl rusqlite::Params,
    mut tell: impl FnMut(i64, Vec<ArtefactRef>),
) -> Loaded<()> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(with)?;
    while let Some(row) = rows.next()? {
        let body = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
        if !body.contains("\"artefacts\"") {
            continue;
        }
        let index = row.get(1)?;
        let event = Event::from_bytes(body.as_bytes()).map_err(|source| LoadError::Event { index, source })?;
        let made = match event.data {
            EventData::ResultJudged(data) => data.artefacts,
            EventData::WorkCompleted(data) => data.artefacts,
            EventData::AttemptFailed(data) => data.artefacts,
            _ => Vec::new(),
        };
        tell(row.get(0)?, made);
    }
    Ok(())
}
