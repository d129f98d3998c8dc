//! Works: the list, newest first, and one work in full.

mod freezes;
mod row;
mod runs;
mod scan;
mod show;

pub(super) use row::Stored;
pub(super) use runs::{FAILED, SOURCES, outcome};
pub use runs::{IsLive, Pulse};
pub(super) use scan::{Wanted, scan};
pub use show::show;
pub(super) use show::submitted;

use agentd_schemas::document::request::WorkFilter;
use agentd_schemas::view::WorkPage;
use rusqlite::Connection;

use super::{IsParked, QueryError, before, page_limit};
use crate::policy::Viewer;

/// Rows of a page that does not say how many.
const PAGE: u32 = 50;

/// A page of works, newest first. With `agent`, newest is the work that it was given last, each under its last agent.
/// The cursor of a page's last row gives the page after it.
pub fn list(
    conn: &Connection,
    viewer: &Viewer,
    filter: &WorkFilter,
    parked: IsParked<'_>,
) -> Result<WorkPage, QueryError> {
    let limit = page_limit(filter.limit, PAGE)?;
    let Some(wanted) = Wanted::read(conn, viewer, filter)? else {
        return Ok(WorkPage { works: Vec::new(), more: false });
    };
    let found = scan(conn, &wanted, parked, before(filter.before), limit)?;
    let mut works = Vec::with_capacity(found.hits.len());
    for hit in &found.hits {
        works.push(Stored::load(conn, hit.key)?.row(conn, hit.cursor, parked)?);
    }
    Ok(WorkPage { works, more: found.more })
}
