//! What a viewer may see: a person what is theirs, an agent what it works on and itself, operators and auditors all.

use std::collections::HashMap;

use agentd_schemas::event::SubjectKind;
use rusqlite::{Connection, OptionalExtension as _};

use super::read;
use crate::domain::account::{AccountScope, parse_scope};
use crate::policy::Viewer;

type Read<T> = rusqlite::Result<T>;

/// Whether the viewer sees a work of this owner, whose current or last run is `run`.
pub(super) fn work(conn: &Connection, viewer: &Viewer, owner: u32, run: Option<i64>) -> Read<bool> {
    if viewer.sees(owner) {
        return Ok(true);
    }
    let (Some(name), Some(run)) = (&viewer.agent, run) else { return Ok(false) };
    let sql = "SELECT 1 FROM runs JOIN agents ON agents.key = runs.agent WHERE runs.key = ?1 AND agents.name = ?2";
    Ok(read::one::<i64>(conn, sql, (run, name.as_str()))?.is_some())
}

/// Whether the viewer sees the agent of this name.
pub(super) fn agent(viewer: &Viewer, owner: u32, name: &str) -> bool {
    viewer.sees(owner) || viewer.agent.as_ref().is_some_and(|own| own.as_str() == name)
}

/// Whether the viewer sees the events of a subject. Remembers its answers: the events of a page share few subjects.
pub(super) struct Sight<'a> {
    conn: &'a Connection,
    viewer: &'a Viewer,
    known: HashMap<i64, bool>,
}

impl<'a> Sight<'a> {
    /// Nothing is known yet.
    pub(super) fn new(conn: &'a Connection, viewer: &'a Viewer) -> Self {
        Self { conn, viewer, known: HashMap::new() }
    }

    /// Whether the viewer sees the subject with this key, kind and id.
    pub(super) fn subject(&mut self, key: i64, kind: SubjectKind, id: &str) -> Read<bool> {
        if self.viewer.all {
            return Ok(true);
        }
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let seen = self.look(key, kind, id)?;
        self.known.insert(key, seen);
        Ok(seen)
    }

    fn look(&self, key: i64, kind: SubjectKind, id: &str) -> Read<bool> {
        match kind {
            SubjectKind::Host => Ok(false),
            SubjectKind::Work => {
                let sql = "SELECT owner, run FROM works WHERE key = ?1";
                let found: Option<(u32, Option<i64>)> =
                    self.conn.prepare_cached(sql)?.query_row([key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
                found.map_or(Ok(false), |(owner, run)| work(self.conn, self.viewer, owner, run))
            }
            SubjectKind::Agent => self.agent_named(id),
            SubjectKind::Schedule => {
                let owner: Option<u32> = read::one(self.conn, "SELECT owner FROM schedules WHERE key = ?1", [key])?;
                Ok(owner.is_some_and(|owner| self.viewer.sees(owner)))
            }
            SubjectKind::Objective => {
                let owner = id.split_once('/').and_then(|(owner, _)| owner.parse().ok());
                Ok(owner.is_some_and(|owner| self.viewer.sees(owner)))
            }
            SubjectKind::Account => {
                let scope = id.rsplit_once('/').map_or(id, |(scope, _)| scope);
                match parse_scope(scope) {
                    Ok(AccountScope::Owner(owner)) => Ok(self.viewer.sees(owner)),
                    Ok(AccountScope::Agent(name)) => self.agent_named(name.as_str()),
                    Ok(AccountScope::Host) | Err(_) => Ok(false),
                }
            }
        }
    }

    fn agent_named(&self, name: &str) -> Read<bool> {
        let owner: Option<u32> = read::one(self.conn, "SELECT owner FROM agents WHERE name = ?1", [name])?;
        Ok(owner.is_some_and(|owner| agent(self.viewer, owner, name)))
    }
}
