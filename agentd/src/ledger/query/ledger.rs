//! The log itself: whose it is, its newest checkpoint, its events, and the content that they commit to.

use std::borrow::Cow;

use agentd_schemas::document::request::EventFilter;
use agentd_schemas::event::envelope::EventError;
use agentd_schemas::event::{Actor, EventData, SubjectKind};
use agentd_schemas::log::note::{Checkpoint, SignedNote};
use agentd_schemas::view::{EventView, HeadView, PageOfEvents};
use rusqlite::{Connection, Statement};
use serde::Deserialize;

use super::sight::Sight;
use super::{QueryError, agents, page_limit, read, resolve};
use crate::ledger::load::LoadError;
use crate::policy::Viewer;

/// Events that one page looks at, at most.
const MAX_EXAMINED: usize = 10_000;
/// Bytes of the bodies of one page, at most, unless one alone is larger.
const MAX_PAGE_BYTES: usize = 4 << 20;
/// Rows of a page that does not say how many.
const PAGE: u32 = 100;

/// Whose log it is, as its newest incarnation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogIdentity {
    /// Origin of the checkpoints.
    pub origin: String,
    /// Incarnation.
    pub incarnation: u32,
    /// Trust domain of the host.
    pub trust_domain: String,
    /// Verifier key of the checkpoints in signed-note form.
    pub log_key: String,
}

/// Events below the signed checkpoint.
pub fn signed_size(conn: &Connection) -> Result<u64, QueryError> {
    Ok(read::count(read::one(conn, "SELECT size FROM head WHERE id = 1", [])?.unwrap_or(0)))
}

/// Whose log it is.
pub fn identity(conn: &Connection) -> Result<LogIdentity, QueryError> {
    let meta = |key: &str| -> Result<String, QueryError> {
        let found = read::one(conn, "SELECT value FROM meta WHERE key = ?1", [key])?;
        found.ok_or_else(|| malformed("meta", &format!("{key} is missing")).into())
    };
    let incarnation = meta("incarnation")?;
    Ok(LogIdentity {
        origin: meta("origin")?,
        incarnation: incarnation.parse().map_err(|_| malformed("meta", &format!("incarnation is {incarnation:?}")))?,
        trust_domain: meta("trust_domain")?,
        log_key: meta("log_key")?,
    })
}

/// The newest checkpoint.
pub fn head(conn: &Connection) -> Result<HeadView, QueryError> {
    let identity = identity(conn)?;
    let found: Option<String> = read::one(conn, "SELECT note FROM head WHERE id = 1", [])?;
    let Some(note) = found else { return Err(malformed("head", &"it is empty").into()) };
    let checkpoint = SignedNote::parse(&note)
        .and_then(|signed| Checkpoint::from_text(signed.text()))
        .map_err(|error| malformed("head", &error))?;
    Ok(HeadView {
        origin: checkpoint.origin,
        incarnation: identity.incarnation,
        size: checkpoint.size,
        root: data_encoding::BASE64.encode(checkpoint.root.as_bytes()),
        log_key: identity.log_key,
        checkpoint: note,
    })
}

fn malformed(table: &'static str, what: &dyn std::fmt::Display) -> LoadError {
    LoadError::Table { table, row: 1, what: what.to_string() }
}

/// What a page needs to know of an event to choose it.
#[derive(Deserialize)]
struct Peek<'a> {
    subject: SubjectKind,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    actor: Cow<'a, str>,
}

