//! What a caller may reach of what it names. What it may not see is not found, word for word as if it had never been,
//! and the attempt is on record.

use agentd_schemas::problem::Problem;
use rusqlite::Connection;

use super::Engine;
use crate::ledger::query::QueryError;
use crate::ledger::query::named::{Named, Target, target};
use crate::policy::{Action, Caller, Decision, Resource, Viewer};

/// What a name led to.
enum Found {
    /// Something that the caller sees.
    Seen(Target),
    /// Something that it does not see: what it is, and what it is told.
    Hidden(Target, Problem),
    /// Nothing.
    Missing(Problem),
}

impl Engine {
    /// Lets a caller read what it names.
    pub(crate) fn read(&self, caller: &Caller, named: Named<'_>) -> Result<Resource, Problem> {
        self.reach(caller, None, named)
    }

    /// Lets a caller read a list. What is in it is narrowed to what the caller may see.
    pub(crate) fn list(&self, caller: &Caller, action: Action, what: &str) -> Result<(), Problem> {
        self.uncounted(caller, action, &Resource::own(format!("{what} of one's own"), caller))?;
        self.0.reads.count(caller.viewer().all);
        Ok(())
    }

    /// Lets a caller act on what it names; without an action, read it.
    pub(crate) fn reach(&self, caller: &Caller, action: Option<Action>, named: Named<'_>) -> Result<Resource, Problem> {
        self.is_let_in(caller, || (action.unwrap_or_else(|| reads(&named)), words(&named)))?;
        let found = self.0.readers.with(|conn| look(conn, caller, named))?;
        match found {
            Found::Seen(Target { resource, read }) => {
                self.permit(caller, action.unwrap_or(read), &resource)?;
                Ok(resource)
            }
            Found::Hidden(Target { resource, read }, problem) => {
                let action = action.unwrap_or(read);
                let rule = match self.policies().authorize(caller, action, &resource) {
                    Decision::Deny(rule) => rule,
                    // Nobody is shown more than the viewer shows, whatever a rule would allow.
                    Decision::Allow(_) => "no_rule".into(),
                };
                self.record_denial(caller, action, &resource.name, &rule);
                Err(problem)
            }
            Found::Missing(problem) => Err(problem),
        }
    }
}

/// What who only wants to read it asks for.
const fn reads(named: &Named<'_>) -> Action {
    match named {
        Named::Work(_) => Action::WorkRead,
        Named::Agent(_) => Action::AgentRead,
        Named::Schedule(_) => Action::ScheduleRead,
        Named::Subject(..) | Named::Event(_) | Named::Content(..) => Action::LedgerReadOwn,
    }
}

/// It, in the words of who named it.
fn words(named: &Named<'_>) -> String {
    match named {
        Named::Work(text) => format!("work {text}"),
        Named::Agent(name) => format!("agent {name}"),
        Named::Schedule(text) => format!("schedule {text}"),
        Named::Subject(_, id) => format!("subject {id}"),
        Named::Event(index) | Named::Content(index, _) => format!("event {index}"),
    }
}

fn look(conn: &Connection, caller: &Caller, named: Named<'_>) -> Result<Found, Problem> {
    let viewer = caller.viewer();
    let missing = match target(conn, &viewer, named) {
        Ok(target) => return Ok(Found::Seen(target)),
        Err(error @ QueryError::NotFound { .. }) => Problem::from(error),
        Err(other) => return Err(other.into()),
    };
    if viewer.all {
        return Ok(Found::Missing(missing));
    }
    match target(conn, &Viewer::everything(), named) {
        Ok(target) => Ok(Found::Hidden(target, missing)),
        // A prefix of several things of others is an attempt too.
        Err(QueryError::Ambiguous { kind, text, .. }) => {
            let resource = Resource { name: format!("{kind}s {text}"), ..Resource::host() };
            let read = if kind == "schedule" { Action::ScheduleRead } else { Action::WorkRead };
            Ok(Found::Hidden(Target { resource, read }, missing))
        }
        Err(QueryError::Load(error)) => Err(Problem::internal(error)),
        Err(_) => Ok(Found::Missing(missing)),
    }
}

#[cfg(test)]
mod tests;
