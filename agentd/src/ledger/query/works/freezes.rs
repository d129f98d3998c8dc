//! Freezes that hold a work: of the host, of the work, of the agent whose run it has.

use agentd_schemas::document::request::Scope;
use agentd_schemas::event::EventData;
use agentd_schemas::unit::name::Slug;
use agentd_schemas::view::work::FreezeView;
use rusqlite::Connection;

use super::Stored;
use crate::ledger::load::{LoadError, Loaded};
use crate::ledger::query::read;

/// The events of the freezes that hold a work, oldest first. `agent` had its last run: it holds the work while that lives.
pub(super) fn of(conn: &Connection, work: &Stored, agent: Option<&Slug>) -> Loaded<Vec<i64>> {
    if work.state.is_past() {
        return Ok(Vec::new());
    }
    let agent = agent.filter(|_| work.state.is_leased()).map(|agent| Scope::Agent(agent.clone()));
    let text = |scope: Option<Scope>| scope.and_then(|scope| serde_json::to_string(&scope).ok());
    let scopes = [text(Some(Scope::All)), text(Some(Scope::Work(work.id))), text(agent)];
    Ok(read::all(conn, "SELECT idx FROM frozen WHERE scope IN (?1, ?2, ?3) ORDER BY idx", scopes, |row| row.get(0))?)
}

/// The same with who froze, and why.
pub(super) fn views(conn: &Connection, work: &Stored, agent: Option<&Slug>) -> Loaded<Vec<FreezeView>> {
    let view = |index: i64| {
        let event = read::event(conn, index)?;
        let EventData::Frozen(frozen) = event.data else {
            return Err(LoadError::Table { table: "frozen", row: index, what: "its event froze nothing".to_owned() });
        };
        let (since, actor) = (event.envelope.time, event.envelope.actor.to_string());
        Ok(FreezeView { scope: frozen.scope, since, actor, reason: frozen.reason })
    };
    of(conn, work, agent)?.into_iter().map(view).collect()
}