/// A checked filter.
struct Wanted<'a> {
    kind: Option<SubjectKind>,
    /// Key of the only subject.
    subject: Option<i64>,
    event_type: Option<&'a str>,
    actor: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    fn read(conn: &Connection, viewer: &Viewer, filter: &'a EventFilter) -> Result<Self, QueryError> {
        let kind = filter.subject.as_deref().map(kind).transpose()?;
        let subject = match (kind, &filter.id) {
            (None, Some(id)) => return Err(QueryError::filter("id", id, "given with a subject only")),
            (Some(SubjectKind::Host), _) => Some(subject_key(conn, viewer, SubjectKind::Host, "host")?),
            (Some(kind), Some(id)) => Some(subject_key(conn, viewer, kind, id)?),
            (_, None) => None,
        };
        let event_type = filter.event_type.as_deref();
        if let Some(unknown) = event_type.filter(|name| !EventData::TYPES.contains(name)) {
            return Err(QueryError::filter("type", unknown, "the name of an event type, as WorkSubmitted"));
        }
        let actor = filter.actor.as_deref();
        if let Some(unknown) = actor.filter(|actor| actor.parse::<Actor>().is_err()) {
            return Err(QueryError::filter("actor", unknown, "uid:N, agent:NAME or host"));
        }
        Ok(Self { kind, subject, event_type, actor })
    }

    fn fits(&self, event: &Peek<'_>) -> bool {
        self.kind.is_none_or(|kind| kind == event.subject)
            && self.event_type.is_none_or(|name| name == event.kind)
            && self.actor.is_none_or(|actor| actor == event.actor)
    }
}

/// The only subject that a filter asks for; the host has no id.
pub fn asked(filter: &EventFilter) -> Result<Option<(SubjectKind, &str)>, QueryError> {
    let Some(text) = filter.subject.as_deref() else { return Ok(None) };
    Ok(match (kind(text)?, filter.id.as_deref()) {
        (SubjectKind::Host, _) => Some((SubjectKind::Host, "host")),
        (kind, Some(id)) => Some((kind, id)),
        (_, None) => None,
    })
}

fn kind(text: &str) -> Result<SubjectKind, QueryError> {
    let expected = "host, agent, work, schedule, objective or account";
    serde_json::from_value(text.into()).map_err(|_| QueryError::filter("subject", text, expected))
}

/// The whole id of a subject; an objective without an owner is the viewer's own.
pub(super) fn subject_id(viewer: &Viewer, kind: SubjectKind, id: &str) -> String {
    match kind {
        SubjectKind::Objective if !id.contains('/') => format!("{}/{id}", viewer.uid),
        SubjectKind::Host => "host".to_owned(),
        _ => id.to_owned(),
    }
}

pub(super) fn subject_key(conn: &Connection, viewer: &Viewer, kind: SubjectKind, id: &str) -> Result<i64, QueryError> {
    match kind {
        SubjectKind::Work => return Ok(resolve::work(conn, viewer, id)?.key),
        SubjectKind::Schedule => return Ok(resolve::schedule(conn, viewer, id)?.key),
        SubjectKind::Agent => return agents::key(conn, viewer, id),
        SubjectKind::Objective | SubjectKind::Account | SubjectKind::Host => {}
    }
    let id = subject_id(viewer, kind, id);
    let sql = "SELECT key FROM subjects WHERE kind = ?1 AND id = ?2";
    match read::one(conn, sql, (kind.as_str(), &id))? {
        Some(key) if Sight::new(conn, viewer).subject(key, kind, &id)? => Ok(key),
        _ => Err(QueryError::not_found(kind.as_str(), id)),
    }
}

/// A page of events that the viewer may see. Forwards it begins at `since`, and `next` is where new events will come;
/// with `newest_first` it begins below `since` (0: at the end), and `next` is 0 when nothing older is left. A page may
/// hold fewer rows than asked for, even none, while `next` goes on: it looks at 10,000 events and gives 4 MiB at most.
pub fn events(conn: &Connection, viewer: &Viewer, filter: &EventFilter) -> Result<PageOfEvents, QueryError> {
    let limit = page_limit(filter.limit, PAGE)?;
    let size = read::size(conn)?;
    let wanted = Wanted::read(conn, viewer, filter)?;
    let since = i64::try_from(filter.since).unwrap_or(i64::MAX).min(size);
    let from = if filter.newest_first && since == 0 { size } else { since };
    let sql = match (wanted.subject, filter.newest_first) {
        (None, false) => "SELECT idx, subject, body FROM events WHERE idx >= ?1 ORDER BY idx",
        (None, true) => "SELECT idx, subject, body FROM events WHERE idx < ?1 ORDER BY idx DESC",
        (Some(_), false) => {
            "SELECT idx, subject, body FROM events WHERE version >= ?1 AND subject = ?2 ORDER BY version"
        }
        (Some(_), true) => {
            "SELECT idx, subject, body FROM events WHERE version < ?1 AND subject = ?2 ORDER BY version DESC"
        }
    };
    let mut statement = conn.prepare_cached(sql)?;
    statement.raw_bind_parameter(1, from)?;
    if let Some(subject) = wanted.subject {
        statement.raw_bind_parameter(1, first_version(conn, subject, from)?)?;
        statement.raw_bind_parameter(2, subject)?;
    }
    let mut sight = Sight::new(conn, viewer);
    let page = page(&mut statement, limit, |key, event| {
        Ok(wanted.fits(event) && sight.subject(key, event.subject, &event.id)?)
    })?;
    let next = match page.stopped_at {
        Some(index) => index + i64::from(filter.newest_first),
        None if filter.newest_first => 0,
        None => size,
    };
    Ok(PageOfEvents { events: page.events, next: read::count(next), size: read::count(size) })
}

