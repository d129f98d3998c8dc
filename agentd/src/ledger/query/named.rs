//! What a caller names, as policy sees it: every query that is about one thing asks policy with this first.

use agentd_schemas::event::SubjectKind;
use agentd_schemas::id::{ScheduleId, WorkId};
use rusqlite::Connection;

use super::sight::Sight;
use super::{QueryError, agents, cut, ledger, read, resolve};
use crate::domain::account::{AccountScope, parse_scope};
use crate::ledger::load::{Loaded, resource};
use crate::policy::{Action, Resource, Viewer};

/// What a caller names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    /// A work, by its id or a prefix.
    Work(&'a str),
    /// An agent, by its name.
    Agent(&'a str),
    /// A schedule, by its name, its id or a prefix.
    Schedule(&'a str),
    /// A subject of events, as filters name it.
    Subject(SubjectKind, &'a str),
    /// An event, by its log index.
    Event(u64),
    /// The content in a slot of an event.
    Content(u64, u8),
}

/// What is named, and the action of who only wants to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What policy is asked about.
    pub resource: Resource,
    /// What reading it asks for.
    pub read: Action,
}

/// What the viewer names. "Not found" when there is none or the viewer may not learn of it.
pub fn target(conn: &Connection, viewer: &Viewer, named: Named<'_>) -> Result<Target, QueryError> {
    let (kind, id) = match named {
        Named::Work(text) => (SubjectKind::Work, resolve::work(conn, viewer, text)?.id.to_string()),
        Named::Agent(name) => {
            agents::key(conn, viewer, name)?;
            (SubjectKind::Agent, name.to_owned())
        }
        Named::Schedule(text) => (SubjectKind::Schedule, resolve::schedule(conn, viewer, text)?.id.to_string()),
        Named::Subject(SubjectKind::Work, id) => return target(conn, viewer, Named::Work(id)),
        Named::Subject(SubjectKind::Agent, id) => return target(conn, viewer, Named::Agent(id)),
        Named::Subject(SubjectKind::Schedule, id) => return target(conn, viewer, Named::Schedule(id)),
        Named::Subject(kind, id) => {
            ledger::subject_key(conn, viewer, kind, id)?;
            (kind, ledger::subject_id(viewer, kind, id))
        }
        Named::Event(index) => subject(conn, viewer, index, || QueryError::not_found("event", index))?,
        Named::Content(index, slot) => {
            let missing = || QueryError::not_found("content", format!("{index}:{slot}"));
            if !ledger::has_content(conn, index, slot)? {
                return Err(missing());
            }
            subject(conn, viewer, index, missing)?
        }
    };
    of_subject(conn, kind, &id)?.ok_or_else(|| QueryError::not_found(kind.as_str(), cut(&id)))
}

/// Whose event it is, for who may see it.
fn subject(
    conn: &Connection,
    viewer: &Viewer,
    index: u64,
    missing: impl Fn() -> QueryError,
) -> Result<(SubjectKind, String), QueryError> {
    let index = i64::try_from(index).map_err(|_| missing())?;
    let key: Option<i64> = read::one(conn, "SELECT subject FROM events WHERE idx = ?1", [index])?;
    let key = key.ok_or_else(&missing)?;
    let subject = read::event(conn, index)?.envelope.subject;
    if !Sight::new(conn, viewer).subject(key, subject.kind(), &subject.id())? {
        return Err(missing());
    }
    Ok((subject.kind(), subject.id()))
}

fn of_subject(conn: &Connection, kind: SubjectKind, id: &str) -> Loaded<Option<Target>> {
    let owned = |owner| Resource::owned(format!("{} {id}", kind.as_str()), owner);
    let (resource, read) = match kind {
        SubjectKind::Host => (Some(Resource::host()), Action::LedgerReadAll),
        SubjectKind::Work => match id.parse::<WorkId>() {
            Ok(id) => (resource::work(conn, id)?, Action::WorkRead),
            Err(_) => (None, Action::WorkRead),
        },
        SubjectKind::Agent => match id.parse() {
            Ok(name) => (resource::agent(conn, &name)?, Action::AgentRead),
            Err(_) => (None, Action::AgentRead),
        },
        // One that was removed can still be read.
        SubjectKind::Schedule => {
            let id = id.parse::<ScheduleId>().ok();
            let sql = "SELECT owner FROM schedules WHERE id = ?1";
            let owner = id.map(|id| read::one::<u32>(conn, sql, [id.as_bytes()])).transpose()?.flatten();
            (owner.map(owned), Action::ScheduleRead)
        }
        SubjectKind::Objective => {
            let owner = id.split_once('/').and_then(|(owner, _)| owner.parse().ok());
            (owner.map(owned), Action::ObjectiveRead)
        }
        SubjectKind::Account => {
            let scope = id.rsplit_once('/').map_or(id, |(scope, _)| scope);
            let resource = match parse_scope(scope) {
                Ok(AccountScope::Owner(owner)) => owned(owner),
                _ => Resource { name: format!("account {id}"), ..Resource::host() },
            };
            (Some(resource), Action::HostRead)
        }
    };
    Ok(resource.map(|resource| Target { resource, read }))
}