struct Page {
    events: Vec<EventView>,
    /// The first event that was not looked at.
    stopped_at: Option<i64>,
}

fn page(
    statement: &mut Statement<'_>,
    limit: usize,
    mut fits: impl FnMut(i64, &Peek<'_>) -> rusqlite::Result<bool>,
) -> Result<Page, QueryError> {
    let mut events = Vec::new();
    let mut bytes = 0;
    let mut examined = 0;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let index: i64 = row.get(0)?;
        let body = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
        let full = !events.is_empty() && bytes + body.len() > MAX_PAGE_BYTES;
        if examined == MAX_EXAMINED || events.len() == limit || full {
            return Ok(Page { events, stopped_at: Some(index) });
        }
        examined += 1;
        let event: Peek<'_> =
            serde_json::from_str(body).map_err(|error| LoadError::Event { index, source: EventError::Json(error) })?;
        if fits(row.get(1)?, &event)? {
            bytes += body.len();
            events.push(EventView { index: read::count(index), body: body.to_owned() });
        }
    }
    Ok(Page { events, stopped_at: None })
}

/// The version of a subject's first event at or after a log index; one more than its last when there is none.
/// Versions have no gaps and grow with the index.
fn first_version(conn: &Connection, subject: i64, index: i64) -> rusqlite::Result<i64> {
    let last: Option<Option<i64>> = read::one(conn, "SELECT max(version) FROM events WHERE subject = ?1", [subject])?;
    let (mut low, mut high) = (1, last.flatten().unwrap_or(0) + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let sql = "SELECT idx FROM events WHERE subject = ?1 AND version = ?2";
        let at: Option<i64> = read::one(conn, sql, [subject, middle])?;
        if at.is_some_and(|at| at >= index) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}

/// Whether an event has content in a slot, erased or not.
pub(super) fn has_content(conn: &Connection, event: u64, slot: u8) -> Result<bool, QueryError> {
    let Some(id) = blob_id(event, slot) else { return Ok(false) };
    Ok(read::one::<i64>(conn, "SELECT 1 FROM blobs WHERE id = ?1", [id])?.is_some())
}

/// The bound keeps a slot that no event has from naming content of the next event.
fn blob_id(event: u64, slot: u8) -> Option<i64> {
    let index = i64::try_from(event).ok().filter(|index| *index < i64::MAX / 16 && slot < 16)?;
    Some(index * 16 + i64::from(slot))
}

/// The exact bytes of one blob, for who may see the event.
pub fn content(conn: &Connection, viewer: &Viewer, event: u64, slot: u8) -> Result<Vec<u8>, QueryError> {
    let missing = || QueryError::not_found("content", format!("{event}:{slot}"));
    let id = blob_id(event, slot).ok_or_else(missing)?;
    let index = id / 16;
    let data: Option<Option<Vec<u8>>> = read::one(conn, "SELECT data FROM blobs WHERE id = ?1", [id])?;
    let (Some(data), Some(subject)) = (data, read::one(conn, "SELECT subject FROM events WHERE idx = ?1", [index])?)
    else {
        return Err(missing());
    };
    let envelope = read::event(conn, index)?.envelope;
    if !Sight::new(conn, viewer).subject(subject, envelope.subject.kind(), &envelope.subject.id())? {
        return Err(missing());
    }
    data.ok_or(QueryError::Redacted { event, slot })
}
